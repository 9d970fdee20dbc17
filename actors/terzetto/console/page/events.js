// The event stream of a run: the newest events, in a window, with gaps shown as gaps.

import { html, useMemo, useState } from "./vendor/htm-preact.js";
import { Json } from "./json.js";
import { idText } from "./place.js";
import { Store, useStore } from "./store.js";
import { clipped, count, counted, duration, inline, words } from "./text.js";
import { Windowed } from "./windowed.js";

export const KEPT = 10000; // events kept in this page
const DRAWN_MS = 120; // between two drawings of a stream that hurries
const SLACK = 1000; // and so many more, so that not every event moves all others
const SHOWN = 300; // characters of a line

const CHUNKS = new Set(["TextChunk", "ThinkingChunk", "ToolChunk", "CustomChunk"]);
const SERIOUS = new Set(["NodeFailed", "ErrorObserved", "RunInterrupted", "CancelRequested"]);

export class EventLog {
  items = []; // { key, event }
  total = 0;
  missed = 0; // as far as somebody knows
  unsure = false; // whether more are missing, and nobody knows how many
  changed = new Store({ over: "" }, DRAWN_MS);
  #key = 0;

  add(events) {
    for (const event of events) {
      if (event.type === "Heartbeat") continue;
      if (event.id) this.total += 1;
      else if (event.missed === null) this.unsure = true;
      else this.missed += event.missed;
      this.items.push({ key: (this.#key += 1), event });
    }
    if (this.items.length > KEPT + SLACK) this.items.splice(0, this.items.length - KEPT);
    this.changed.patch({});
  }

  end(reason) {
    this.changed.patch({ over: reason });
  }
}

export function Events({ log, begin }) {
  const { over } = useStore(log.changed);
  const [chunks, setChunks] = useState(true);
  const [tail, setTail] = useState(true);
  const [text, setText] = useState("");
  const [chosen, choose] = useState(null);
  const items = useMemo(() => {
    const wanted = text.toLowerCase();
    if (chunks && !wanted) return log.items.slice();
    return log.items.filter(
      ({ event }) => (chunks || !CHUNKS.has(event.type)) && (!wanted || lineOf(event).includes(wanted)),
    );
  }, [log.items.at(-1)?.key, log.items.length, chunks, text]);
  return html`
    <section class="pane events" aria-label="Events">
      <header><h2>Events</h2>
        <span class="dim" data-total=${log.total}
          data-missed=${log.missed}>${headline(log, items, over)}</span>
        <span class="push"></span>
        <input type="search" placeholder="Filter" aria-label="Filter events" value=${text}
          onInput=${(event) => setText(event.currentTarget.value)} />
        <label class="switch"><input type="checkbox" checked=${chunks}
          onChange=${(event) => setChunks(event.currentTarget.checked)} /> chunks</label>
        <label class="switch"><input type="checkbox" checked=${tail}
          onChange=${(event) => setTail(event.currentTarget.checked)} /> follow</label>
      </header>
      ${!items.length && html`<p class="empty">${log.total ? "No event is like that." : "Nothing was told yet."}</p>`}
      ${
        Boolean(items.length) &&
        html`<${Windowed} className="table" label="Events" items=${items} rowHeight=${26} keyOf=${({ key }) => key}
          tail=${tail}
        active=${chosen?.key ?? null} open=${(item) => choose(item.key === chosen?.key ? null : item)} rowClass=${classOf}
        head=${["Time", "Id", "Event", "Node", "What"].map(
          (name) => html`<span key=${name}
          role="columnheader">${name}</span>`,
        )}
        row=${({ event }) => html`<${Line} event=${event} begin=${begin} />`} />`
      }
      ${
        chosen &&
        html`<div class="detail" role="region" aria-label="Event"><${Json} value=${chosen.event} open=${2}
        /></div>`
      }
    </section>`;
}

/** How many events there are, what of them is missing, and what is kept. */
function headline(log, items, over) {
  const missing = [log.missed ? count(log.missed) : "", log.unsure ? "an unknown number" : ""]
    .filter(Boolean)
    .join(" and ");
  const found = items.length < log.items.length ? `${count(items.length)} of ` : "";
  const parts = [found + counted(log.total, "event"), missing && `${missing} missing`];
  if (log.items.length < log.total) parts.push(`the last ${count(KEPT)} or so are kept here`);
  return `${parts.filter(Boolean).join(", ")} · ${over ? `over: ${over}` : "live"}`;
}

function classOf({ event }) {
  if (event.type === "Gap" || event.type === "Cursor") return "gap";
  if (SERIOUS.has(event.type) || (event.type === "RunEnded" && event.status === "FAILED")) return "serious";
  return CHUNKS.has(event.type) ? "chunk" : "";
}

function Line({ event, begin }) {
  if (!event.id) return html`<span role="gridcell" class="across">${missing(event)}</span>`;
  const node = event.node ?? event.branch ?? event.name ?? "";
  const what = summary(event);
  return html`
    <span role="gridcell" class="num" title=${new Date(event.at * 1000).toISOString()}>+${duration(event.at - begin)}</span>
    <span role="gridcell" class="num dim">${idText(event.id)}</span>
    <span role="gridcell" class="type">${event.type}</span>
    <span role="gridcell">${node}${event.visit ? html`<span class="dim"> ${event.visit}</span>` : ""}</span>
    <span role="gridcell" class="what" title=${what}>${clipped(what, SHOWN)}</span>`;
}

function missing({ type, how, missed }) {
  const lost = missed === null ? "nobody knows how many events are missing" : `${counted(missed, "event")} missing`;
  if (type === "Gap") return `Gap: ${lost}`;
  if (how === "fresh") return missed ? `From the beginning of what is left: ${lost}` : "From the beginning";
  return `Cursor ${how}${missed === 0 ? "" : `: ${lost}`}`;
}

function summary(event) {
  switch (event.type) {
    case "RunQueued":
      return event.reason;
    case "RunStarted":
      return `epoch ${event.epoch}`;
    case "NodeStarted":
    case "EffectIntended":
      return event.attempt > 1 ? `attempt ${event.attempt}` : "";
    case "NodeFinished":
      return `commit ${event.seq}${event.mutations ? `, ${counted(event.mutations, "mutation")}` : ""}`;
    case "NodeFailed":
      return event.failure.message;
    case "RetryScheduled":
      return `attempt ${event.attempt} failed: ${event.failure.message}; again in ${duration(event.due - event.at)}`;
    case "ErrorObserved":
      return `${words(event.level)}: ${event.message}`;
    case "BranchesStarted":
      return event.count === 1 ? "1 branch" : `${event.count} branches`;
    case "BarrierOpened":
      return `${event.barrier} is open`;
    case "BarrierResolved":
      return `${event.barrier}: ${event.decision.type}${event.source ? ` by ${event.source}` : ""}`;
    case "RunInterrupted":
    case "CancelRequested":
      return event.reason;
    case "RunEnded":
      return [words(event.status), event.code, event.message].filter(Boolean).join(": ");
    case "OutputSent":
      return `${event.output}: ${inline(event.value, SHOWN)}`;
    case "TextChunk":
    case "ThinkingChunk":
      return event.text;
    case "ToolChunk":
      return `${event.tool} ${event.phase} ${event.text}`;
    case "CustomChunk":
      return `${event.name}: ${inline(event.data, SHOWN)}`;
    default:
      return "";
  }
}

const lineOf = (event) => `${event.type} ${event.node ?? ""} ${event.barrier ?? ""} ${summary(event)}`.toLowerCase();
