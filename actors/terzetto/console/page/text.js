// How times, durations, sizes and values read.

const two = (number) => String(number).padStart(2, "0");

/** `2026-03-01 14:05:09`, local time. */
export function moment(seconds) {
  const at = new Date(seconds * 1000);
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** The same without a day that is today. */
export function clock(seconds) {
  const text = moment(seconds);
  return text.startsWith(moment(Date.now() / 1000).slice(0, 10)) ? text.slice(11) : text.slice(0, 16);
}

/** `850 ms`, `4.2 s`, `3 min 09 s`, `2 h 05 min`, `3 d 4 h`. */
export function duration(seconds) {
  if (!(seconds > 0)) return "0 s";
  if (seconds < 0.9995) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** `512 B`, `3.4 KiB`, `1.2 MiB`. */
export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1048576 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`;
}

export const count = (number) => number.toLocaleString("en");

/** `1 event`, `2,000 events`. */
export const counted = (number, what) => `${count(number)} ${what}${number === 1 ? "" : "s"}`;

export const clipped = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

/** A value in one line, at most so long. */
export function inline(value, length = 120) {
  if (typeof value === "string") return JSON.stringify(clipped(value, length));
  return clipped(JSON.stringify(value) ?? "", length);
}

/** `AWAITING_INPUT` as people read it. */
export const words = (status) => status.toLowerCase().replaceAll("_", " ");

/** Two texts are the same value when they are equal as JSON, whatever the order of keys. */
export function same(one, other) {
  if (one === other) return true;
  if (typeof one !== "object" || typeof other !== "object" || !one || !other) return false;
  const [keys, others] = [Object.keys(one), Object.keys(other)];
  if (Array.isArray(one) !== Array.isArray(other) || keys.length !== others.length) return false;
  return keys.every((key) => key in other && same(one[key], other[key]));
}

/** JSON in base64 of UTF-8, as `submit` and `rerun` take a state. */
export function packed(value) {
  let binary = "";
  for (const byte of new TextEncoder().encode(JSON.stringify(value))) binary += String.fromCharCode(byte);
  return btoa(binary);
}
