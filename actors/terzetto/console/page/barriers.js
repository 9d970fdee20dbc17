// Open barriers: what each shows, and the buttons that answer it. Whoever is second is told who was first.

import { html, useLayoutEffect, useState } from "./vendor/htm-preact.js";
import { Saying } from "./commands.js";
import { Wrong } from "./dialog.js";
import { Field, Fields, blank, guessed, resolved } from "./form.js";
import { Json } from "./json.js";
import { told } from "./receipts.js";
import { address } from "./session.js";
import { useAsked, useNow, useStore } from "./store.js";
import { counted, duration, moment, same } from "./text.js";
import { whole } from "./connection.js";

const STATE_BYTES = 1 << 20; // the largest state that is edited in a form
const LISTED = 200; // barriers asked for at once
const POLL_MS = 4000; // how often the list of all barriers is asked for, besides when a run says that it changed

/** One barrier. `outcome` is `{ decision, source }` once somebody has decided; `brief` leaves out what it shows. */
export function Barrier({ session, run, barrier, outcome, heading = "h3", brief = false }) {
  const [said, setSaid] = useState(null); // the receipt of what was said here
  const [wrong, setWrong] = useState(null);
  const [busy, setBusy] = useState(false);
  const [note, setNote] = useState("");
  const [dialog, setDialog] = useState(null);
  const now = useNow(outcome || said ? 0 : 1);
  const graph = useAsked(async () => (await session.graphs()).get(run.graph) ?? null, [run.graph]);

  const ask = (decision) => ({ type: "decide", run_id: run.run_id, barrier: barrier.barrier, decision });
  const decide = async (decision) => {
    setBusy(true);
    setWrong(null);
    try {
      const receipt = await session.connection.command(ask(decision));
      setSaid({ ...receipt, mine: decision.type });
    } catch (error) {
      setWrong(error);
    }
    setBusy(false);
  };
  const closed = outcome || said;
  const declared = graph.value?.barriers.find(({ name }) => name === barrier.name);
  return html`
    <article class="barrier" aria-label=${`Barrier ${barrier.barrier}`} data-barrier=${barrier.barrier}>
      <header>
        <${heading} class="name">${barrier.reconcile ? "What became of " : ""}${barrier.name}<//>
        <span class="dim">${barrier.barrier}</span>
        ${!closed && html`<span class="dim"
          title=${moment(barrier.opened)}>open for ${duration(now - barrier.opened)}</span>`}
        ${
          barrier.deadline &&
          !closed &&
          html`<span class="due" title=${moment(barrier.deadline)}>
          ${barrier.deadline > now ? `decides by itself in ${duration(barrier.deadline - now)}` : "its time is over"}</span>`
        }
      </header>
      ${!brief && html`<${Payload} value=${barrier.payload} />`}
      ${
        closed
          ? html`<${Closed} said=${said} outcome=${outcome} barrier=${barrier} />`
          : html`
          <div class="answer">
            <input type="text" aria-label="Note or reason" placeholder="Note or reason (optional)" value=${note}
              onInput=${(event) => setNote(event.currentTarget.value)} />
            <${Buttons} ...${{ session, barrier, declared, note, busy, decide, open: setDialog, graph: graph.value }} />
          </div>
          <${Wrong} error=${wrong} />`
      }
      ${dialog && html`<${dialog} ...${{ session, run, barrier, note, ask, close: () => setDialog(null), graph: graph.value, declared }} />`}
    </article>`;
}

function Payload({ value }) {
  if (value === null || value === undefined) return null;
  if (typeof value === "string") return html`<div class="payload text">${value}</div>`;
  return html`<div class="payload"><${Json} value=${value} open=${2} /></div>`;
}

function Closed({ said, outcome, barrier }) {
  const lost = said?.type === "already_resolved";
  if (said && !lost && said.type !== "denied") {
    return html`<p class="outcome won" role="status">Your ${said.mine} was taken${said.durable ? " and is stored" : ""}.</p>`;
  }
  if (said?.type === "denied") return html`<p class="outcome lost" role="alert">${told(said).text}</p>`;
  const { decision, source } = lost ? said : outcome;
  const by = source ? ` by ${source}` : "";
  if (!decision)
    return html`<p class="outcome" role="status"><b>${barrier.barrier}</b> is open no more: nobody decided it here.</p>`;
  return html`<p class="outcome ${lost ? "lost" : ""}" role=${lost ? "alert" : "status"}>
    ${lost ? "Somebody was first: " : ""}<b>${barrier.barrier}</b> was decided: ${decision}${by}.</p>`;
}

function Buttons({ session, barrier, declared, note, busy, decide, open, graph }) {
  const may = session.may("decide") && !busy;
  const button = (label, decision, style = "") => html`
    <button key=${label} class=${style} disabled=${!may} onClick=${() => decide(decision)}>${label}</button>`;
  if (barrier.reconcile) {
    return html`
      <button class="primary" disabled=${!may} onClick=${() => open(() => Confirm)}>It happened…</button>
      ${button("It did not: run it again", { type: "retry", note })}
      ${button("It failed", { type: "fail", reason: note }, "danger")}`;
  }
  const others = (declared?.exits ?? []).filter((exit) => !["approved", "rejected"].includes(exit));
  const has = (exit) => !declared || declared.exits.includes(exit);
  return html`
    ${has("approved") && button("Approve", { type: "approve" }, "primary")}
    ${has("rejected") && button("Reject", { type: "reject", reason: note }, "danger")}
    ${others.map((exit) => button(exit, { type: "choose", exit, note }))}
    ${has("approved") && html`<button disabled=${!may} onClick=${() => open(() => Modify)}>Modify…</button>`}
    ${
      declared
        ? html`<button disabled=${!may} onClick=${() => open(() => Reroute)}>Reroute…</button>`
        : html`<button disabled=${!may} onClick=${() => open(() => Choose)}>Other exit…</button>`
    }`;
}

/** A form built from the schema of the state (at a question: from what it shows); only what is changed is sent. */
function Modify({ session, run, barrier, note, ask, close, graph, declared }) {
  const asked = !declared; // a question of a body: its parts are what it shows
  const state = useAsked(
    async () =>
      asked
        ? { value: barrier.payload }
        : whole(session.connection, { type: "state", run_id: run.run_id, at: null }, STATE_BYTES),
    [],
  );
  const [edited, setEdited] = useState(null);
  const before = state.value?.value;
  const schema = (asked ? null : graph?.state) ?? guessed(before);
  const value = edited ?? before;
  const changed = new Set(Object.keys(value ?? {}).filter((name) => !same(value[name], before[name])));
  const changes = () => Object.fromEntries([...changed].map((name) => [name, value[name]]));
  return html`
    <${Saying} session=${session} title=${`Modify and approve ${barrier.barrier}`} wide close=${close}
      label=${changed.size ? `Change ${counted(changed.size, "field")} and approve` : "Approve unchanged"}
      ask=${() => ask({ type: "modify", changes: changes(), note })}>
      <${Wrong} error=${state.error} />
      ${state.busy && html`<p class="dim">Loading the state</p>`}
      ${state.value && before === undefined && html`<p class="hint">The state is too large to be edited here.</p>`}
      ${
        before &&
        html`<${Fields} schema=${schema} defs=${schema.$defs ?? {}} value=${value} change=${setEdited}
        changed=${changed} path="modify" />`
      }
    <//>`;
}

/** At a question of a body, whose exits nobody but the body knows. */
function Choose({ session, barrier, note, ask, close }) {
  const [exit, setExit] = useState("");
  return html`
    <${Saying} session=${session} title=${`Leave ${barrier.barrier} by another exit`} label="Choose" close=${close}
      ask=${() => ask({ type: "choose", exit, note })}>
      <${Field} name="Exit" path="choose" schema=${{ type: "string" }} defs=${{}} value=${exit} change=${setExit} />
    <//>`;
}

function Reroute({ session, barrier, note, ask, close, graph }) {
  const places = Object.keys(graph.places);
  const [target, setTarget] = useState(places[0]);
  return html`
    <${Saying} session=${session} title=${`Reroute from ${barrier.barrier}`} label="Reroute" close=${close}
      ask=${() => ask({ type: "reroute", target, note })}>
      <p>The run goes on at this place, whatever the edges say.</p>
      <${Field} name="Go on at" path="reroute" schema=${{ enum: places }} defs=${{}} value=${target} change=${setTarget}
        />
    <//>`;
}

/** The effect did happen: what its node would have recorded is said by whoever knows. */
function Confirm({ session, barrier, note, ask, close, graph }) {
  const known = Object.keys(graph?.mutations ?? {});
  const [made, setMade] = useState([]);
  const add = (name) => {
    const schema = graph.mutations[name];
    setMade([...made, { name, schema: schema ?? {}, value: blank(schema, schema?.$defs ?? {}) ?? {} }]);
  };
  const put = (place, value) => setMade(made.map((each, index) => (index === place ? { ...each, value } : each)));
  return html`
    <${Saying} session=${session} title=${`${barrier.name} did happen`} label="Confirm" close=${close} wide
      ask=${() => ask({ type: "confirm", mutations: made.map(({ name, value }) => [name, value]), note })}>
      <p>What its node would have recorded; nothing, if it records nothing.</p>
      ${made.map(
        ({ name, schema, value }, place) => html`
        <div class="item" key=${place}>
          <${Field} name=${name} path=${`confirm-${place}`} schema=${resolved(schema, schema.$defs ?? {})}
            defs=${schema.$defs ?? {}} value=${value}
            change=${(next) => put(place, next)} />
          <button type="button" class="plain" aria-label=${`Remove ${name}`}
            onClick=${() => setMade(made.filter((_, index) => index !== place))}>✕</button>
        </div>`,
      )}
      <div class="choices">${known.map(
        (name) => html`<button key=${name} type="button"
        onClick=${() => add(name)}>+ ${name}</button>`,
      )}</div>
    <//>`;
}

/** The open barriers of all runs, oldest first; one that closes stays until the reader leaves, with what came of it. */
export function Barriers({ session }) {
  const [seen, setSeen] = useState(new Map()); // run and barrier -> { waiting, outcome }
  const [state, setState] = useState({ total: 0, error: null, busy: true });
  const open = useStore(session.waiting);
  useLayoutEffect(() => {
    let wanted = true;
    const look = async () => {
      try {
        const { barriers, total } = await session.connection.ask({
          type: "barriers",
          run_id: "",
          offset: 0,
          limit: LISTED,
        });
        if (!wanted) return;
        session.waiting.set(total);
        setState({ total, error: null, busy: false });
        setSeen((before) => merged(before, barriers));
      } catch (error) {
        if (wanted) setState({ total: 0, error, busy: false });
      }
    };
    look();
    const timer = setInterval(look, POLL_MS);
    return () => {
      wanted = false;
      clearInterval(timer);
    };
  }, [open]);
  const headline = counted(state.total, "open barrier") + (state.total > LISTED ? `, the oldest ${LISTED}` : "");
  return html`
    <section class="page" aria-label="Barriers">
      <div class="bar"><h1>Barriers</h1>
        <span class="dim" role="status">${state.busy ? "loading" : headline}</span>
      </div>
      <${Wrong} error=${state.error} />
      ${!seen.size && !state.busy && html`<p class="empty">Nobody is waited for.</p>`}
      <div class="cards">${[...seen].map(
        ([key, { waiting, outcome }]) => html`
        <div class="card" key=${key}>
          <p class="of"><a href=${address("run", waiting.run_id)}>${waiting.run_id}</a> <span
            class="dim">${waiting.graph}</span></p>
          <${Barrier} session=${session} run=${{ run_id: waiting.run_id, graph: waiting.graph }}
            barrier=${waiting.barrier} outcome=${outcome} heading="h2" />
        </div>`,
      )}</div>
    </section>`;
}

function merged(before, barriers) {
  const seen = new Map();
  const open = new Map(barriers.map((waiting) => [`${waiting.run_id} ${waiting.barrier.barrier}`, waiting]));
  for (const [key, { waiting, outcome }] of before) {
    const gone = { decision: "", source: "" };
    seen.set(key, { waiting, outcome: open.has(key) ? null : (outcome ?? gone) });
  }
  for (const [key, waiting] of open) seen.set(key, { waiting, outcome: null });
  return seen;
}
