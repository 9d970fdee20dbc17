// The numbers of every actor, or of one live run, and how the server and its store are.

import { html, useLayoutEffect, useState } from "./vendor/htm-preact.js";
import { Wrong } from "./dialog.js";
import { count } from "./text.js";

const EVERY_MS = 2000;

/** The answer to a query, asked again while it is shown. */
function usePolled(session, ask) {
  const [state, set] = useState({ answer: null, error: null });
  useLayoutEffect(() => {
    let timer = 0;
    let wanted = true;
    const look = async () => {
      const next = await session.connection.ask(ask).then(
        (answer) => ({ answer, error: null }),
        (error) => ({ answer: null, error }),
      );
      if (!wanted) return;
      set(next);
      timer = setTimeout(look, EVERY_MS);
    };
    look();
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [JSON.stringify(ask)]);
  return state;
}

export function Statistics({ session }) {
  return html`
    <section class="page" aria-label="Statistics">
      <div class="bar"><h1>Statistics</h1><span class="dim">every ${EVERY_MS / 1000} seconds</span></div>
      <div class="two statistics"><${Numbers} session=${session} run="" title="Actors" /><${Health} session=${session}
        /></div>
    </section>`;
}

export function Numbers({ session, run, title }) {
  const { answer, error } = usePolled(session, { type: "statistics", run_id: run });
  return html`
    <section class="pane numbers" aria-label=${title}><header><h2>${title}</h2></header>
      <${Wrong} error=${error} />
      ${
        answer &&
        (answer.numbers
          ? html`<div class="groups"><${Table} numbers=${answer.numbers} /></div>`
          : html`<p
        class="empty">The run is not live here.</p>`)
      }
    </section>`;
}

const isGroup = (value) =>
  value !== null && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length > 0;

function Table({ numbers, level = 3 }) {
  const entries = Object.entries(numbers);
  const single = entries.filter(([, value]) => !isGroup(value));
  return html`
    ${
      single.length > 0 &&
      html`<dl class="list">${single.map(
        ([name, value]) => html`<dt
      key=${name}>${name.replaceAll("_", " ")}</dt><dd class="num">${shown(value)}</dd>`,
      )}</dl>`
    }
    ${entries
      .filter(([, value]) => isGroup(value))
      .map(
        ([name, value]) => html`
      <div class=${level === 3 ? "group top-group" : "group"}
        key=${name}><${`h${Math.min(level, 6)}`}>${name.replaceAll("_", " ")}<//><${Table} numbers=${value}
        level=${level + 1} /></div>`,
      )}`;
}

function shown(value) {
  if (value === null || (typeof value === "object" && !Object.keys(value).length)) return "—";
  if (typeof value !== "number") return typeof value === "string" ? value : JSON.stringify(value);
  return Number.isInteger(value) ? count(value) : value.toLocaleString("en", { maximumSignificantDigits: 4 });
}

function Health({ session }) {
  const { answer, error } = usePolled(session, { type: "health" });
  return html`
    <section class="pane" aria-label="Health"><header><h2>Health</h2></header>
      <${Wrong} error=${error} />
      ${
        answer &&
        html`
        <p class="health" data-ok=${String(answer.ok)}>${answer.ok ? "✓ everything is well" : "✕ something is wrong"}</p>
        ${
          answer.problems.length > 0 &&
          html`<ul
          class="plain">${answer.problems.map((problem) => html`<li key=${problem} class="bad">${problem}</li>`)}</ul>`
        }
        <dl class="list"><dt>Store</dt><dd>${answer.store}</dd><dt>Durable</dt><dd>${answer.durable ? "yes" : "no"}</dd>
          ${Object.entries(answer.details).map(
            ([name, value]) => html`<dt
            key=${name}>${name}</dt><dd>${value}</dd>`,
          )}</dl>`
      }
    </section>`;
}
