// The door: a token, typed once for each tab.

import { html, useLayoutEffect, useRef } from "./vendor/htm-preact.js";

export function Entry({ session, state }) {
  const field = useRef(null);
  useLayoutEffect(() => field.current?.focus(), []);
  const submit = (event) => {
    event.preventDefault();
    session.enter(field.current.value.trim());
  };
  if (state.phase === "other_version") {
    return html`<main class="door"><h1>Terzetto</h1><p class="wrong"
      role="alert"><code>other_version</code> ${state.why}.</p>
      <button onClick=${() => location.reload()}>Load the page again</button></main>`;
  }
  return html`
    <main class="door">
      <h1>Terzetto</h1>
      <form onSubmit=${submit}>
        <label for="token">Token of this console</label>
        <input ref=${field} id="token" type="password" autocomplete="off" spellcheck="false" required
          aria-describedby="token-hint" />
        <p id="token-hint" class="hint">It stays in this tab until you close it, and is sent to this server alone.</p>
        ${state.why && html`<p class="wrong" role="alert"><code>401</code> ${state.why}.</p>`}
        <button class="primary">Connect</button>
      </form>
    </main>`;
}
