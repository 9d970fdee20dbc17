// A form for a value that a JSON Schema describes. What no field fits is edited as JSON; nothing is lost by that.

import { html, useState } from "./vendor/htm-preact.js";
import { words } from "./text.js";

const DEEP = 6; // levels of fields inside fields
const LONG = 60; // characters of a text that is edited in several lines
const MANY = 20; // entries of a list that is edited as JSON

/** The schema that is meant, by its `$ref`s and by what is left when null is taken away. */
export function resolved(schema, defs) {
  let found = schema ?? {};
  for (let depth = 0; depth < 20; depth += 1) {
    const some = (found.anyOf ?? found.oneOf)?.filter((each) => resolvable(each).type !== "null");
    if (found.$ref) found = defs[found.$ref.split("/").pop()] ?? {};
    else if (some?.length === 1 && some.length < (found.anyOf ?? found.oneOf).length)
      found = { ...some[0], nullable: true };
    else return found;
  }
  return {};
}

const resolvable = (schema) => (typeof schema === "object" && schema ? schema : {});

/** A value to begin with: the default, or the emptiest that fits. What has a default of its own is left out. */
export function blank(schema, defs, depth = 0) {
  if (schema && "default" in schema) return structuredClone(schema.default);
  const found = resolved(schema, defs);
  if ("default" in found) return structuredClone(found.default);
  if (found.nullable) return null;
  if (found.enum) return found.enum[0];
  if (found.type === "object" && found.properties && depth < DEEP) {
    const needed = Object.entries(found.properties).filter(
      ([name, part]) => found.required?.includes(name) || "default" in part,
    );
    return Object.fromEntries(needed.map(([name, part]) => [name, blank(part, defs, depth + 1)]));
  }
  return { string: "", integer: 0, number: 0, boolean: false, array: [], object: {} }[found.type] ?? null;
}

/** A schema as good as a value lets one guess: for what is shown at a question, which has none. */
export function guessed(value) {
  if (Array.isArray(value)) return { type: "array" };
  if (value === null) return {};
  if (typeof value === "number") return { type: Number.isInteger(value) ? "integer" : "number" };
  if (typeof value !== "object") return { type: typeof value };
  return { type: "object", properties: Object.fromEntries(Object.entries(value).map(([k, v]) => [k, guessed(v)])) };
}

/** Fields for each part of an object; `changed` names the parts that are marked. */
export function Fields({ schema, defs, value, change, changed, path = "f" }) {
  const found = resolved(schema, defs);
  return html`${Object.entries(found.properties ?? {}).map(
    ([name, part]) => html`
    <${Field} key=${name} name=${name} schema=${part} defs=${defs} value=${value?.[name]} path=${`${path}-${name}`}
      marked=${changed?.has(name)}
      change=${(next) => change({ ...value, [name]: next })} />`,
  )}`;
}

export function Field({ name, schema, defs, value, change, path, marked = false, depth = 0 }) {
  const found = resolved(schema, defs);
  const simple = kindOf(found, value);
  const hint = found.description ?? schema?.description;
  if (depth < DEEP && found.type === "object" && found.properties && value && typeof value === "object") {
    return html`
      <fieldset class=${marked ? "marked" : ""}>
        <legend>${name}${marked && html` <em>changed</em>`}</legend>
        ${Object.entries(found.properties).map(
          ([part, inner]) => html`
          <${Field} key=${part} name=${part} schema=${inner} defs=${defs} value=${value[part]} depth=${depth + 1}
            path=${`${path}-${part}`} change=${(next) => change({ ...value, [part]: next })} />`,
        )}
        ${found.nullable && html`<${Nothing} change=${change} />`}
      </fieldset>`;
  }
  if (depth < DEEP && found.type === "array" && Array.isArray(value) && value.length <= MANY && scalar(found, defs)) {
    return html`<${List} ...${{ name, found, defs, value, change, path, marked, depth }} />`;
  }
  return html`
    <div class=${`field ${marked ? "marked" : ""}`}>
      <label for=${path}>${name}${marked && html` <em>changed</em>`}</label>
      <${simple} id=${path} found=${found} defs=${defs} value=${value} change=${change} />
      ${hint && html`<p class="hint">${hint}</p>`}
      ${found.nullable && value !== null && simple !== Raw && html`<${Nothing} change=${change} />`}
    </div>`;
}

function kindOf(found, value) {
  if (value === undefined) return Absent;
  if (value === null && found.nullable) return found.type && blankable(found) ? Absent : Raw;
  if (found.enum && found.enum.every((each) => typeof each !== "object")) return Choice;
  if (found.type === "boolean" && typeof value === "boolean") return Check;
  if ((found.type === "integer" || found.type === "number") && typeof value === "number") return Numeric;
  if (found.type === "string" && typeof value === "string") return Text;
  return Raw;
}

const blankable = (found) => ["string", "integer", "number", "boolean", "array", "object"].includes(found.type);
const scalar = (found, defs) => ["string", "integer", "number"].includes(resolved(found.items, defs).type);

function Nothing({ change }) {
  return html`<button type="button" class="link" onClick=${() => change(null)}>set to nothing</button>`;
}

function Absent({ id, found, defs, value, change }) {
  const { default: _, nullable: __, ...plain } = found;
  return html`<div class="absent"><span class="dim">${value === null ? "nothing" : "its default"}</span>
    <button type="button" id=${id} class="link" onClick=${() => change(blank(plain, defs))}>set a value</button></div>`;
}

function Text({ id, value, change }) {
  const typed = (event) => change(event.currentTarget.value);
  if (value.length > LONG || value.includes("\n")) {
    return html`<textarea id=${id} rows=${Math.min(12, value.split("\n").length + 1)} value=${value} onInput=${typed}
      />`;
  }
  return html`<input id=${id} type="text" value=${value} onInput=${typed} />`;
}

function Numeric({ id, found, value, change }) {
  const [text, setText] = useState(null);
  const typed = ({ currentTarget }) => {
    const number = currentTarget.valueAsNumber;
    setText(currentTarget.value);
    if (!Number.isNaN(number)) change(number);
  };
  const bounds = { min: found.minimum, max: found.maximum, step: found.type === "integer" ? 1 : "any" };
  return html`<input id=${id} type="number" ...${bounds} value=${text ?? value} onInput=${typed} required />`;
}

function Check({ id, value, change }) {
  return html`<input id=${id} type="checkbox" checked=${value}
    onChange=${(event) => change(event.currentTarget.checked)} />`;
}

function Choice({ id, found, value, change }) {
  const options = found.nullable ? [...found.enum, null] : found.enum;
  const chosen = (event) => change(options[event.currentTarget.selectedIndex]);
  return html`<select id=${id} onChange=${chosen}>${options.map(
    (option) => html`
    <option selected=${option === value}>${option === null ? "nothing" : String(option)}</option>`,
  )}</select>`;
}

function Raw({ id, value, change }) {
  const [text, setText] = useState(null);
  const shown = text ?? JSON.stringify(value, null, 2) ?? "null";
  const typed = ({ currentTarget }) => {
    setText(currentTarget.value);
    let wrong = "";
    try {
      change(JSON.parse(currentTarget.value));
    } catch (error) {
      wrong = `This is not JSON: ${error.message}`;
    }
    currentTarget.setCustomValidity(wrong);
  };
  return html`<textarea id=${id} class="code" rows=${Math.min(10, shown.split("\n").length)} value=${shown}
    onInput=${typed}
    aria-label=${`${words(id.split("-").pop())}, as JSON`} spellcheck="false" />`;
}

function List({ name, found, defs, value, change, path, marked, depth }) {
  const put = (index, next) => change(value.map((each, place) => (place === index ? next : each)));
  return html`
    <fieldset class=${marked ? "marked" : ""}>
      <legend>${name}${marked && html` <em>changed</em>`}</legend>
      ${value.map(
        (item, index) => html`
        <div class="item" key=${index}>
          <${Field} name=${String(index + 1)} schema=${found.items} defs=${defs} value=${item} depth=${depth + 1}
            path=${`${path}-${index}`} change=${(next) => put(index, next)} />
          <button type="button" class="plain" aria-label=${`Remove item ${index + 1} of ${name}`}
            onClick=${() => change(value.filter((_, place) => place !== index))}>✕</button>
        </div>`,
      )}
      <button type="button" class="link" onClick=${() => change([...value, blank(found.items, defs)])}>add an item</button>
    </fieldset>`;
}
