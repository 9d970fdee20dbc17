// What else is known of a run: how it was submitted, what went wrong, and its numbers while it is live.

import { html } from "./vendor/htm-preact.js";
import { Json } from "./json.js";
import { Numbers } from "./statistics.js";
import { count, moment, words } from "./text.js";

export function Details({ session, view }) {
  const facts = {
    Graph: `${view.graph}, version ${view.version}${view.migrated ? `, migrated to ${view.migrated}` : ""}`,
    Fingerprint: view.fingerprint,
    "Made from": view.parent,
    Key: view.key,
    Thread: view.thread && (view.base ? `${view.thread}, after ${view.base}` : view.thread),
    Steps: `at most ${count(view.max_steps)}`,
    "Approved automatically": view.auto_approve ? "yes" : "",
    Submitted: moment(view.submitted),
    Updated: moment(view.updated),
    Epoch: view.epoch,
    "Commits left": view.first > 1 ? `from ${count(view.first)} on` : "",
    "Unknown effects": view.unknown.join(", "),
  };
  return html`
    <div class="two">
      <section class="pane" aria-label="Run"><header><h2>Run</h2></header>
        <dl class="list">${Object.entries(facts)
          .filter(([, fact]) => fact)
          .map(([name, fact]) => html`<dt key=${name}>${name}</dt><dd>${fact}</dd>`)}</dl>
        ${Object.keys(view.metadata).length > 0 && html`<h3>Metadata</h3><${Json} value=${view.metadata} open=${2} />`}
        ${view.failure && html`<h3>Failure</h3><${Json} value=${view.failure} open=${3} />`}
        ${
          view.observed.length > 0 &&
          html`<h3>Errors that ended nothing</h3>
          <ul class="plain">${view.observed.map(
            (error, index) => html`<li key=${index}>${error.node} <span
            class="dim">visit ${error.visit}, ${words(error.level)}</span> ${error.message}</li>`,
          )}</ul>
          ${view.unlisted > 0 && html`<p class="dim">and ${count(view.unlisted)} more</p>`}`
        }
      </section>
      <${Numbers} session=${session} run=${view.run_id} title="Numbers of the live run" />
    </div>`;
}
