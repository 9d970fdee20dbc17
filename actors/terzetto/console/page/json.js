// A value as a tree that unfolds; long lists and long texts are shown a part at a time.

import { html, useState } from "./vendor/htm-preact.js";
import { count, counted, inline } from "./text.js";

const PART = 100; // entries shown at once
const LONG = 400; // characters of a text that are shown at once

/** `open` is how many levels are unfolded at first; a value without a name shows its parts at once. */
export function Json({ value, open = 1, name }) {
  if (name === undefined && value !== null && typeof value === "object" && Object.keys(value).length) {
    return html`<div class="branch root"><${Parts} value=${value} open=${open} /></div>`;
  }
  if (value !== null && typeof value === "object") return html`<${Branch} ...${{ value, open, name }} />`;
  return html`<span class="leaf"><${Name} name=${name} /><${Leaf} value=${value} /></span>`;
}

function Name({ name }) {
  return name === undefined ? null : html`<span class="key">${name}</span><span class="colon">: </span>`;
}

function Leaf({ value }) {
  const [all, setAll] = useState(false);
  if (typeof value !== "string") return html`<span class=${`value ${typeof value}`}>${JSON.stringify(value)}</span>`;
  const long = value.length > LONG && !all;
  return html`
    <span class="value string">${JSON.stringify(long ? value.slice(0, LONG) : value)}</span>
    ${long && html` <button class="link" onClick=${() => setAll(true)}>all ${count(value.length)} characters</button>`}`;
}

function Branch({ value, open, name }) {
  const [unfolded, unfold] = useState(open > 0);
  const list = Array.isArray(value);
  const keys = Object.keys(value);
  const summary = list ? counted(keys.length, "item") : inline(value, 60);
  if (!keys.length) return html`<span class="leaf"><${Name} name=${name} />${list ? "[]" : "{}"}</span>`;
  return html`
    <details class="branch" open=${unfolded} onToggle=${(event) => {
      event.stopPropagation();
      unfold(event.currentTarget.open);
    }}>
      <summary><${Name} name=${name} />${
        unfolded
          ? html`<span
        class="dim">${list ? `[${keys.length}]` : ""}</span>`
          : html`<span class="dim">${summary}</span>`
      }</summary>
      ${unfolded && html`<${Parts} value=${value} open=${open} />`}
    </details>`;
}

function Parts({ value, open }) {
  const [shown, show] = useState(PART);
  const keys = Object.keys(value);
  return html`
    <ul>
      ${keys.slice(0, shown).map(
        (key) => html`<li key=${key}><${Json} name=${key} value=${value[key]} open=${open - 1}
        /></li>`,
      )}
      ${
        keys.length > shown &&
        html`<li><button class="link" onClick=${() => show(shown + PART * 10)}>
        ${counted(keys.length - shown, "more item")}</button></li>`
      }
    </ul>`;
}
