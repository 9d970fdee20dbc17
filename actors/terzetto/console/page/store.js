// Values that components watch: whoever sets one wakes everybody who shows it, once for each animation frame.

import { useLayoutEffect, useState } from "./vendor/htm-preact.js";

const FALLBACK_MS = 250; // a hidden page has no animation frames

/** A function that calls `work` once, with the next animation frame, however often it is called before. */
export function framed(work, every = 0) {
  let frame = 0;
  let timer = 0;
  let last = -Infinity;
  const run = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    frame = timer = 0;
    last = performance.now();
    work();
  };
  return () => {
    if (timer) return;
    const wait = last + every - performance.now();
    timer = setTimeout(run, wait > 0 ? wait : FALLBACK_MS);
    if (wait <= 0) frame = requestAnimationFrame(run);
  };
}

export class Store {
  #value;
  #watchers = new Set();
  #tell;

  /** `every`: milliseconds between two times that watchers are woken, at least; 0 for each frame. */
  constructor(value, every = 0) {
    this.#value = value;
    this.#tell = framed(() => [...this.#watchers].forEach((watcher) => watcher(this.#value)), every);
  }

  get value() {
    return this.#value;
  }

  set(value) {
    this.#value = value;
    this.#tell();
  }

  /** Set some fields of an object. */
  patch(fields) {
    this.set({ ...this.#value, ...fields });
  }

  watch(watcher) {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }
}

/** The value of a store; the component is drawn again when it changes. */
export function useStore(store) {
  const [, redraw] = useState(0);
  useLayoutEffect(() => {
    let shown = store.value;
    const look = (value) => {
      if (value !== shown) redraw((count) => count + 1);
      shown = value;
    };
    const leave = store.watch(look);
    redraw((count) => count + 1); // it may have changed before anybody watched
    return leave;
  }, [store]);
  return store.value;
}

/** What an asynchronous question came to: `{ value, error, busy }`; asked again when `keys` change. */
export function useAsked(question, keys) {
  const [state, set] = useState({ value: null, error: null, busy: true });
  useLayoutEffect(() => {
    let wanted = true;
    set((before) => ({ ...before, busy: true }));
    Promise.resolve(question()).then(
      (value) => wanted && set({ value, error: null, busy: false }),
      (error) => wanted && set({ value: null, error, busy: false }),
    );
    return () => (wanted = false);
  }, keys);
  return state;
}

/** UNIX time in seconds, drawn again every `every` seconds while that is not 0. */
export function useNow(every = 1) {
  const [now, set] = useState(Date.now() / 1000);
  useLayoutEffect(() => {
    if (!every) return undefined;
    const timer = setInterval(() => set(Date.now() / 1000), every * 1000);
    return () => clearInterval(timer);
  }, [every]);
  return every ? now : Date.now() / 1000;
}

/** Draws what stands in it some frames later: a page that is drawn in pieces answers meanwhile. */
export function Later({ frames = 1, children }) {
  const [left, set] = useState(frames);
  useLayoutEffect(() => {
    if (left) framed(() => set(left - 1))();
  }, [left]);
  return left ? null : children;
}
