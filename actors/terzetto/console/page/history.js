// The commits of a run, newest first, as a tree: what an undo took back, and the runs that were made from a commit.

import { html, useLayoutEffect, useMemo, useState } from "./vendor/htm-preact.js";
import { Ask, COMMANDS } from "./commands.js";
import { whole } from "./connection.js";
import { Wrong } from "./dialog.js";
import { Json } from "./json.js";
import { Lanes } from "./lanes.js";
import { address } from "./session.js";
import { Sign, Status } from "./sign.js";
import { Store, useAsked, useStore } from "./store.js";
import { clock, count, counted, moment } from "./text.js";
import { Windowed } from "./windowed.js";

const ROW = 28;
const LANE = 14; // pixels from one lane to the next
const PAGE = 100; // commits asked for at once
const MOST = 5000; // commits kept in this page
const FORK = COMMANDS.find(({ type }) => type === "fork");

class Commits {
  state = new Store({ commits: [], next: null, busy: true, error: null });
  #connection;
  #run;
  #cut = new Set();

  constructor(connection, run) {
    this.#connection = connection;
    this.#run = run;
  }

  /** The commits up to the newest, as far as they are not here. */
  async newest(seq) {
    const known = this.state.value.commits;
    const missing = seq - (known[0]?.seq ?? 0);
    if (known.length && missing <= 0) return;
    await this.#ask(null, Math.min(missing, PAGE), (commits, next) => {
      const joined = known.length && commits.at(-1)?.seq <= known[0].seq + 1;
      const fresh = commits.filter((commit) => !joined || commit.seq > known[0].seq);
      return joined ? { commits: [...fresh, ...known].slice(0, MOST) } : { commits, next };
    });
  }

  async older() {
    const { commits, next, busy } = this.state.value;
    if (next === null || busy || commits.length >= MOST) return;
    await this.#ask(next, PAGE, (found, then) => ({ commits: [...this.state.value.commits, ...found], next: then }));
  }

  async #ask(before, limit, put) {
    this.state.patch({ busy: true });
    try {
      const answer = await this.#connection.ask({ type: "history", run_id: this.#run, before, limit });
      answer.cut.forEach((seq) => this.#cut.add(seq));
      this.state.patch({ ...put(answer.commits, answer.next), busy: false, error: null });
    } catch (error) {
      this.state.patch({ busy: false, error });
    }
  }

  /** A commit with all that it records, which a list may have left out. */
  async all(commit) {
    if (!this.#cut.has(commit.seq)) return commit;
    return (await whole(this.#connection, { type: "commit", run_id: this.#run, seq: commit.seq })).value;
  }
}

export function History({ session, view, at }) {
  const commits = useMemo(() => new Commits(session.connection, view.run_id), [view.run_id]);
  const { commits: list, next, busy, error } = useStore(commits.state);
  const done = useStore(session.done);
  const kin = useAsked(
    () => session.connection.ask({ type: "lineage", run_id: view.run_id }),
    [view.run_id, view.seq, view.status, done],
  );
  const [forking, fork] = useState(null);
  useLayoutEffect(() => void commits.newest(view.seq), [commits, view.seq]);

  const runs = kin.value?.runs ?? [];
  const undone = runs.find((run) => run.run_id === view.run_id)?.undone ?? [];
  const lanes = useMemo(() => new Lanes(undone), [undone.length]);
  const children = useMemo(
    () =>
      Map.groupBy(
        runs.filter((run) => run.parent === view.run_id),
        (run) => run.parent_seq,
      ),
    [kin.value],
  );
  const choose = (commit) =>
    (location.hash = address("run", view.run_id, "history", { at: commit.seq === at ? "" : commit.seq }));
  const many = list.length >= MOST ? `, the newest ${count(MOST)} are shown` : "";
  const headline = `${count(view.seq - view.first + 1)}${many}${busy ? " · loading" : ""}`;
  const chosen = list.find((commit) => commit.seq === at);
  return html`
    <div class="two history">
      <section class="pane" aria-label="Commits">
        <header><h2>Commits</h2><span class="dim">${headline}</span></header>
        <${Wrong} error=${error} />
        <${Windowed} className="table" label="Commits" items=${list} rowHeight=${ROW} keyOf=${(commit) => commit.seq}
          active=${at} open=${choose}
          rowClass=${(commit) => (lanes.of(commit.seq) ? "undone" : "")} near=${next === null ? undefined : () => commits.older()}
          row=${(commit) => html`<${Line} commit=${commit} lanes=${lanes} last=${view.seq} first=${view.first}
            forks=${children.get(commit.seq) ?? []} />`} />
      </section>
      <div class="side">
        ${
          chosen &&
          html`<${Commit} key=${chosen.seq} session=${session} view=${view} commit=${chosen}
          commits=${commits} fork=${() => fork(chosen.seq)} />`
        }
        <${Family} runs=${runs} here=${view.run_id} error=${kin.error} />
      </div>
      ${
        forking !== null &&
        html`<${Ask} session=${session} run=${view} command=${FORK} given=${{ at: forking }}
        close=${() => fork(null)} />`
      }
    </div>`;
}

function Line({ commit, lanes, last, first, forks }) {
  const node = commit.place ? `${commit.path ? `${commit.path}/` : ""}${commit.place}` : "";
  const facts = [
    commit.attempt > 1 ? `attempt ${commit.attempt}` : "",
    commit.mutations.length ? counted(commit.mutations.length, "mutation") : "",
    commit.checkpoint === null ? "" : `checkpoint ${commit.checkpoint}`,
    lanes.of(commit.seq) ? "undone" : "",
  ];
  return html`
    <span role="gridcell" class="lanes"><${Lane} seq=${commit.seq} lanes=${lanes} last=${last} first=${first}
      forks=${forks.length} /></span>
    <span role="gridcell" class="num">${commit.seq}</span>
    <span role="gridcell">${commit.kind}</span>
    <span role="gridcell" class="node" data-status=${commit.outcome ?? ""}>${
      commit.outcome &&
      html`<${Sign}
      status=${commit.outcome} />`
    }${node}${commit.visit ? html`<span class="dim"> ${commit.visit}</span>` : ""}</span>
    <span role="gridcell" class="dim">${facts.filter(Boolean).join(", ")}${forks.map(
      (run) => html` <a key=${run.run_id}
      class="fork" href=${address("run", run.run_id)} onClick=${(event) => event.stopPropagation()}>⤷ ${run.run_id}</a>`,
    )}</span>
    <span role="gridcell" class="num dim" title=${moment(commit.at)}>${clock(commit.at)}</span>`;
}

function Lane({ seq, lanes, last, first, forks }) {
  const [lane, middle] = [lanes.of(seq), ROW / 2];
  const x = (number) => 8 + number * LANE;
  const bend = (from) => `M${x(from)} 0C${x(from)} ${middle * 0.6} ${x(lane)} ${middle * 0.4} ${x(lane)} ${middle}`;
  const aside = lanes.wide; // beside all that this run did
  const wide = x(forks ? aside : lanes.wide - 1) + 10;
  return html`
    <svg width=${wide} height=${ROW} aria-hidden="true">
      ${lanes.past(seq).map((other) => html`<path key=${`p${other}`} d=${`M${x(other)} 0V${ROW}`} />`)}
      ${lanes.above(seq, last).map((other) => html`<path key=${`a${other}`} d=${bend(other)} />`)}
      ${seq > first && html`<path d=${`M${x(lane)} ${middle}V${ROW}`} />`}
      ${
        forks > 0 &&
        html`<path class="to"
        d=${`M${x(lane)} ${middle}C${x(aside)} ${middle} ${x(aside)} ${middle} ${x(aside)} 4`} /><circle class="to"
        cx=${x(aside)} cy="5" r="3" />`
      }
      <circle cx=${x(lane)} cy=${middle} r="4" />
    </svg>`;
}

function Commit({ session, view, commit: listed, commits, fork }) {
  const { value: commit, error } = useAsked(() => commits.all(listed), [listed]);
  const shown = commit ?? listed;
  return html`
    <section class="pane commit" aria-label=${`Commit ${listed.seq}`}>
      <header><h2>Commit ${listed.seq}</h2><span
        class="dim">${listed.kind}, ${moment(listed.at)}, epoch ${listed.epoch}</span></header>
      <p class="actions">
        <a class="button" href=${address("run", view.run_id, "state", { at: listed.seq })}>State here</a>
        <button disabled=${!session.may("control")} onClick=${fork}>Fork from here…</button>
      </p>
      <${Wrong} error=${error} />
      ${
        shown.outcome &&
        html`<p>${listed.place} <span
        class="dim">visit ${shown.visit}, attempt ${shown.attempt}</span> <${Status} status=${shown.outcome} /></p>`
      }
      <${Part} title="Mutations" items=${shown.mutations}
        row=${({ name, data }) => html`<${Json} name=${name} value=${data} open=${1} />`} />
      <${Part} title="Detail" items=${shown.detail ? [shown.detail] : []}
        row=${(detail) => html`<${Json} value=${detail} open=${2} />`} />
      <${Part} title="Goes on with" items=${shown.steps}
        row=${(step) => html`${step.node} <span
        class="dim">${step.opens ? `opens ${step.opens}` : `visit ${step.visit}`}</span>`} />
      <${Part} title="Events" items=${shown.events}
        row=${(event) => html`<${Json} name=${event.type} value=${event} open=${0} />`} />
    </section>`;
}

function Part({ title, items, row }) {
  if (!items.length) return null;
  return html`<h3>${title}</h3><ul class="plain">${items.map(
    (item, index) => html`<li
    key=${index}>${row(item)}</li>`,
  )}</ul>`;
}

/** Where a run comes from, and how long it is. */
function origin(run, parent) {
  const from = run.parent && `from ${parent ? "" : `${run.parent}, which is gone, `}commit ${run.parent_seq}`;
  const undone = run.undone.length && counted(run.undone.length, "undo");
  return [from, counted(run.seq, "commit"), undone].filter(Boolean).join(", ");
}

/** What a run was made from, and what was made from any of these. */
function Family({ runs, here, error }) {
  const known = new Set(runs.map(({ run_id: id }) => id));
  const under = Map.groupBy(runs, (run) => (known.has(run.parent) ? run.parent : ""));
  const branch = (parent) =>
    html`<ul>${(under.get(parent) ?? []).map(
      (run) => html`
    <li key=${run.run_id}>
      <span class="kin" aria-current=${run.run_id === here ? "true" : undefined}>
        <a href=${address("run", run.run_id)}>${run.run_id}</a> <${Status} status=${run.status} />
        <span class="dim">${origin(run, parent)}</span>
      </span>
      ${under.has(run.run_id) && branch(run.run_id)}
    </li>`,
    )}</ul>`;
  return html`
    <section class="pane family" aria-label="Forks, retries and reruns">
      <header><h2>Made from each other</h2><span class="dim">${counted(runs.length, "run")}</span></header>
      <${Wrong} error=${error} />
      ${runs.length > 0 && branch("")}
    </section>`;
}
