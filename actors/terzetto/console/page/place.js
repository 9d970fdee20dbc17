// Where a reader is in a run's events, over any number of connections: each is given once, in order, and gaps told.
// The same machine as `terzetto_protocol.stream_place`, which says why.

const EPOCH = 2 ** 32;

/** How many ids lie above `low`, up to `high`; null across epochs, where nobody can know. */
export function distance(low, high) {
  const same = Math.floor((low + 1) / EPOCH) === Math.floor((high + 1) / EPOCH);
  return low === high || same ? high - low : null;
}

/** An event's id as people read it: the epoch and the number in it. */
export function idText(id) {
  return `${Math.floor(id / EPOCH)}.${id % EPOCH}`;
}

export class StreamPlace {
  #begun = false;
  #owed = 0; // missing events that the reader was told of, and that lie ahead
  #unsure = false; // whether it was told, since its last event, that nobody knows how many are missing

  constructor(last = null) {
    this.last = last;
    this.ended = false;
  }

  /** What the reader is given of what the server has told. */
  take(events) {
    const given = [];
    for (const event of events) this.#take(event, given);
    return given;
  }

  #take(event, given) {
    if (event.type === "Cursor") {
      this.#resume(event, given);
    } else if (event.type === "Gap") {
      this.#owe(event.missed, this.#owed);
      given.push(event);
    } else if (event.type === "Heartbeat") {
      given.push(event);
    } else if (event.id > (this.last ?? 0)) {
      const hole = distance(this.last ?? 0, event.id - 1);
      this.#owed = hole === null ? 0 : Math.max(0, this.#owed - hole);
      this.last = event.id;
      this.#unsure = false;
      this.ended = event.type === "RunEnded";
      given.push(event);
    }
  }

  #resume(cursor, given) {
    const [owed, unsure, begun] = [this.#owed, this.#unsure, this.#begun];
    this.#begun = true;
    this.#owe(cursor.missed, 0);
    const after = this.last ?? 0;
    if (cursor.how === "invalid" || cursor.how === "unknown") {
      this.last = null; // the events of somebody else, from the beginning
      given.push(cursor);
    } else if (!begun) {
      given.push(cursor);
    } else if (cursor.missed === null && !unsure) {
      given.push({ type: "Gap", after, missed: null });
    } else if (cursor.missed !== null && cursor.missed > owed && !unsure) {
      given.push({ type: "Gap", after, missed: cursor.missed - owed });
    }
  }

  #owe(missed, before) {
    this.#owed = before + (missed ?? 0);
    this.#unsure = this.#unsure || missed === null;
  }
}
