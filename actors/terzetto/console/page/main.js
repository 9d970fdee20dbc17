// The console: its frame, its connection bar, and which page is shown.

import { html, render, useErrorBoundary, useLayoutEffect } from "./vendor/htm-preact.js";
import { Barriers } from "./barriers.js";
import { Entry } from "./entry.js";
import { RunPage } from "./run.js";
import { Runs } from "./runs.js";
import { Session, address } from "./session.js";
import { Statistics } from "./statistics.js";
import { framed, useNow, useStore } from "./store.js";
import { count, duration } from "./text.js";

const BARRIERS_MS = 5000; // how often the number of open barriers is asked for

function App({ session }) {
  const state = useStore(session.connection.state);
  if (state.phase === "denied" || state.phase === "other_version")
    return html`<${Entry} session=${session} state=${state} />`;
  return html`
    <${Top} session=${session} state=${state} />
    <${Lost} session=${session} state=${state} />
    <main id="content">${
      state.hello
        ? html`<${Page} session=${session} />`
        : html`<p class="empty"
      role="status">Connecting</p>`
    }</main>
    <${Notices} session=${session} />`;
}

const PAGES = { runs: "Runs", barriers: "Barriers", statistics: "Statistics" };

function Top({ session, state }) {
  const { page } = useStore(session.route);
  const waiting = useStore(session.waiting);
  const { hello } = state;
  useLayoutEffect(() => {
    if (!hello) return undefined;
    const ask = () => session.connection.ask({ type: "barriers", run_id: "", offset: 0, limit: 1 });
    const look = () =>
      document.hidden ||
      ask().then(
        ({ total }) => total === waiting || session.waiting.set(total),
        () => {},
      );
    look();
    const timer = setInterval(look, BARRIERS_MS);
    return () => clearInterval(timer);
  }, [hello, waiting]);
  const shown = page === "run" ? "runs" : page;
  return html`
    <header class="top">
      <a class="skip" href="#content" onClick=${(event) => {
        event.preventDefault();
        document.querySelector("#content :is(h1, [tabindex='0'], button, a, input)")?.focus();
      }}>Skip to the content</a>
      <span class="brand" aria-hidden="true">Terzetto</span>
      <nav aria-label="Pages">${Object.entries(PAGES).map(
        ([name, title]) => html`
        <a key=${name} href=${address(name)} aria-current=${shown === name ? "page" : undefined}>${title}${
          name === "barriers" && waiting
            ? html` <span class="badge" aria-label=${`${waiting} open`}>${count(waiting)}</span>`
            : ""
        }</a>`,
      )}</nav>
      <span class="push"></span>
      <span class="link-state" data-phase=${state.phase}
        title=${hello ? `server ${hello.server}; may ${hello.scopes.join(", ")}` : ""}>
        <i aria-hidden="true"></i>${state.phase === "open" ? "connected" : state.phase}</span>
      ${session.hasToken && html`<button class="plain" onClick=${() => session.leave()}>Leave</button>`}
    </header>`;
}

/** The connection is gone: what is shown is old, and the page goes on by itself. */
function Lost({ session, state }) {
  const lost = state.phase === "lost";
  const now = useNow(lost ? 0.5 : 0);
  const wait = Math.max(0, state.retryAt / 1000 - now);
  return html`<div class="lost" hidden=${!lost}>
    <p role="alert">${lost && html`<b>The connection is lost.</b> What is shown here may be old.`}</p>
    <span aria-hidden="true">Trying again${wait > 0.05 ? ` in ${duration(wait)}` : ""}.</span>
    <button onClick=${() => session.connection.hurry()}>Try now</button>
  </div>`;
}

function Page({ session }) {
  const { page, id, tab, query } = useStore(session.route);
  const [error, again] = useErrorBoundary();
  useLayoutEffect(() => void (document.title = `${id || PAGES[page] || "Runs"} · Terzetto`), [page, id]);
  if (error) {
    return html`<section class="page"><p class="wrong"
      role="alert"><code>page</code> The page has a mistake: ${error.message}</p>
      <button onClick=${again}>Draw it again</button></section>`;
  }
  if (page === "run" && id) return html`<${RunPage} key=${id} session=${session} id=${id} tab=${tab} query=${query} />`;
  if (page === "barriers") return html`<${Barriers} session=${session} />`;
  if (page === "statistics") return html`<${Statistics} session=${session} />`;
  return html`<${Runs} session=${session} query=${query} />`;
}

function Notices({ session }) {
  const notices = useStore(session.notices);
  return html`
    <div class="notices" role="status" aria-live="polite">${notices.map(
      ({ id, text, link, wrong }) => html`
      <p key=${id} class=${wrong ? "notice bad" : "notice"}>${text}${
        link &&
        html` <a
        href=${address("run", link)}>Open</a>`
      }
        <button class="plain" aria-label="Dismiss" onClick=${() => session.unsay(id)}>✕</button></p>`,
    )}</div>`;
}

const session = new Session();
framed(() => render(html`<${App} session=${session} />`, document.getElementById("app")))();
session.begin();
