// The list of runs: followed live, filtered by the server, of which a window is drawn.

import { html, useLayoutEffect, useMemo, useRef, useState } from "./vendor/htm-preact.js";
import { Submit } from "./commands.js";
import { Wrong } from "./dialog.js";
import { address } from "./session.js";
import { RUN_STATUSES, Sign, Status, TERMINAL } from "./sign.js";
import { Later, Store, useAsked, useNow, useStore } from "./store.js";
import { clock, count, duration, moment, words } from "./text.js";
import { Windowed } from "./windowed.js";

const PAGE = 200; // runs asked for at once
const MOST = 5000; // runs kept in this page

const newestFirst = (one, other) => other.submitted - one.submitted || (one.run_id < other.run_id ? 1 : -1);

class RunList {
  state = new Store({ lines: [], next: "", busy: true, error: null });
  #lines = new Map();
  #connection;
  #filter;
  #leave;
  #stopped = false;

  constructor(connection, filter) {
    this.#connection = connection;
    this.#filter = filter;
    this.#leave = connection.watch(
      { type: "follow", ...filter },
      {
        following: () => this.#list(),
        listed: ({ runs, deleted }) => this.#change(runs, deleted),
        refused: (error) => this.state.patch({ busy: false, error }),
      },
    );
  }

  stop() {
    this.#stopped = true;
    this.#leave();
  }

  /** The first page again: after a cut nobody tells what changed meanwhile. */
  async #list() {
    this.#lines.clear();
    await this.more("");
  }

  async more(before = this.state.value.next) {
    this.state.patch({ busy: true });
    try {
      const answer = await this.#connection.ask({ type: "list", ...this.#filter, before, limit: PAGE });
      if (this.#stopped) return;
      const fresh = answer.runs.filter((line) => !(this.#lines.get(line.run_id)?.seq > line.seq));
      for (const line of fresh) this.#lines.set(line.run_id, line);
      this.#show({ next: answer.next, busy: false, error: null });
    } catch (error) {
      this.state.patch({ busy: false, error });
    }
  }

  #change(runs, deleted) {
    for (const line of runs) {
      if (this.#fits(line)) this.#lines.set(line.run_id, line);
      else this.#lines.delete(line.run_id);
    }
    for (const id of deleted) this.#lines.delete(id);
    this.#show();
  }

  #fits({ status }) {
    return !this.#filter.statuses.length || this.#filter.statuses.includes(status);
  }

  #show(more = {}) {
    const lines = [...this.#lines.values()].sort(newestFirst);
    for (const line of lines.splice(MOST)) this.#lines.delete(line.run_id);
    const full = lines.length >= MOST;
    this.state.patch({ lines, ...more, full });
  }
}

export function Runs({ session, query }) {
  const statuses = (query.get("status") ?? "").split(",").filter((each) => RUN_STATUSES.includes(each));
  const filter = { statuses, graph: query.get("graph") ?? "", thread: query.get("thread") ?? "" };
  const key = JSON.stringify(filter);
  const list = useMemo(() => new RunList(session.connection, filter), [key]);
  useLayoutEffect(() => () => list.stop(), [list]);
  const { lines, next, busy, error, full } = useStore(list.state);
  const graphs = useAsked(() => session.graphs(), [key]);
  const [text, setText] = useState("");
  const [submitting, submit] = useState(false);
  useLayoutEffect(() => {
    if (text && next && !busy && !full) list.more(); // what is looked for may be older than what was asked for so far
  }, [text, next, busy, full]);
  const now = useNow(lines.some((line) => !TERMINAL.has(line.status)) ? 1 : 0);

  const found = text ? lines.filter((line) => `${line.run_id} ${line.graph} ${line.message}`.includes(text)) : lines;
  const filtered = text || statuses.length || filter.graph || filter.thread;
  const newest = full ? `, the newest ${count(MOST)}` : "";
  const headline = `${count(found.length)}${next ? "+" : ""} · ${busy ? "loading" : "live"}${newest}`;
  const put = (change) => {
    const { statuses: chosen, graph, thread } = { ...filter, ...change };
    location.hash = address("runs", "", "", { status: chosen.join(","), graph, thread });
  };
  const toggle = (status) =>
    put({ statuses: statuses.includes(status) ? statuses.filter((each) => each !== status) : [...statuses, status] });
  const open = (line) => (location.hash = address("run", line.run_id));

  return html`
    <section class="page runs" aria-label="Runs">
      <div class="bar">
        <h1>Runs</h1>
        <span class="dim" role="status">${headline}</span>
        <span class="push"></span>
        <button class="primary" disabled=${!session.may("control")} onClick=${() => submit(true)}>New run</button>
      </div>
      <${Later}><${Filter} ...${{ filter, text, setText, toggle, put, graphs: graphs.value }} /><//>
      <${Wrong} error=${error} />
      ${
        !found.length && !busy
          ? html`<p class="empty">${filtered ? "No run is like that." : "There is no run yet."}</p>`
          : html`<${Windowed} className="table" label="Runs" items=${found} rowHeight=${32}
            keyOf=${(line) => line.run_id}
            open=${open} near=${next && !busy && !full ? () => list.more() : undefined} head=${html`<${Head} />`}
            row=${(line) => html`<${Line} line=${line} now=${now} />`} />`
      }
      ${submitting && html`<${Submit} session=${session} close=${() => submit(false)} />`}
    </section>`;
}

function Filter({ filter, text, setText, toggle, put, graphs }) {
  const search = useRef(null);
  useLayoutEffect(() => {
    const pressed = (event) => {
      if (event.key !== "/" || event.target.closest("input, textarea, select, dialog")) return;
      event.preventDefault();
      search.current.focus();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
  return html`
    <div class="filters" role="search">
      <input ref=${search} type="search" placeholder="Find in this list  ( / )" aria-label="Find in this list"
        value=${text}
        onInput=${(event) => setText(event.currentTarget.value)} />
      <select aria-label="Graph" onChange=${(event) => put({ graph: event.currentTarget.value })}>
        <option value="" selected=${!filter.graph}>all graphs</option>
        ${[...new Set([...(graphs?.keys() ?? []), filter.graph])].filter(Boolean).map(
          (name) => html`
          <option key=${name} value=${name} selected=${filter.graph === name}>${name}</option>`,
        )}
      </select>
      <input type="text" class="short" placeholder="thread" aria-label="Thread" value=${filter.thread}
        onChange=${(event) => put({ thread: event.currentTarget.value.trim() })} />
      <div class="chips" role="group" aria-label="Status">
        ${RUN_STATUSES.map(
          (status) => html`
          <button key=${status} class="chip" data-status=${status}
            aria-pressed=${String(filter.statuses.includes(status))}
            onClick=${() => toggle(status)}><${Sign} status=${status} />${words(status)}</button>`,
        )}
      </div>
    </div>`;
}

const COLUMNS = ["Status", "Run", "Graph", "Waits for, or what happened", "Submitted", "Took", "Commit"];

const NUMERIC = new Set(["Submitted", "Took", "Commit"]);

function Head() {
  return COLUMNS.map(
    (name) => html`<span key=${name} role="columnheader" class=${NUMERIC.has(name) ? "num" : ""}>${name}</span>`,
  );
}

function Line({ line, now }) {
  const ended = TERMINAL.has(line.status);
  const waits = line.open_barriers.join(", ");
  const said = line.damaged || (waits ? waits : [line.code, line.message].filter(Boolean).join(": "));
  return html`
    <span role="gridcell"><${Status} status=${line.status} /></span>
    <span role="gridcell" class="id"><a tabindex="-1" href=${address("run", line.run_id)}>${line.run_id}</a></span>
    <span role="gridcell">${line.graph}<span class="dim"> ${line.version}</span></span>
    <span role="gridcell" class=${line.damaged ? "bad" : "dim"} title=${said}>${said}</span>
    <span role="gridcell" class="num" title=${moment(line.submitted)}>${clock(line.submitted)}</span>
    <span role="gridcell" class="num">${duration((ended ? line.updated : now) - line.submitted)}</span>
    <span role="gridcell" class="num">${count(line.seq)}</span>`;
}
