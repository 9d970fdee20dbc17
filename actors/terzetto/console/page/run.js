// One run: what is known of it, kept fresh by its events, and the page that shows it.

import { html, useLayoutEffect, useMemo } from "./vendor/htm-preact.js";
import { Barrier } from "./barriers.js";
import { Commands } from "./commands.js";
import { Details } from "./details.js";
import { Wrong } from "./dialog.js";
import { EventLog, Events } from "./events.js";
import { Graph } from "./graph.js";
import { History } from "./history.js";
import { address } from "./session.js";
import { Status, TERMINAL } from "./sign.js";
import { StateAt } from "./state.js";
import { Later, Store, useAsked, useNow, useStore } from "./store.js";
import { Timeline } from "./timeline.js";
import { count, duration, moment } from "./text.js";

const REST_MS = 200; // between two looks at a run that moves, at least
const SPANS = 10000; // visits kept for the time line
const QUIET = new Set(["TextChunk", "ThinkingChunk", "ToolChunk", "CustomChunk", "Heartbeat"]);

export class Run {
  view = new Store({ run: null, error: null, gone: false });
  progress = new Store({});
  spans = new Store({ spans: [], more: false });
  closed = new Store(new Map()); // barriers that closed while the reader was here: id -> { barrier, outcome }
  log = new EventLog();
  #connection;
  #leave;
  #busy = false;
  #again = false;
  #anew = true; // whether the whole time line is asked for: an undo changes old visits
  #stopped = false;

  constructor(connection, id) {
    this.id = id;
    this.#connection = connection;
    this.#leave = connection.watch(
      { type: "subscribe", run_id: id, last_event_id: null },
      {
        following: () => this.#look(),
        items: (items) => this.#hear(items),
        ended: (reason) => this.#ended(reason),
        refused: (error) => this.view.patch({ error }),
      },
    );
  }

  stop() {
    this.#stopped = true;
    this.#leave();
  }

  #ended(reason) {
    this.log.end(reason);
    if (reason === "deleted") this.view.patch({ gone: true });
    else this.#look();
  }

  #hear(items) {
    this.log.add(items);
    for (const item of items) {
      if (item.type === "BarrierResolved") this.#close(item);
      if (item.type === "RunQueued") this.#anew = true;
    }
    if (items.some((item) => !QUIET.has(item.type))) this.#look();
  }

  #close({ barrier: id, decision, source }) {
    const barrier = this.view.value.run?.open_barriers.find((each) => each.barrier === id);
    if (barrier)
      this.closed.set(new Map(this.closed.value).set(id, { barrier, outcome: { decision: decision.type, source } }));
  }

  /** Ask how the run is: now, and once more if it moved meanwhile; never faster than the server answers. */
  async #look() {
    this.#again = true;
    if (this.#busy) return;
    this.#busy = true;
    while (this.#again && !this.#stopped) {
      this.#again = false;
      const began = performance.now();
      await Promise.all([this.#get(), this.#places(), this.#visits()]);
      const rest = Math.max(REST_MS, performance.now() - began);
      await new Promise((resolve) => setTimeout(resolve, rest));
    }
    this.#busy = false;
  }

  async #get() {
    try {
      const { run } = await this.#connection.ask({ type: "get", run_id: this.id });
      const open = new Set(run.open_barriers.map(({ barrier }) => barrier));
      const left = this.view.value.run?.open_barriers.filter(
        ({ barrier }) => !open.has(barrier) && !this.closed.value.has(barrier),
      );
      if (left?.length) this.#dropped(left);
      this.view.set({ run, error: null, gone: false });
    } catch (error) {
      const gone = error.code === "unknown_run" && this.view.value.run !== null;
      this.view.patch({ error: gone ? null : error, gone });
    }
  }

  /** Barriers that are open no more, though no event says who decided: a run that ended drops them. */
  #dropped(barriers) {
    const closed = new Map(this.closed.value);
    for (const barrier of barriers) closed.set(barrier.barrier, { barrier, outcome: { decision: "", source: "" } });
    this.closed.set(closed);
  }

  async #places() {
    const answer = await this.#connection.ask({ type: "progress", run_id: this.id }).catch(() => null);
    if (answer) this.progress.set(answer.places);
  }

  async #visits() {
    const known = this.#anew ? [] : this.spans.value.spans;
    this.#anew = false;
    const first = known.findIndex((span) => span.end === null);
    const kept = first < 0 ? known : known.slice(0, first);
    const spans = [...kept];
    let after = kept.at(-1)?.visit ?? 0;
    while (after !== null && spans.length < SPANS) {
      const answer = await this.#connection.ask({ type: "timeline", run_id: this.id, after }).catch(() => null);
      if (!answer) return;
      spans.push(...answer.spans);
      after = answer.next;
    }
    this.spans.set({ spans, more: after !== null });
  }
}

const TABS = { "": "Overview", events: "Events", state: "State", history: "History", details: "Details" };

export function RunPage({ session, id, tab, query }) {
  const run = useMemo(() => new Run(session.connection, id), [id]);
  useLayoutEffect(() => () => run.stop(), [run]);
  const { run: view, error, gone } = useStore(run.view);
  if (!view) {
    return html`<section class="page" aria-label=${id}><div class="bar"><h1>${id}</h1></div>
      ${error ? html`<${Wrong} error=${error} />` : html`<p class="empty">Loading</p>`}</section>`;
  }
  const shown = tab in TABS ? tab : "";
  return html`
    <section class="page run" aria-label=${`Run ${id}`}>
      <${Header} view=${view} />
      ${gone && html`<p class="wrong" role="alert">This run was deleted. What is shown here is how it was.</p>`}
      ${error && html`<${Wrong} error=${error} />`}
      ${!gone && html`<${Later}><${Commands} session=${session} run=${view} /><//>`}
      <${Failure} view=${view} />
      <${Open} session=${session} run=${run} view=${view} brief=${shown !== ""} />
      <${Tabs} id=${id} shown=${shown} />
      <div role="tabpanel" id="panel" class=${`panel ${shown || "overview"}`} aria-labelledby=${`tab-${shown}`}>
        ${shown === "" && html`<${Overview} session=${session} run=${run} view=${view} query=${query} />`}
        ${shown === "events" && html`<${Events} log=${run.log} begin=${view.submitted} />`}
        ${
          shown === "state" &&
          html`<${StateAt} session=${session} view=${view} at=${Number(query.get("at")) || null}
          />`
        }
        ${
          shown === "history" &&
          html`<${History} session=${session} view=${view} at=${Number(query.get("at")) || null}
          />`
        }
        ${shown === "details" && html`<${Details} session=${session} view=${view} />`}
      </div>
    </section>`;
}

function Header({ view }) {
  const ended = TERMINAL.has(view.status);
  const now = useNow(ended ? 0 : 1);
  return html`
    <div class="bar">
      <h1><a href=${address("runs")} class="crumb">Runs</a><span class="crumb"
        aria-hidden="true"> / </span>${view.run_id}</h1>
      <span role="status" aria-label="Status of the run"><${Status} status=${view.status} /></span>
      <span class="dim">${view.graph} ${view.migrated || view.version}</span>
      <span class="push"></span>
      <dl class="facts">
        <div><dt>Submitted</dt><dd>${moment(view.submitted)}</dd></div>
        <div><dt>${ended ? "Took" : "Since"}</dt><dd>${duration((ended ? view.updated : now) - view.submitted)}</dd></div>
        <div><dt>Commit</dt><dd>${count(view.seq)}</dd></div>
        ${
          view.thread &&
          html`<div><dt>Thread</dt><dd><a
          href=${address("runs", "", "", { thread: view.thread })}>${view.thread}</a></dd></div>`
        }
        ${
          view.parent &&
          html`<div><dt>Made from</dt><dd><a
          href=${address("run", view.parent.split("@")[0])}>${view.parent}</a></dd></div>`
        }
      </dl>
    </div>`;
}

function Failure({ view }) {
  if (!view.code && !view.failure) return null;
  return html`<p class="wrong" role="note"><code>${view.code}</code> ${view.message || view.failure?.message}</p>`;
}

function Open({ session, run, view, brief }) {
  const closed = useStore(run.closed);
  const barriers = view.open_barriers.map((barrier) => ({ barrier, outcome: null }));
  const open = new Set(view.open_barriers.map(({ barrier }) => barrier));
  const past = [...closed.values()].filter(({ barrier }) => !open.has(barrier.barrier));
  const decided = barriers.map((each) => ({ ...each, outcome: closed.get(each.barrier.barrier)?.outcome ?? null }));
  const all = [...past.slice(-3), ...decided].sort((one, other) => one.barrier.opened - other.barrier.opened);
  return html`<div class="open">${all.map(
    ({ barrier, outcome }) => html`
    <${Barrier} key=${barrier.barrier} session=${session} run=${view} barrier=${barrier} outcome=${outcome}
      brief=${brief} />`,
  )}</div>`;
}

function Tabs({ id, shown }) {
  const names = Object.keys(TABS);
  const pressed = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = names[(names.indexOf(shown) + step + names.length) % names.length];
    location.hash = address("run", id, next);
    requestAnimationFrame(() => document.getElementById(`tab-${next}`)?.focus());
  };
  return html`
    <div role="tablist" aria-label="Views of the run" class="tabs" onKeyDown=${pressed}>
      ${names.map(
        (name) => html`
        <a key=${name} id=${`tab-${name}`} role="tab" href=${address("run", id, name)} aria-controls="panel"
          aria-selected=${String(name === shown)} tabindex=${name === shown ? 0 : -1}>${TABS[name]}</a>`,
      )}
    </div>`;
}

function Overview({ session, run, view, query }) {
  const graph = useAsked(async () => (await session.graphs()).get(view.graph) ?? null, [view.graph]);
  const chosen = query.get("place");
  const choose = (place) => (location.hash = address("run", view.run_id, "", { place: place === chosen ? "" : place }));
  return html`
    <${Graph} graph=${graph.value} busy=${graph.busy} name=${view.graph} places=${run.progress} chosen=${chosen}
      choose=${choose} />
    <${Later} frames=${2}><${Timeline} spans=${run.spans} view=${view} chosen=${chosen} choose=${choose} /><//>`;
}
