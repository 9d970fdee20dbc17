// A modal dialog: the browser keeps the focus in it, Escape closes it, and the focus goes back to where it was.

import { html, useLayoutEffect, useRef } from "./vendor/htm-preact.js";

export function Dialog({ title, close, children, wide = false }) {
  const box = useRef(null);
  const waiting = useRef(null); // what has the focus until there is a field
  useLayoutEffect(() => {
    const [element, before] = [box.current, document.activeElement];
    element.showModal();
    waiting.current = element.querySelector("footer button");
    waiting.current?.focus();
    return () => {
      element.close(); // while it is modal nothing else takes the focus
      if (before?.isConnected) before.focus();
    };
  }, []);
  useLayoutEffect(() => {
    const field = box.current.querySelector(".body :is(input, select, textarea)");
    if (!field || !waiting.current) return;
    if (document.activeElement === waiting.current) field.focus(); // else somebody was faster
    waiting.current = null;
  });
  return html`
    <dialog ref=${box} class=${wide ? "wide" : ""} aria-labelledby="dialog-title" onClose=${close}
      onCancel=${(event) => {
        event.preventDefault();
        close();
      }}>
      <header>
        <h2 id="dialog-title">${title}</h2>
        <button class="plain" aria-label="Close" onClick=${close}>✕</button>
      </header>
      ${children}
    </dialog>`;
}

/** What a command was refused with, in words and by its code. */
export function Wrong({ error }) {
  if (!error) return null;
  return html`
    <p class="wrong" role="alert">
      <code>${error.code ?? "error"}</code> ${error.message}${error.path ? html` <code>${error.path}</code>` : ""}
    </p>`;
}
