// The state of a run at any commit, and what that commit changed.

import { html, useState } from "./vendor/htm-preact.js";
import { whole } from "./connection.js";
import { Wrong } from "./dialog.js";
import { Json } from "./json.js";
import { address } from "./session.js";
import { useAsked } from "./store.js";
import { count, counted, inline, size } from "./text.js";

const LARGE = 2 << 20; // bytes of a text that is fetched without being asked for
const CHANGES = 200; // changes shown at once

export function StateAt({ session, view, at }) {
  const seq = Math.min(Math.max(at ?? view.seq, view.first), Math.max(view.seq, view.first));
  const go = (next) => (location.hash = address("run", view.run_id, "state", { at: next }));
  const typed = (event) => event.currentTarget.value && go(Number(event.currentTarget.value));
  return html`
    <section class="pane" aria-label="State">
      <header><h2>State</h2>
        <div class="stepper" role="group" aria-label="Commit">
          <button aria-label="The commit before" disabled=${seq <= view.first} onClick=${() => go(seq - 1)}>◂</button>
          <label>at commit <input type="number" min=${view.first} max=${view.seq} value=${seq} onChange=${typed}
            /></label> of ${count(view.seq)}
          <button aria-label="The commit after" disabled=${seq >= view.seq} onClick=${() => go(seq + 1)}>▸</button>
        </div>
        <input type="range" class="seqs" aria-label="Commit" min=${view.first} max=${view.seq} value=${seq}
          onInput=${typed} />
        <button class=${at ? "" : "on"} aria-pressed=${String(!at)} onClick=${() => go(null)}>Newest</button>
      </header>
      <div class="two">
        <${Whole} key="state" session=${session} run=${view.run_id} seq=${seq} />
        <${Changed} session=${session} run=${view.run_id} seq=${seq} first=${view.first} />
      </div>
    </section>`;
}

function Whole({ session, run, seq }) {
  const [limit, setLimit] = useState(LARGE);
  const { value, error, busy } = useAsked(
    () => whole(session.connection, { type: "state", run_id: run, at: seq }, limit),
    [run, seq, limit],
  );
  return html`
    <div class="part" aria-busy=${String(busy)}>
      <h3>As of commit ${seq}${value ? html` <span class="dim">${size(value.total)}</span>` : ""}</h3>
      <${Wrong} error=${error} />
      ${
        value &&
        (value.value === undefined
          ? html`<button onClick=${() => setLimit(Infinity)}>Load ${size(value.total)}</button>`
          : html`<${Json} key=${seq} value=${value.value} open=${2} />`)
      }
    </div>`;
}

function Changed({ session, run, seq, first }) {
  const [shown, show] = useState(CHANGES);
  const ask = { type: "diff", run_id: run, before: seq - 1, after: seq };
  const { value, error, busy } = useAsked(
    () => (seq > first ? whole(session.connection, ask, LARGE) : null),
    [run, seq, first],
  );
  const changes = value?.value;
  return html`
    <div class="part" aria-busy=${String(busy)}>
      <h3>Difference to commit ${seq - 1}${
        changes
          ? html` <span
        class="dim">${counted(changes.length, "change")}</span>`
          : ""
      }</h3>
      <${Wrong} error=${error} />
      ${seq <= first && html`<p class="empty">There is no commit before this one${first > 1 ? ": earlier ones were forgotten" : ""}.</p>`}
      ${value && !changes && html`<p class="empty">${size(value.total)} of changes are too many to be shown.</p>`}
      ${changes && !changes.length && html`<p class="empty">Nothing in the state changed.</p>`}
      ${
        changes &&
        html`<ul class="changes">${changes.slice(0, shown).map(
          (change) => html`<${Change}
        key=${change.kind + change.path} change=${change} />`,
        )}</ul>`
      }
      ${
        changes?.length > shown &&
        html`<button class="link"
        onClick=${() => show(shown + CHANGES * 5)}>${counted(changes.length - shown, "more change")}</button>`
      }
    </div>`;
}

const MARKS = { added: "+", removed: "−", changed: "~" };

function Change({ change: { path, kind, before, after } }) {
  return html`
    <li data-kind=${kind}>
      <span class="mark" aria-label=${kind}>${MARKS[kind]}</span> <code class="path">${path || "the state"}</code>
      <div class="values">
        ${kind !== "added" && html`<del><${Value} value=${before} /></del>`}
        ${kind !== "removed" && html`<ins><${Value} value=${after} /></ins>`}
      </div>
    </li>`;
}

function Value({ value }) {
  return value !== null && typeof value === "object"
    ? html`<${Json} value=${value} open=${0} name=${Array.isArray(value) ? "list" : "dict"} />`
    : inline(value, 400);
}
