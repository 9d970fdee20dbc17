// A graph as a picture: laid out by dagre, drawn as SVG, so that its places can be reached by key and read aloud.

import { html, useLayoutEffect, useMemo, useRef, useState } from "./vendor/htm-preact.js";
import { DRAWN } from "./sign.js";
import { useAsked, useStore } from "./store.js";
import { clipped, words } from "./text.js";

const LINE = 15; // pixels between the baselines of two lines of a label
const PAD = 11;
const [NAME, SMALL, SAID] = ["600 13px", "11px", "600 11px"]; // the fonts, as styles.css has them
const SAID_ROOM = 104; // pixels for a status with its sign
const LABEL = 40; // characters of a line that are shown
const ZOOM = 1.25; // from one size to the next
const [SMALLEST, LARGEST] = [0.3, 2.5];
const [READABLE, FULL] = [0.75, 1]; // what is drawn to fit the pane is not smaller, and not larger

let pen = null;

function widthOf(text, font) {
  pen ??= document.createElement("canvas").getContext("2d");
  pen.font = `${font} system-ui, sans-serif`;
  return pen.measureText(text).width;
}

function boxOf({ shape, label }) {
  if (shape === "start" || shape === "end") return { width: 22, height: 22 };
  const widths = label.map((line, index) => widthOf(clipped(line, LABEL), index ? SMALL : NAME));
  return {
    width: Math.max(SAID_ROOM, ...widths) + PAD * 2 + (shape === "barrier" ? 12 : 0),
    height: LINE * (label.length + 1) + 14,
  };
}

async function laidOut(graph, across) {
  const { Graph: Layout, layout } = await import("./vendor/dagre.js"); // only who looks at a graph waits for it
  const sheet = new Layout({ multigraph: true }).setGraph({
    rankdir: across ? "LR" : "TB",
    nodesep: 18,
    ranksep: 34,
    marginx: 12,
    marginy: 12,
  });
  const known = new Set(graph.figures.map(({ id }) => id));
  for (const figure of graph.figures) sheet.setNode(figure.id, { ...boxOf(figure), figure });
  const loops = []; // which dagre does not draw well
  graph.arrows.forEach((arrow, index) => {
    if (!known.has(arrow.source) || !known.has(arrow.target)) return;
    const text = clipped(arrow.label, LABEL);
    if (arrow.source === arrow.target) {
      loops.push({ arrow, text });
      return;
    }
    const size = text ? { width: widthOf(text, SMALL) + 8, height: 16, labelpos: "c" } : { width: 0, height: 0 };
    sheet.setEdge(arrow.source, arrow.target, { ...size, arrow, text }, String(index));
  });
  layout(sheet);
  const edges = sheet.edges().map((edge) => ({ ...sheet.edge(edge), path: curve(sheet.edge(edge).points) }));
  edges.push(...loops.map(({ arrow, text }) => loop(sheet.node(arrow.source), arrow, text)));
  const { width, height } = sheet.graph();
  const reach = edges.map(({ x, text }) => (text ? x + widthOf(text, SMALL) / 2 + 8 : 0));
  return { width: Math.max(width, ...reach), height, nodes: sheet.nodes().map((id) => sheet.node(id)), edges };
}

/** From the top of a box round its corner to its side. */
function loop(box, arrow, text) {
  const [right, top] = [box.x + box.width / 2, box.y - box.height / 2];
  const tip = { x: right, y: top + 14 };
  const up = `M${right - 18} ${top}C${right - 18} ${top - 24} ${right + 26} ${top - 20} ${right + 20} ${top + 8}`;
  const path = `${up}Q${right + 16} ${top + 14} ${tip.x} ${tip.y}`;
  return {
    arrow,
    text,
    path,
    points: [{ x: right + 18, y: tip.y }, tip],
    x: right + 22 + widthOf(text, SMALL) / 2,
    y: top - 10,
  };
}

/** `places` is a store of what happened at each place; `choose` is called with the name of a place. */
export function Graph({ graph, busy, name, places, chosen, choose }) {
  const shown = useStore(places);
  const [zoom, setZoom] = useState(null); // null fits the pane
  const [across, turn] = useState(false);
  const pane = useRef(null);
  const [room, setRoom] = useState({ width: 0, height: 0 });
  const { value: sheet } = useAsked(() => graph && laidOut(graph, across), [graph, across]);
  const named = useMemo(() => new Map(Object.entries(graph?.places ?? {}).map(([place, id]) => [id, place])), [graph]);
  useLayoutEffect(() => {
    if (!pane.current) return undefined;
    const observer = new ResizeObserver(
      ([
        {
          contentRect: { width, height },
        },
      ]) => setRoom({ width, height }),
    );
    observer.observe(pane.current);
    return () => observer.disconnect();
  }, [Boolean(sheet)]);
  const fitting = sheet ? Math.min(room.width / sheet.width, room.height / sheet.height) : 1;
  const scale = zoom ?? Math.min(FULL, Math.max(READABLE, fitting));
  const resize = (factor) => setZoom(Math.min(LARGEST, Math.max(SMALLEST, scale * factor)));
  return html`
    <section class="pane graph" aria-label=${`Graph ${name}`}>
      <header><h2>Graph</h2><span class="push"></span>
        <button class="plain" aria-label=${across ? "Draw from top to bottom" : "Draw from left to right"}
          onClick=${() => turn(!across)}>${across ? "↓" : "→"}</button>
        <button class="plain" aria-label="Smaller" disabled=${scale <= SMALLEST}
          onClick=${() => resize(1 / ZOOM)}>−</button>
        <button class="plain" aria-label="Larger" disabled=${scale >= LARGEST} onClick=${() => resize(ZOOM)}>+</button>
        <button class="plain" aria-pressed=${String(zoom === null)} onClick=${() => setZoom(null)}>Fit</button>
      </header>
      ${!sheet && html`<p class="empty">${busy ? "Loading" : `This server does not know the graph ${name}.`}</p>`}
      ${
        sheet &&
        html`
        <div class="scroll" ref=${pane} tabindex="0" role="group" aria-label="Picture of the graph">
          <svg width=${sheet.width * scale} height=${sheet.height * scale}
            viewBox=${`0 0 ${sheet.width} ${sheet.height}`}>
            ${sheet.edges.map((edge, index) => html`<${Edge} key=${index} edge=${edge} />`)}
            ${sheet.nodes.map(
              (node) => html`<${Place} key=${node.figure.id} node=${node} place=${named.get(node.figure.id)}
              shown=${shown[named.get(node.figure.id)]} chosen=${chosen} choose=${choose} />`,
            )}
          </svg>
        </div>`
      }
    </section>`;
}

function Edge({ edge: { points, path, arrow, text, x, y } }) {
  const [tip, before] = [points.at(-1), points.at(-2)];
  const angle = (Math.atan2(tip.y - before.y, tip.x - before.x) * 180) / Math.PI;
  return html`
    <g class="edge" data-line=${arrow.line}>
      <path d=${path} />
      <path class="tip" d="M0 0-8-3.6V3.6z" transform=${`translate(${tip.x} ${tip.y}) rotate(${angle})`} />
      ${text && html`<text x=${x} y=${y + 4}><title>${arrow.label}</title>${text}</text>`}
    </g>`;
}

/** A line through the middles between the points, which are bends. */
function curve(points) {
  const [first, ...others] = points;
  const last = others.pop();
  let path = `M${first.x} ${first.y}`;
  others.forEach((point, index) => {
    const next = others[index + 1];
    const end = next ? { x: (point.x + next.x) / 2, y: (point.y + next.y) / 2 } : last;
    path += `Q${point.x} ${point.y} ${end.x} ${end.y}`;
  });
  return others.length ? path : `${path}L${last.x} ${last.y}`;
}

function Place({ node: { x, y, width, height, figure }, place, shown, chosen, choose }) {
  const at = `translate(${x - width / 2} ${y - height / 2})`;
  if (!place) {
    return html`<g class="place end" transform=${at} role="img" aria-label=${figure.shape}>
      <circle cx="11" cy="11" r="8" />${
        figure.shape === "end" &&
        html`<circle class="inner" cx="11" cy="11" r="4"
        />`
      }</g>`;
  }
  const status = shown?.status ?? "";
  const times = shown?.visits > 1 ? ` ×${shown.visits}` : "";
  const said = status ? words(status) + times : "not visited";
  const saidWidth = widthOf(said, SAID);
  const pressed = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose(place);
  };
  return html`
    <g class="place" data-shape=${figure.shape} data-status=${status} data-place=${place} transform=${at} tabindex="0"
      role="button"
      aria-pressed=${String(chosen === place)} aria-label=${`${place}, ${figure.shape}, ${said}${shown?.note ? `, ${shown.note}` : ""}`}
      onClick=${() => choose(place)} onKeyDown=${pressed}>
      <title>${[figure.label.join(" · "), said, shown?.note].filter(Boolean).join("\n")}</title>
      <${Outline} shape=${figure.shape} width=${width} height=${height} />
      ${figure.label.map(
        (line, index) => html`<text class=${index ? "sub" : "name"} x=${width / 2}
        y=${LINE * (index + 1) + 4}>${clipped(line, LABEL)}</text>`,
      )}
      ${
        status &&
        html`<svg class="sign" x=${width / 2 - saidWidth / 2 - 9} y=${height - 18.5} width="10" height="10"
        viewBox="0 0 12 12"><path d=${DRAWN[status]} /></svg>`
      }
      <text class="said" x=${width / 2 + (status ? 6 : 0)} y=${height - 9}>${said}</text>
    </g>`;
}

function Outline({ shape, width, height }) {
  const card = { class: "card", width, height, rx: 6 };
  switch (shape) {
    case "once":
      return html`<rect ...${card} /><rect class="line" x="3" y="3" width=${width - 6} height=${height - 6} rx="4" />`;
    case "barrier":
      return html`<path class="card" d=${`M12 0H${width - 12}L${width} ${height / 2} ${width - 12} ${height}H12L0 ${height / 2}z`} />`;
    case "fork":
      return html`<rect ...${card} x="5" y="-5" /><rect ...${card} />`;
    case "graph":
      return html`<rect ...${card} /><path class="line" d=${`M6 0V${height}M${width - 6} 0V${height}`} />`;
    default:
      return html`<rect ...${card} />`;
  }
}
