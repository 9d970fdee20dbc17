// A long list of which only the rows in sight are in the document, and which arrow keys walk through.

import { html, useLayoutEffect, useRef, useState } from "./vendor/htm-preact.js";
import { framed } from "./store.js";

const AROUND = 4; // rows drawn above and below what is in sight
const STEP = 4; // rows by which what is drawn moves on

/**
 * `row(item, index)` gives what stands in a row, `open(item, index)` is what Enter or a click does.
 * `tail` keeps the end in sight while it is; `near` is called when the end comes into sight.
 */
export function Windowed(props) {
  const {
    items,
    rowHeight,
    row,
    open,
    keyOf,
    label,
    active,
    head,
    tail = false,
    near,
    rowClass,
    className = "",
  } = props;
  const box = useRef(null);
  const [view, setView] = useState({ step: 0, height: 0 });
  const [cursor, setCursor] = useState(0);
  const atEnd = useRef(true);
  const follows = tail && atEnd.current;

  const look = () => {
    const { scrollTop, clientHeight, scrollHeight } = box.current;
    atEnd.current = scrollTop + clientHeight >= scrollHeight - rowHeight;
    const step = Math.floor(scrollTop / rowHeight / STEP);
    setView((before) =>
      before.step === step && before.height === clientHeight ? before : { step, height: clientHeight },
    );
  };
  useLayoutEffect(() => {
    const observer = new ResizeObserver(framed(() => box.current && look())); // not in the frame that drew the box
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (follows) box.current.scrollTop = items.length * rowHeight;
  }, [items, items.length, follows, view.height]);

  const high = Math.ceil(view.height / rowHeight);
  const top = follows ? Math.max(0, items.length - high) : view.step * STEP;
  const first = Math.max(0, Math.min(top - AROUND, items.length - high));
  const last = Math.min(items.length, top + high + STEP + AROUND);
  const at = Math.min(cursor, Math.max(0, items.length - 1));

  useLayoutEffect(() => {
    if (near && view.height && last >= items.length) near();
  }, [last, items.length, view.height]);

  const go = (index) => {
    const target = Math.max(0, Math.min(items.length - 1, index));
    const element = box.current;
    const top = target * rowHeight;
    const headed = element.querySelector("[data-head]")?.offsetHeight ?? 0;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + rowHeight + headed > element.scrollTop + element.clientHeight) {
      element.scrollTop = top + rowHeight + headed - element.clientHeight;
    }
    setCursor(target);
    requestAnimationFrame(() => element.querySelector(`[data-index="${target}"]`)?.focus());
  };
  const pressed = (event) => {
    const page = Math.max(1, Math.floor(view.height / rowHeight) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -items.length, End: items.length };
    if (event.target.dataset.index === undefined) return;
    if (event.key in steps) go(at + steps[event.key]);
    else if ((event.key === "Enter" || event.key === " ") && open) open(items[at], at);
    else return;
    event.preventDefault();
  };

  const drawn = [];
  for (let index = first; index < last; index += 1) {
    const item = items[index];
    const chosen = active !== undefined && active === keyOf(item);
    drawn.push(html`
      <div key=${keyOf(item)} role="row" class=${`row ${rowClass?.(item) ?? ""}`} data-index=${index}
        aria-rowindex=${index + (head ? 2 : 1)} aria-selected=${active === undefined ? undefined : String(chosen)}
        tabindex=${index === at ? 0 : -1} style=${{ height: `${rowHeight}px` }}
        onFocus=${() => setCursor(index)} onClick=${open && (() => open(item, index))}>
        ${row(item, index)}
      </div>`);
  }
  return html`
    <div ref=${box} class=${`windowed ${className}`} role="grid" aria-label=${label}
      aria-rowcount=${items.length + (head ? 1 : 0)} onScroll=${look} onKeyDown=${pressed}>
      ${head && html`<div role="row" class="row head" data-head aria-rowindex="1">${head}</div>`}
      <div role="presentation" style=${{ height: `${first * rowHeight}px` }}></div>
      ${drawn}
      <div role="presentation" style=${{ height: `${(items.length - last) * rowHeight}px` }}></div>
    </div>`;
}
