// The client's side of the console, over any number of websockets: docs/protocol.md, as
// `terzetto_protocol.client_session` has it. What was asked and not answered is asked again at the next connection, and
// subscriptions go on after the last event that was given. So a command is carried out once, and no event comes twice.

import { StreamPlace } from "./place.js";
import { Store, framed } from "./store.js";

const MAJOR = 1;
const MINOR = 0;
const SUBPROTOCOL = `terzetto.${MAJOR}`;
const TOKEN_PREFIX = "terzetto.token.";
const CLOSE_VERSION = 4400;
const CLOSE_DENIED = new Set([1008, 4401, 4403]);

const RETRY_SOON_MS = 100; // a request that was refused because too many others are waiting
const RETRY_LATER_MS = 1000; // a subscription that the server failed to carry on
const BACKOFF_MS = [150, 300, 600, 1200, 2500, 5000];
const QUIET_MS = 20000; // after so long without a frame the server is asked how it is
const SILENCE_MS = 10000; // and when it says nothing for so long, the connection is given up
const BUDGET_MS = 24; // how long frames are worked off in one go, before the page is drawn
const FINAL = new Set(["not_allowed", "malformed", "invalid_request", "too_many_subscriptions"]);

/** A request that was not done; `code` says why, by a name that stays what it is. */
export class Refused extends Error {
  constructor({ code, message, path = "", data = {} }) {
    super(message);
    this.code = code;
    this.path = path;
    this.data = data;
  }
}

/** What makes a command the same command when it is asked again: 128 random bits. */
export function commandId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Connection {
  /** `phase`: idle, connecting, open, lost, denied or other_version; `hello` of the last greeting. */
  state = new Store({ phase: "idle", hello: null, retryAt: 0, why: "" });
  #url;
  #token = "";
  #socket = null;
  #greeted = false; // whether this websocket has
  #refusals = 0; // handshakes in a row that failed while the page itself could be had
  #attempt = 0;
  #timer = 0;
  #quiet = 0;
  #id = 0;
  #pending = new Map(); // id -> { ask, resolve, reject } of requests that nobody has answered
  #watches = new Map(); // id -> { ask, place, hear }
  #resuming = new Set(); // subscriptions that were asked for again, and are not carried on yet
  #leaving = new Set(); // requests whose answers nobody waits for any more
  #queue = [];
  #work = framed(() => this.#workOff());

  constructor(url) {
    this.#url = url;
    addEventListener("online", () => this.hurry());
  }

  /** Connect with a token, and stay connected until `stop`. */
  start(token) {
    this.#token = token;
    this.#refusals = this.#attempt = 0;
    this.state.patch({ phase: "connecting", why: "" });
    this.#open();
  }

  /** Leave, and forget everything that was asked. */
  stop() {
    clearTimeout(this.#timer);
    this.state.set({ phase: "idle", hello: null, retryAt: 0, why: "" });
    this.#drop();
    this.#pending.clear();
    this.#watches.clear();
  }

  /** Do not connect: a token is needed, or another one. */
  deny(why) {
    this.#end("denied", why);
  }

  /** Connect now, and not when it is time. */
  hurry() {
    if (this.state.value.phase === "lost" && !this.#socket) this.#open();
  }

  /** Ask, now or as soon as there is a connection; rejects with `Refused`. */
  ask(ask) {
    return new Promise((resolve, reject) => this.#new(ask, resolve, reject));
  }

  /** The same with an id of its own, so that it is carried out once. */
  command(ask) {
    return this.ask({ ...ask, command_id: commandId() });
  }

  /** Subscribe or follow; `hear` has `items`, `listed`, `following`, `ended` or `refused`. Returns how to leave. */
  watch(ask, hear) {
    const following = () => hear.following?.();
    const id = this.#new(ask, following, (error) => hear.refused?.(error));
    this.#watches.set(id, { ask, hear, place: new StreamPlace(ask.last_event_id ?? null) });
    return () => this.#leave(id);
  }

  #new(ask, resolve, reject) {
    const id = (this.#id += 1);
    this.#pending.set(id, { ask, resolve, reject });
    if (this.#greeted) this.#send({ type: "request", id, ask });
    return id;
  }

  #leave(id) {
    if (!this.#watches.delete(id)) return;
    if (!this.#greeted) this.#pending.delete(id);
    else if (this.#pending.has(id) || this.#resuming.has(id))
      this.#leaving.add(id); // and is left when it is there
    else this.#unsubscribe(id);
  }

  #unsubscribe(id) {
    const nothing = () => {};
    this.#leaving.add(this.#new({ type: "unsubscribe", subscription: id }, nothing, nothing));
  }

  #send(frame) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }

  #open() {
    clearTimeout(this.#timer);
    const socket = new WebSocket(this.#url, [
      SUBPROTOCOL,
      ...(this.#token ? [TOKEN_PREFIX + encoded(this.#token)] : []),
    ]);
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      this.#listen();
      this.#queue.push(data);
      this.#work();
    };
    socket.onopen = () => socket === this.#socket && this.#opened();
    socket.onclose = ({ code }) => socket === this.#socket && this.#closed(code);
  }

  #opened() {
    this.#greeted = true;
    this.#send({ type: "greet", major: MAJOR, minor: MINOR, client: "page" });
    const again = [...this.#watches.keys()].filter((id) => !this.#pending.has(id));
    this.#resuming = new Set(again);
    [...this.#pending.keys(), ...again].sort((a, b) => a - b).forEach((id) => this.#again(id));
  }

  /** Ask once more: what is settled meanwhile is not asked. */
  #again(id) {
    const waiting = this.#pending.get(id);
    const watch = this.#watches.get(id);
    if (waiting) {
      this.#send({ type: "request", id, ask: waiting.ask });
    } else if (watch && this.#greeted) {
      this.#resuming.add(id);
      const last = watch.ask.type === "subscribe" ? { last_event_id: watch.place.last } : {};
      this.#send({ type: "request", id, ask: { ...watch.ask, ...last } });
    }
  }

  #drop() {
    clearTimeout(this.#quiet);
    const socket = this.#socket;
    this.#socket = null;
    this.#greeted = false;
    this.#queue.length = 0; // what was not worked off is told again
    for (const id of this.#leaving) this.#pending.delete(id);
    this.#leaving.clear();
    this.#resuming.clear();
    socket?.close();
  }

  async #closed(code) {
    const heard = this.#attempt === 0 && this.state.value.phase === "open";
    this.#workOff(true);
    this.#drop();
    if (["denied", "other_version", "idle"].includes(this.state.value.phase)) return;
    if (code === CLOSE_VERSION) return this.#end("other_version", "the server speaks another version of the protocol");
    if (CLOSE_DENIED.has(code)) return this.#end("denied", "the server did not take this token");
    const wait = BACKOFF_MS[Math.min(this.#attempt, BACKOFF_MS.length - 1)] * (0.75 + Math.random() / 2);
    this.#attempt += 1;
    this.state.patch({ phase: this.state.value.hello ? "lost" : "connecting", retryAt: Date.now() + wait });
    this.#timer = setTimeout(() => this.#open(), wait);
    if (!heard) await this.#doubt();
    return undefined;
  }

  /** A browser does not tell why a handshake failed: when the page itself can be had, it is the token. */
  async #doubt() {
    const there = await fetch(location.pathname, { method: "HEAD", cache: "no-store" }).then(
      (response) => response.ok,
      () => false,
    );
    this.#refusals = there && !this.#greeted ? this.#refusals + 1 : 0;
    if (this.#refusals >= (this.state.value.hello ? 4 : 2)) this.#end("denied", "the server did not take this token");
  }

  #end(phase, why) {
    clearTimeout(this.#timer);
    this.state.patch({ phase, why });
    this.#drop();
  }

  /** A connection that died without a word is noticed by asking. */
  #listen() {
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => {
      this.ask({ type: "health" }).catch(() => {});
      this.#quiet = setTimeout(() => this.#closed(0), SILENCE_MS);
    }, QUIET_MS);
  }

  #workOff(all = false) {
    const until = document.hidden ? Infinity : performance.now() + BUDGET_MS; // nobody waits for a hidden page to draw
    let done = 0;
    while (done < this.#queue.length && (all || done === 0 || performance.now() < until)) {
      const data = this.#queue[done];
      done += 1;
      this.#feed(JSON.parse(data));
    }
    this.#queue.splice(0, done);
    if (this.#queue.length) this.#work();
  }

  #feed(frame) {
    const watch = this.#watches.get(frame.subscription);
    if (frame.type === "hello") this.#hello(frame);
    else if (frame.type === "reply") this.#replied(frame);
    else if (frame.type === "failed") this.#failed(frame);
    else if (frame.type === "told" && watch) this.#told(frame, watch);
    else if (frame.type === "changed" && watch) watch.hear.listed?.(frame);
    else if (frame.type === "over" && watch) this.#over(frame);
  }

  #hello(hello) {
    if (hello.major !== MAJOR) {
      this.#end("other_version", `the server speaks version ${hello.major} of the protocol, and this page ${MAJOR}`);
      return;
    }
    this.#attempt = this.#refusals = 0;
    this.state.set({ phase: "open", hello, retryAt: 0, why: "" });
  }

  #settle(id) {
    const waiting = this.#pending.get(id);
    this.#pending.delete(id);
    return waiting;
  }

  #replied({ id, answer }) {
    const resumed = this.#resuming.delete(id);
    const waiting = this.#settle(id);
    if (this.#leaving.delete(id)) {
      if (answer.type === "following") this.#unsubscribe(id); // it was left before it was there
    } else if (resumed) {
      this.#watches.get(id)?.hear.following?.();
    } else {
      waiting?.resolve(answer);
    }
  }

  #failed(frame) {
    const { id, code, data } = frame;
    if (id === null) return;
    if (code === "rate_limited" || code === "too_many_requests") {
      setTimeout(() => this.#again(id), data?.retry_after > 0 ? data.retry_after * 1000 : RETRY_SOON_MS);
    } else if (this.#resuming.delete(id)) {
      if (this.#leaving.delete(id)) return;
      if (code === "unknown_run") this.#finish(id, "deleted");
      else if (FINAL.has(code)) this.#finish(id, "refused");
      else setTimeout(() => this.#again(id), RETRY_LATER_MS);
    } else {
      const waiting = this.#settle(id);
      this.#watches.delete(id);
      if (!this.#leaving.delete(id)) waiting?.reject(new Refused(frame));
    }
  }

  #told({ subscription, events }, watch) {
    const items = watch.place.take(events);
    if (items.length) watch.hear.items(items);
    if (watch.place.ended) this.#finish(subscription, "ended");
  }

  #over({ subscription, reason }) {
    if (reason === "closing") return; // the next connection carries it on
    if (reason === "failed") setTimeout(() => this.#again(subscription), RETRY_LATER_MS);
    else this.#finish(subscription, reason);
  }

  #finish(id, reason) {
    const watch = this.#watches.get(id);
    this.#watches.delete(id);
    watch?.hear.ended?.(reason);
  }
}

/** A token as it may stand in a header: base64 of UTF-8 for URLs, without padding. */
function encoded(text) {
  const bytes = new TextEncoder().encode(text);
  const binary = [...bytes].map((byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** All pieces of a long answer: `{ seq, total, value }`, or without `value` when it has more bytes than `limit`. */
export async function whole(connection, ask, limit = Infinity) {
  for (;;) {
    const first = await connection.ask({ ...ask, offset: 0 });
    if (first.total > limit) return { seq: first.seq, total: first.total };
    const text = await rest(connection, ask, first);
    if (text !== null) return { seq: first.seq, total: first.total, value: JSON.parse(text) };
  }
}

/** The text that a piece begins, or null when it changed meanwhile. */
async function rest(connection, ask, first) {
  const at = { state: { at: first.seq }, diff: { after: first.seq }, commit: {} }[ask.type];
  const texts = [first.text];
  for (let piece = first; piece.next !== null; texts.push(piece.text)) {
    piece = await connection.ask({ ...ask, ...at, offset: piece.next });
    if (piece.digest !== first.digest) return null;
  }
  return texts.join("");
}
