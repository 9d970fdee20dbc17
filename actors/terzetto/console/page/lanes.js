// Where each commit stands in the drawing of a history: what an undo took back is a branch beside what went on.

const DEEPEST = 5; // lanes drawn beside each other

/** `turns` are the undos of a run: the commit `seq` goes on from `to`. */
export class Lanes {
  #turns;

  constructor(turns) {
    this.#turns = turns;
    this.wide = turns.length ? 1 + Math.max(...turns.map(({ seq, to }) => (seq - to > 1 ? this.of(seq - 1) : 0))) : 1;
  }

  /** How many undos have taken a commit back. */
  of(seq) {
    return Math.min(DEEPEST, this.#turns.filter((turn) => turn.to < seq && seq < turn.seq).length);
  }

  isTurn(seq) {
    return this.#turns.some((turn) => turn.seq === seq);
  }

  /** Lines from the top of a commit's row to its middle, as lanes: from what follows it. */
  above(seq, last) {
    const lanes = this.#turns.filter((turn) => turn.to === seq).map((turn) => this.of(turn.seq));
    if (seq < last && !this.isTurn(seq + 1)) lanes.push(this.of(seq + 1));
    return [...new Set(lanes)];
  }

  /** Lines that pass a commit's row: from an undo down to where it goes on. */
  past(seq) {
    const passing = this.#turns.filter((turn) => turn.to < seq && seq < turn.seq);
    return [...new Set(passing.map((turn) => this.of(turn.seq)))].filter((lane) => lane !== this.of(seq));
  }
}
