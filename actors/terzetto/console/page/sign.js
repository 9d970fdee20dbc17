// Statuses: each has a colour, a sign of its own shape, and its name, so that none of them needs the others.

import { html } from "./vendor/htm-preact.js";
import { words } from "./text.js";

export const RUN_STATUSES = [
  "QUEUED",
  "RUNNING",
  "AWAITING_INPUT",
  "PAUSED",
  "CANCELLING",
  "INTERRUPTED",
  "SUCCEEDED",
  "FAILED",
  "CANCELLED",
];
export const TERMINAL = new Set(["SUCCEEDED", "FAILED", "CANCELLED"]);

export const DRAWN = {
  QUEUED: "M6 1.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9z",
  PENDING: "M6 1.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9z",
  RUNNING: "M3 1.5v9l7.5-4.5z",
  AWAITING_INPUT: "M6 .8 11.2 6 6 11.2.8 6zM6 3.6v3M6 8v.6",
  WAITING_RETRY: "M10 6a4 4 0 1 1-1.2-2.9M10 .8v2.7H7.3",
  PAUSED: "M3.5 1.5v9M8.5 1.5v9",
  CANCELLING: "M2 6h8M1.2 2.2l9.6 7.6",
  INTERRUPTED: "M7 .8 3 6.5h6L5 11.2",
  SUCCEEDED: "M1.5 6.5 4.7 9.7 10.5 2.5",
  FAILED: "M2 2l8 8M10 2l-8 8",
  CANCELLED: "M6 1.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM2.9 2.9l6.2 6.2",
  UNKNOWN: "M3.5 4a2.5 2.5 0 1 1 3.6 2.2C6.3 6.6 6 7 6 7.8M6 10v.6",
  SKIPPED: "M2 6h8",
};

export function Sign({ status }) {
  return html`<svg class="sign" viewBox="0 0 12 12" aria-hidden="true"><path d=${DRAWN[status] ?? DRAWN.UNKNOWN}
    /></svg>`;
}

export function Status({ status }) {
  return html`<span class="status" data-status=${status}><${Sign} status=${status} />${words(status)}</span>`;
}
