// What all parts of the page share: the connection, where the reader is, the graphs, and what was said last.

import { Connection } from "./connection.js";
import { Store } from "./store.js";

const TOKEN_KEY = "terzetto.token";
const NOTICES = 4; // shown at once
const NOTICE_MS = 7000;

const socketUrl = () => {
  const url = new URL("ws", location.href.split("#")[0]);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.search = "";
  return url.href;
};

export class Session {
  connection = new Connection(socketUrl());
  route = new Store(parsed(location.hash));
  notices = new Store([]);
  waiting = new Store(0); // open barriers of all runs
  done = new Store(0); // commands that were carried out from here
  #graphs = null;
  #last = 0;

  constructor() {
    addEventListener("hashchange", () => this.route.set(parsed(location.hash)));
    let phase = "";
    this.connection.state.watch((state) => {
      if (state.phase === "open" && phase !== "open") this.#graphs = null; // another server may know others
      phase = state.phase;
    });
  }

  /** Begin with the token of this tab, or with none where the server asks for none. */
  async begin() {
    const token = sessionStorage.getItem(TOKEN_KEY);
    if (token !== null) this.connection.start(token);
    else if (await isOpen()) this.connection.start("");
    else this.connection.deny("");
  }

  /** Take a token, which is kept for this tab alone, and is never in an address. */
  enter(token) {
    sessionStorage.setItem(TOKEN_KEY, token);
    this.connection.start(token);
  }

  get hasToken() {
    return sessionStorage.getItem(TOKEN_KEY) !== null;
  }

  /** Forget the token, and everything that was asked with it. */
  leave() {
    sessionStorage.removeItem(TOKEN_KEY);
    this.connection.stop();
    this.begin();
  }

  may(scope) {
    return this.connection.state.value.hello?.scopes.includes(scope) ?? false;
  }

  /** All graphs that the server knows, by name; asked once for each connection. */
  graphs() {
    this.#graphs ??= this.connection
      .ask({ type: "graphs" })
      .then((answer) => new Map(answer.graphs.map((graph) => [graph.name, graph])));
    this.#graphs.catch(() => (this.#graphs = null));
    return this.#graphs;
  }

  /** Say something at the foot of the page, and to who listens; `link` is a run to go to. */
  say(text, { link = "", wrong = false } = {}) {
    const id = (this.#last += 1);
    this.notices.set([...this.notices.value, { id, text, link, wrong }].slice(-NOTICES));
    setTimeout(() => this.unsay(id), NOTICE_MS);
  }

  unsay(id) {
    this.notices.set(this.notices.value.filter((notice) => notice.id !== id));
  }
}

/** Whether the server does not ask for a token; when nobody knows, it is worth a try. */
async function isOpen() {
  const response = await fetch(location.pathname, { method: "HEAD", cache: "no-store" }).catch(() => null);
  return !response?.headers.has("www-authenticate");
}

/** `#/run/ID/TAB?key=value` as `{ page, id, tab, query }`. */
function parsed(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [page = "", id = "", tab = ""] = path.split("/").map(decodeURIComponent);
  return { page: page || "runs", id, tab, query: new URLSearchParams(query) };
}

export function address(page, id = "", tab = "", query = {}) {
  const path = [page, id, tab].filter(Boolean).map(encodeURIComponent).join("/");
  const filled = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return `#/${path}${filled.length ? `?${new URLSearchParams(filled)}` : ""}`;
}
