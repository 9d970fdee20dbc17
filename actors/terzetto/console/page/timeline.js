// Visits as bars over time: what overlaps, what was tried again, what waited. Idle time can be folded away.

import { html, useMemo, useState } from "./vendor/htm-preact.js";
import { Sign, TERMINAL } from "./sign.js";
import { useNow, useStore } from "./store.js";
import { count, duration, moment, words } from "./text.js";
import { Windowed } from "./windowed.js";

const ROW = 24;
const ZOOMS = [1, 2, 4, 8, 16, 32];
const TICKS = 6; // in the width of the pane
const LONG = 0.15; // a time is folded when nothing is done for longer than that part of all work
const FOLDED = 0.07; // how much room it takes then, as a part of that of all work
const FOLDED_ALL = 0.5; // and all of them together
const FOLDS = 12; // folded times that are drawn in every row
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];

/** Times in which something is tried, or is to be tried again, merged and in order. */
function busyTimes(spans, end) {
  const times = [];
  for (const { tries, waits } of spans) {
    for (const one of tries) times.push([one.begin, one.end ?? end]);
    for (const one of waits) if (one.what === "retry") times.push([one.begin, Math.min(one.end ?? end, end)]);
  }
  times.sort((one, other) => one[0] - other[0]);
  const merged = [];
  for (const [from, to] of times) {
    if (merged.length && from <= merged.at(-1)[1]) merged.at(-1)[1] = Math.max(merged.at(-1)[1], to);
    else merged.push([from, to]);
  }
  return merged;
}

/** Where each time stands, from 0 to 1; with `fold` a long time in which nothing is done takes little room. */
class Scale {
  constructor(spans, begin, end, fold) {
    this.begin = begin;
    this.end = Math.max(end, begin + 0.001);
    this.parts = fold
      ? partsOf(busyTimes(spans, this.end), begin, this.end)
      : [{ from: begin, to: this.end, folded: false }];
    this.folds = this.parts.filter((part) => part.folded);
    const work = this.parts.reduce((sum, part) => sum + (part.folded ? 0 : part.to - part.from), 0) || 0.001;
    const each = work * Math.min(FOLDED, FOLDED_ALL / this.folds.length);
    const room = work + each * this.folds.length;
    let left = 0;
    for (const part of this.parts) {
      part.left = left;
      part.width = (part.folded ? each : part.to - part.from) / room;
      left += part.width;
    }
    this.shown = work; // seconds that are not folded away
  }

  at(time) {
    if (time <= this.begin) return 0;
    if (time >= this.end) return 1;
    let [low, high] = [0, this.parts.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.parts[middle].to < time) low = middle + 1;
      else high = middle;
    }
    const part = this.parts[low];
    return part.left + ((time - part.from) / (part.to - part.from)) * part.width;
  }

  /** Seconds since the beginning at which a tick stands, so far apart that their texts have room. */
  ticks(many) {
    const wanted = this.shown / many;
    const step =
      wanted < 1
        ? 10 ** Math.ceil(Math.log10(wanted))
        : (STEPS.find((each) => each >= wanted) ?? Math.ceil(wanted / 86400) * 86400);
    const ticks = [];
    let taken = -1;
    for (const part of this.parts.filter(({ folded }) => !folded)) {
      const since = part.from - this.begin;
      for (let tick = since; tick <= part.to - this.begin; tick = (Math.floor(tick / step + 1e-9) + 1) * step) {
        const at = this.at(this.begin + tick);
        if (at < taken + 0.55 / many) continue;
        ticks.push(tick);
        taken = at;
      }
    }
    return ticks;
  }
}

/** All the time as parts, of which those are folded in which nothing is done for long. */
function partsOf(busy, begin, end) {
  const work = busy.reduce((sum, [from, to]) => sum + to - from, 0);
  const parts = [];
  let at = begin;
  const add = (to, folded) => {
    if (to > at) parts.push({ from: at, to, folded });
    at = Math.max(at, to);
  };
  for (const [from, to] of busy) {
    add(from, from - at > work * LONG);
    add(to, false);
  }
  add(end, end - at > work * LONG);
  return parts;
}

const percent = (fraction) => `${(fraction * 100).toFixed(4)}%`;

export function Timeline({ spans: store, view, chosen, choose }) {
  const { spans: all, more } = useStore(store);
  const ended = TERMINAL.has(view.status);
  const now = useNow(ended ? 0 : 1);
  const [zoom, setZoom] = useState(0);
  const [fold, setFold] = useState(true);
  const [visit, setVisit] = useState(null);
  const spans = useMemo(
    () => (chosen ? all.filter(({ node }) => node.split("/")[0].split(".")[0] === chosen) : all),
    [all, chosen],
  );
  const scale = useMemo(() => {
    const begin = all.reduce((least, span) => Math.min(least, span.begin), all[0]?.begin ?? view.submitted);
    const last = all.reduce((most, span) => Math.max(most, span.end ?? 0), begin);
    return new Scale(all, begin, ended ? Math.max(last, begin) : Math.max(now, last), fold);
  }, [all, fold, ended, ended ? 0 : Math.floor(now)]);
  const detail = spans.find((span) => span.visit === visit);
  const track = { "--zoom": ZOOMS[zoom] };
  return html`
    <section class="pane timeline" aria-label="Time line of visits">
      <header><h2>Visits</h2>
        <span class="dim">${count(spans.length)}${more ? ", the first ones" : ""}${
          chosen
            ? html` at ${chosen} <button
          class="link" onClick=${() => choose(chosen)}>show all</button>`
            : ""
        }</span>
        <span class="push"></span>
        <label class="switch"><input type="checkbox" checked=${fold}
          onChange=${(event) => setFold(event.currentTarget.checked)} /> fold idle time</label>
        <button class="plain" aria-label="Less of a time" disabled=${!zoom}
          onClick=${() => setZoom(zoom - 1)}>−</button>
        <button class="plain" aria-label="More of a time" disabled=${zoom === ZOOMS.length - 1}
          onClick=${() => setZoom(zoom + 1)}>+</button>
      </header>
      ${
        !spans.length
          ? html`<p class="empty">Nothing was visited${chosen ? ` at ${chosen}` : ""} yet.</p>`
          : html`<div class="chart" style=${track}><${Windowed} className="gantt" label="Visits" items=${spans}
            rowHeight=${ROW}
            keyOf=${(span) => span.visit} active=${visit} open=${(span) => setVisit(span.visit === visit ? null : span.visit)}
            head=${html`<${Axis} scale=${scale} zoom=${ZOOMS[zoom]} />`}
            row=${(span) => html`<${Row} span=${span} scale=${scale} now=${ended ? scale.end : now} />`} /></div>`
      }
      <${Legend} />
      ${detail && html`<${Detail} span=${detail} now=${now} />`}
    </section>`;
}

/** The place, and the branch that it is in where that has a name of its own. */
function nameOf(node) {
  const parts = node.split("/");
  return parts.length < 3 || parts.at(-2) === parts.at(-1) ? parts.at(-1) : parts.slice(-2).join("/");
}

function Axis({ scale, zoom }) {
  return html`
    <span role="columnheader" class="label">Visit</span>
    <span role="columnheader" class="track" aria-label="Time since the first visit">
      ${scale.folds.map(
        (
          part,
          index,
        ) => html`<i key=${index} class="fold" title=${`nothing was done for ${duration(part.to - part.from)}`}
        style=${{ left: percent(part.left), width: percent(part.width) }}></i>`,
      )}
      ${scale.ticks(TICKS * zoom).map(
        (tick) => html`<i key=${tick} class="tick"
        style=${{ left: percent(scale.at(scale.begin + tick)) }}>${tick ? `+${duration(tick)}` : "0"}</i>`,
      )}
    </span>`;
}

function Row({ span, scale, now }) {
  const folds = scale.folds.length <= FOLDS ? scale.folds : [];
  const bar = (kind, { begin, end }, said) => {
    const left = scale.at(begin);
    const style = { left: percent(left), width: percent(scale.at(end ?? now) - left) };
    const title = `${said}, ${duration((end ?? now) - begin)}`;
    return html`<i key=${kind + begin} class=${`bar ${kind}`} data-open=${String(end === null)} title=${title}
      style=${style}></i>`;
  };
  const inside = Math.min(4, span.node.split("/").length - 1);
  const took = duration((span.end ?? now) - span.begin);
  return html`
    <span role="rowheader" class="label" data-status=${span.status} title=${span.node}><${Sign} status=${span.status}
      /><span class="text" style=${{ paddingLeft: `${inside * 9}px` }}>${nameOf(span.node)}</span><span
      class="dim">${span.visit}</span></span>
    <span role="gridcell" class="track" data-status=${span.status}
      aria-label=${`${words(span.status)}, ${took}, ${span.tries.length} attempts, ${span.waits.length} waits`}>
      ${folds.map(
        (part) => html`<i key=${`f${part.from}`} class="fold"
        style=${{ left: percent(part.left), width: percent(part.width) }}></i>`,
      )}
      ${span.waits.map((wait) => bar(`wait ${wait.what}`, wait, waited(wait)))}
      ${span.tries.map((one) => bar(one.failed ? "try failed" : "try", one, attempted(one)))}
    </span>`;
}

function Legend() {
  return html`<p class="legend" aria-hidden="true">
    <span><i class="bar try"></i> works</span><span><i class="bar try failed"></i> attempt failed</span>
    <span><i class="bar wait retry"></i> rests before a retry</span><span><i
      class="bar wait barrier"></i> waits for a person</span></p>`;
}

const waited = ({ what, barrier }) => (what === "retry" ? "rest before the next attempt" : `waits for ${barrier}`);
const attempted = ({ number, failed }) => `attempt ${number}${failed ? " failed" : ""}`;

function Detail({ span, now }) {
  const line = (said, { begin, end }) => {
    const took = `${duration((end ?? now) - begin)}${end === null ? " so far" : ""}`;
    return html`<li>${said}: ${moment(begin)}, ${took}</li>`;
  };
  return html`
    <div class="detail" role="region" aria-label=${`Visit ${span.visit}`}>
      <h3>${span.node} <span class="dim">visit ${span.visit}, ${words(span.status)}</span></h3>
      <ul>
        ${span.tries.map((one) => line(attempted(one), one))} ${span.waits.map((wait) => line(waited(wait), wait))}
      </ul>
    </div>`;
}
