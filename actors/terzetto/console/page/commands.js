// The commands: what each takes, when it makes sense, and a dialog to say it. The server decides whether it is done.

import { html, useState } from "./vendor/htm-preact.js";
import { Dialog, Wrong } from "./dialog.js";
import { Field, blank } from "./form.js";
import { told } from "./receipts.js";
import { address } from "./session.js";
import { TERMINAL } from "./sign.js";
import { useAsked } from "./store.js";
import { packed } from "./text.js";
import { whole } from "./connection.js";

const STATE_BYTES = 1 << 20; // the largest state that is edited in a form

const text = (name, label, more = {}) => ({ name, label, schema: { type: "string" }, initial: "", ...more });
const check = (name, label, hint) => ({ name, label, schema: { type: "boolean", description: hint }, initial: false });
const number = (name, label, initial, more) => ({ name, label, schema: { type: "integer", ...more }, initial });
const choice = (name, label, values, more = {}) => ({
  name,
  label,
  schema: { enum: values },
  initial: values[0],
  ...more,
});

const newId = (run, what) =>
  `${run.run_id}-${what}-${[...crypto.getRandomValues(new Uint8Array(3))].map((b) => b.toString(36)).join("")}`;
const effects = check(
  "repeat_effects",
  "Repeat effects",
  "Effects of once-nodes that are taken back may happen again.",
);
const ended = (run) => TERMINAL.has(run.status);
const live = (run) => !ended(run);

/** In the order in which they stand; `when` says whether it makes sense now, `why` what it would take. */
export const COMMANDS = [
  {
    type: "pause",
    label: "Pause",
    when: (run) => live(run) && run.status !== "PAUSED",
    why: "the run is paused or has ended",
  },
  { type: "resume", label: "Resume", when: (run) => run.status === "PAUSED", why: "the run is not paused" },
  {
    type: "cancel",
    label: "Cancel",
    danger: true,
    when: (run) => live(run) || run.thread,
    why: "the run has ended",
    intro: "Ends the run. Nothing of it commits once this is acknowledged.",
    fields: (run) => [
      text("reason", "Reason"),
      ...(run.thread ? [choice("mode", "Mode", ["stop", "rollback"]), effects] : []),
    ],
  },
  {
    type: "undo",
    label: "Undo",
    when: (run) => ["PAUSED", "AWAITING_INPUT"].includes(run.status),
    why: "only a run that rests can be taken back",
    intro: "Takes the last visits, decisions and joins back, and goes on from there. They stay in the history.",
    fields: () => [number("count", "Steps", 1, { minimum: 1 }), effects],
  },
  {
    type: "fork",
    label: "Fork",
    intro: "A new run goes on from a commit of this one.",
    fields: (run, given) => [
      number("at", "From commit", given?.at ?? run.seq, { minimum: run.first, maximum: run.seq }),
      text("new_id", "New run", { initial: newId(run, "fork") }),
      effects,
    ],
  },
  {
    type: "retry",
    label: "Retry",
    when: (run) => ["FAILED", "CANCELLED"].includes(run.status),
    why: "the run has neither failed nor been cancelled",
    intro: "A new run goes on from before the visit with which this one ended.",
    fields: (run) => [text("new_id", "New run", { initial: newId(run, "retry") }), effects],
  },
  { type: "rerun", label: "Rerun", dialog: Rerun },
  {
    type: "truncate",
    label: "Truncate",
    when: (run) => run.seq > run.first,
    why: "there is only one commit left",
    intro: "Forgets the commits in front of the newest checkpoint that is not after this one.",
    fields: (run) => [number("keep_from", "Keep from commit", run.seq, { minimum: 1, maximum: run.seq })],
  },
  {
    type: "delete",
    label: "Delete",
    danger: true,
    when: ended,
    why: "the run has not ended",
    intro: "Forgets the run, its commits and its state. Nothing brings them back.",
    fields: () => [],
  },
  { type: "keep", label: "Decide early", scope: "decide", when: live, why: "the run has ended", dialog: Early },
];

/** A row of buttons, with what was refused beside them. */
export function Commands({ session, run }) {
  const [open, setOpen] = useState(null);
  const [wrong, setWrong] = useState(null);
  const [busy, setBusy] = useState("");
  const press = async (command, why) => {
    setWrong(why ? { code: "not_now", message: why } : null);
    if (why) return;
    if (command.fields || command.dialog) {
      setOpen(command);
      return;
    }
    setBusy(command.type);
    setWrong(await carriedOut(session, { type: command.type, run_id: run.run_id }));
    setBusy("");
  };
  return html`
    <div class="commands" role="group" aria-label="Commands">
      ${COMMANDS.map((command) => {
        const why = whyNot(session, run, command);
        return html`<button key=${command.type} class=${command.danger ? "danger" : ""} title=${why}
          aria-disabled=${String(Boolean(why))} aria-busy=${String(busy === command.type)}
          onClick=${() => press(command, why)}>${command.label}${command.fields || command.dialog ? "…" : ""}</button>`;
      })}
      <${Wrong} error=${wrong} />
      ${open && html`<${open.dialog ?? Ask} ...${{ session, run, command: open, close: () => setOpen(null) }} />`}
    </div>`;
}

/** Why a command makes no sense now, or is not for this connection; nothing if it may be said. */
function whyNot(session, run, { scope = "control", when, why }) {
  if (!session.may(scope)) return `this takes the scope ${scope}`;
  return when && !when(run) ? why : "";
}

/** Carry a command out and say what came of it; returns the error, if it was refused. */
export async function carriedOut(session, ask) {
  try {
    const receipt = await session.connection.command(ask);
    const { text: said, wrong, link } = told(receipt);
    if (wrong) return { code: receipt.type, message: said };
    session.say(said, { link });
    session.done.set(session.done.value + 1);
    if (receipt.type === "deleted") location.hash = address("runs");
    return null;
  } catch (error) {
    return error;
  }
}

/** A dialog that asks for what a command takes. */
export function Ask({ session, run, command, close, given }) {
  const [fields] = useState(() => command.fields(run, given));
  const [values, setValues] = useState(() => Object.fromEntries(fields.map(({ name, initial }) => [name, initial])));
  return html`
    <${Saying} session=${session} title=${`${command.label} ${run.run_id}`} label=${command.label}
      danger=${command.danger} close=${close}
      ask=${() => ({ type: command.type, run_id: run.run_id, ...values })}>
      <p>${command.intro}</p>
      ${fields.map(
        ({ name, label, schema }) => html`
        <${Field} key=${name} name=${label} schema=${schema} defs=${{}} path=${`ask-${name}`} value=${values[name]}
          change=${(value) => setValues((before) => ({ ...before, [name]: value }))} />`,
      )}
    <//>`;
}

/** The frame of every such dialog: its button, and what was refused beside it. */
export function Saying({ session, title, label, danger, ask, close, children, wide }) {
  const [wrong, setWrong] = useState(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    const error = await carriedOut(session, ask());
    setBusy(false);
    setWrong(error);
    if (!error) close();
  };
  return html`
    <${Dialog} title=${title} close=${close} wide=${wide}>
      <form onSubmit=${submit}>
        <div class="body">${children}</div>
        <footer>
          <${Wrong} error=${wrong} />
          <button type="button" onClick=${close}>Back</button>
          <button class=${danger ? "danger primary" : "primary"} disabled=${busy}>${label}</button>
        </footer>
      </form>
    <//>`;
}

/** Start a run of a graph, with a form for its state. */
export function Submit({ session, close }) {
  const { value: graphs, error } = useAsked(() => session.graphs(), []);
  const [name, setName] = useState("");
  const [values, setValues] = useState({ run_id: `run-${Date.now().toString(36)}`, thread: "", auto_approve: false });
  const [states, setStates] = useState({});
  const graph = graphs?.get(name || graphs.keys().next().value);
  const put = (field) => (value) => setValues((before) => ({ ...before, [field]: value }));
  const defs = graph?.state?.$defs ?? {};
  const state = graph && (states[graph.name] ?? blank(graph.state, defs) ?? {});
  const ask = () => ({ type: "submit", graph: graph.name, state: packed(state), ...values });
  return html`
    <${Saying} session=${session} title="New run" label="Submit" ask=${ask} close=${close} wide>
      <${Wrong} error=${error} />
      ${graphs && !graphs.size && html`<p class="empty">This server knows no graph.</p>`}
      ${
        graph &&
        html`
        <${Field} name="Graph" path="submit-graph" schema=${{ enum: [...graphs.keys()] }} defs=${{}} value=${graph.name}
          change=${setName} />
        <${Field} name="Run" path="submit-run" schema=${{ type: "string" }} defs=${{}} value=${values.run_id}
          change=${put("run_id")} />
        <${Field} name="Thread" path="submit-thread" schema=${{ type: "string", description: "Empty for none." }}
          defs=${{}}
          value=${values.thread} change=${put("thread")} />
        <${Field} name="Approve its barriers automatically" path="submit-auto" schema=${{ type: "boolean" }} defs=${{}}
          value=${values.auto_approve} change=${put("auto_approve")} />
        <${Field} key=${graph.name} name="State" path="state" schema=${graph.state} defs=${defs} value=${state}
          change=${(next) => setStates({ ...states, [graph.name]: next })} />`
      }
    <//>`;
}

/** A new run begins at a place, with the state of this one as it is or edited. */
function Rerun({ session, run, command, close }) {
  const graph = useAsked(async () => (await session.graphs()).get(run.graph), []);
  const state = useAsked(
    () => whole(session.connection, { type: "state", run_id: run.run_id, at: null }, STATE_BYTES),
    [],
  );
  const [values, setValues] = useState({ new_id: newId(run, "rerun"), repeat_effects: false });
  const [place, setPlace] = useState(null);
  const [edited, setEdited] = useState(undefined);
  const places = Object.keys(graph.value?.places ?? {});
  const schema = graph.value?.state;
  const put = (name) => (value) => setValues((before) => ({ ...before, [name]: value }));
  const ask = () => ({
    type: "rerun",
    run_id: run.run_id,
    place: place ?? places[0] ?? "",
    state: edited === undefined ? null : packed(edited),
    ...values,
  });
  return html`
    <${Saying} session=${session} title=${`Rerun ${run.run_id}`} label=${command.label} ask=${ask} close=${close} wide>
      <p>A new run begins at a place, with the state of this one, as it is or edited.</p>
      <${Wrong} error=${graph.error ?? state.error} />
      <${Field} name="Begin at" path="rerun-place" defs=${{}} value=${place ?? places[0] ?? ""} change=${setPlace}
        schema=${places.length ? { enum: places } : { type: "string" }} />
      <${Field} name="New run" path="rerun-id" schema=${{ type: "string" }} defs=${{}} value=${values.new_id}
        change=${put("new_id")} />
      <${Field} name=${effects.label} path="rerun-effects" schema=${effects.schema} defs=${{}}
        value=${values.repeat_effects} change=${put("repeat_effects")} />
      ${
        state.value &&
        (state.value.value === undefined
          ? html`<p class="hint">The state is too large to be edited here.</p>`
          : html`<${Field} name=${edited === undefined ? "State" : "State (edited)"} path="rerun-state"
            schema=${schema ?? {}}
            defs=${schema?.$defs ?? {}} value=${edited === undefined ? state.value.value : edited} change=${setEdited} />`)
      }
    <//>`;
}

/** A decision for a barrier that is not open yet, or no more of those that are kept. */
function Early({ session, run, close }) {
  const graph = useAsked(async () => (await session.graphs()).get(run.graph), []);
  const [barrier, setBarrier] = useState(null);
  const [what, setWhat] = useState("approve, once");
  const names = (graph.value?.barriers ?? []).map(({ name }) => name);
  const named = barrier ?? names[0] ?? "";
  const choices = {
    "approve, once": { decision: { type: "approve" }, keep: "once" },
    "approve, each time": { decision: { type: "approve" }, keep: "always" },
    "reject, once": { decision: { type: "reject", reason: "" }, keep: "once" },
    "reject, each time": { decision: { type: "reject", reason: "" }, keep: "always" },
  };
  const ask = () =>
    what in choices
      ? { type: "decide", run_id: run.run_id, barrier: named, ...choices[what] }
      : { type: "withdraw", run_id: run.run_id, barrier: named };
  return html`
    <${Saying} session=${session} title=${`Decide early in ${run.run_id}`} label="Keep" ask=${ask} close=${close}>
      <p>What is said here waits for its barrier to open.</p>
      <${Field} name="Barrier" path="early-barrier" defs=${{}} value=${named} change=${setBarrier}
        schema=${names.length ? { enum: names } : { type: "string" }} />
      <${Field} name="Decision" path="early-what" defs=${{}} value=${what} change=${setWhat}
        schema=${{ enum: [...Object.keys(choices), "withdraw what is kept"] }} />
    <//>`;
}
