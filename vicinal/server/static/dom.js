// Elements made of text, never of markup.

export const byId = (id) => document.getElementById(id);

/** An element. Props: class, text, on (listeners), data (dataset); the others are attributes; null and false leave one out. */
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") made.className = value;
    else if (name === "text") made.textContent = value;
    else if (name === "on") for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    else if (name === "data") Object.assign(made.dataset, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Text of somebody else: its direction is its own, and what would steer it is shown instead of obeyed. */
export const bdi = (text, props = {}) => el("bdi", { ...props, text: visible(text) });

// Controls, direction overrides and isolates, line separators, tags: as in vicinal/core/visible.py.
const UNSEEN = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2061-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]|\udb40[\udc00-\udc7f]/g;

export const visible = (text) => String(text).replace(/\r\n?/g, "\n").replace(UNSEEN, (found) =>
  [...Array(found.length).keys()].map((at) => `\\u${found.charCodeAt(at).toString(16).padStart(4, "0")}`).join(""));

/** 6691 -> "6,691". */
export const whole = (number) => Number(number).toLocaleString("en");
export const counted = (number, noun) => `${whole(number)} ${noun}${number === 1 ? "" : "s"}`;

/** A score with three digits that count. */
export function scored(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : 3).replace("-", "−");
}

/** Milliseconds as a person reads them. */
export const took = (ms) => (ms < 10 ? `${ms.toFixed(1)} ms` : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

/** A value of metadata as text. */
export const valued = (value) => (typeof value === "string" ? value : JSON.stringify(value));

export function radios(root, name, choices, change) {
  for (const [value, label, title] of choices) {
    const input = el("input", { type: "radio", name, value, on: { change } });
    root.append(el("label", { title }, input, el("span", { text: label })));
  }
}
