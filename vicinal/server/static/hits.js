// One result: what it says, why it was found, and all of it.
import { bdi, el, scored, valued, visible, whole } from "./dom.js";

export const NAMES = { dense: "Meaning", lexical: "Words", rerank: "Reranker" };
const ROOM = 360; // characters of a passage that are shown at first
const MOST_TAGS = 8, MOST_SHOWN = 200_000;

/** Cuts by characters as the server counts them, which are not JavaScript's. */
function cutter(text) {
  if (!/[\ud800-\udfff]/.test(text)) return (from, to) => text.slice(from, to);
  const characters = Array.from(text);
  return (from, to) => characters.slice(from, to).join("");
}
const lengthOf = (text) => (/[\ud800-\udfff]/.test(text) ? Array.from(text).length : text.length);

/** Text with marks at spans, from one character to another. */
function marked(cut, spans, from, to) {
  const parts = [];
  let at = from;
  for (const [start, end] of spans) {
    if (start < at || end > to) continue;
    if (start > at) parts.push(visible(cut(at, start)));
    parts.push(el("mark", { text: visible(cut(start, end)) }));
    at = end;
  }
  if (at < to) parts.push(visible(cut(at, to)));
  return parts;
}

/** The part of a passage that holds most of the query's words. */
function window_(length, spans) {
  if (length <= ROOM) return [0, length];
  let best = 0, most = -1;
  for (const start of [0, ...spans.map(([from]) => Math.max(0, from - 60))]) {
    const inside = spans.filter(([from, to]) => from >= start && to <= start + ROOM).length;
    if (inside > most) [best, most] = [start, inside];
  }
  return [best, Math.min(length, best + ROOM)];
}

function snippet(hit) {
  const { text, start, matches } = hit.passage;
  const cut = cutter(text), length = lengthOf(text);
  const spans = matches.map(([from, to]) => [from - start, to - start]);
  let [from, to] = window_(length, spans);
  if (from > 0) while (from < to && !/\s/.test(cut(from - 1, from)) && to - from > ROOM - 40) from++;
  const parts = marked(cut, spans, from, to);
  if (!text.trim()) return el("p", { class: "passage none", text: "This document has no text." });
  return el("p", { class: "passage", dir: "auto" },
    from > 0 || start > 0 ? "… " : null, ...parts, to < length || hit.passage.end < lengthOf(hit.text) ? " …" : null);
}

const titleOf = (hit) => (typeof hit.metadata.title === "string" && hit.metadata.title.trim() ? hit.metadata.title : hit.id);

function bar(kind, share) {
  const fill = el("i");
  fill.style.setProperty("--share", String(Math.max(0, Math.min(1, share)).toFixed(3)));
  return el("div", { class: `bar ${kind}`, "aria-hidden": "true" }, fill);
}

/** What found a hit: name, score, rank and share of the best score among these results. */
export function evidence(hit, best) {
  const rows = Object.entries(hit.ranks).filter(([, rank]) => rank !== null)
    .map(([name, rank]) => ({ name, score: hit.scores[name], rank, share: best[name] > 0 ? hit.scores[name] / best[name] : 0 }));
  // A cross-encoder's score may be a logit: bars are of those above the lowest.
  if (hit.scores.rerank !== null && hit.scores.rerank !== undefined) {
    const [low, high] = best.rerank;
    rows.push({ name: "rerank", score: hit.scores.rerank, rank: hit.rerankRank, share: low >= 0 ? hit.scores.rerank / (high || 1) : high > low ? 0.05 + 0.95 * (hit.scores.rerank - low) / (high - low) : 1 });
  }
  return rows;
}

/** Which place the reranker's score gives each hit among these. */
export function rankByReranker(hits) {
  const scores = hits.map((hit) => hit.scores.rerank).filter((score) => typeof score === "number");
  for (const hit of hits) if (typeof hit.scores.rerank === "number") hit.rerankRank = 1 + scores.filter((score) => score > hit.scores.rerank).length;
}

/** The best score of each retriever among the hits. */
export function bests(hits) {
  const best = {};
  for (const hit of hits) for (const [name, score] of Object.entries(hit.scores)) {
    if (name !== "rerank" && score !== null) best[name] = Math.max(best[name] ?? 0, score);
  }
  const reranked = hits.map((hit) => hit.scores.rerank).filter((score) => score !== null && score !== undefined);
  best.rerank = [Math.min(...reranked), Math.max(...reranked)];
  return best;
}

const nameOf = (name) => NAMES[name] ?? name;

function bars(rows) {
  return el("div", { class: "bars", role: "group", "aria-label": "Scores" }, ...rows.map((row) => el("div", { class: "row-of" },
    el("span", { text: nameOf(row.name) }), bar(row.name, row.share),
    el("span", { class: "value", text: scored(row.score) }),
    el("span", { title: "Rank by this retriever", text: `#${whole(row.rank)}` }))));
}

const ordinal = (n) => `${whole(n)}${["th", "st", "nd", "rd"][n % 100 > 10 && n % 100 < 14 ? 0 : n % 10] ?? "th"}`;

/** In a sentence: why it was found. */
function inWords(hit, rows, mode) {
  const found = rows.filter((row) => row.name !== "rerank").map((row) => `${ordinal(row.rank)} by ${nameOf(row.name).toLowerCase()}`);
  let text = found.length ? `${found.join(" and ")}.` : "Found by no retriever alone.";
  text = text[0].toUpperCase() + text.slice(1);
  if (["hybrid", "best"].includes(mode) && rows.filter((row) => row.name !== "rerank").length === 1) {
    const missing = rows[0].name === "dense" ? "words" : "meaning";
    text += ` It is not among the best by ${missing}.`;
  }
  if (rows.some((row) => row.name === "rerank")) text += ` The reranker read it and put it ${ordinal(hit.rerankRank)} of these results.`;
  return text;
}

function why(hit, rows, mode) {
  const words = new Map();
  const cut = cutter(hit.passage.text);
  for (const [from, to] of hit.passage.matches) {
    const word = cut(from - hit.passage.start, to - hit.passage.start).toLowerCase();
    words.set(word, (words.get(word) ?? 0) + 1);
  }
  const shown = [...rows];
  const reranked = rows.some((row) => row.name === "rerank");
  // A reranker's score is the final one, but in the mode "best", which blends both.
  if (mode === "best" || (mode === "hybrid" && !reranked)) {
    shown.push({ name: reranked ? "Blended" : "Fused", score: hit.score, rank: hit.place, share: Math.min(1, hit.score) });
  }
  return el("div", { class: "why" },
    el("h3", { text: "Why this hit" }),
    el("p", { text: inWords(hit, rows, mode) }),
    el("table", {},
      el("thead", {}, el("tr", {}, ...["Found by", "", "Score", "Rank"].map((text) => el("th", { scope: "col", text })))),
      el("tbody", {}, ...shown.map((row) => el("tr", {}, el("th", { scope: "row", text: nameOf(row.name) }),
        el("td", { class: "wide" }, bar(row.name, row.share)), el("td", { text: scored(row.score) }), el("td", { text: whole(row.rank) }))))),
    el("h3", { text: "Words of the query in its passage" }),
    words.size ? el("ul", { class: "words" }, ...[...words].map(([word, count]) => el("li", {}, el("mark", {}, bdi(word)), count > 1 ? ` × ${count}` : ""))) : el("p", { text: "None: it was found by meaning alone." }),
    hit.duplicates?.length ? el("h3", { text: "The same passage stands in" }) : null,
    hit.duplicates?.length ? el("p", {}, bdi(hit.duplicates.slice(0, 20).join(", ")), hit.duplicates.length > 20 ? ` and ${hit.duplicates.length - 20} more` : "") : null,
    el("h3", { text: "Document" }),
    el("dl", { class: "facts" }, el("dt", { text: "id" }), el("dd", {}, bdi(hit.id)),
      ...Object.entries(hit.metadata).flatMap(([field, value]) => [el("dt", {}, bdi(field)), el("dd", {}, bdi(valued(value)))])));
}

function whole_(hit) {
  const cut = cutter(hit.text), length = lengthOf(hit.text);
  const { start, end, matches } = hit.passage;
  const last = Math.min(length, MOST_SHOWN);
  const all = start === 0 && end === length;
  return el("div", { class: "whole" },
    el("h3", { text: all ? `Whole text, ${whole(length)} characters` : `Whole text; the best passage is characters ${whole(start + 1)} to ${whole(end)} of ${whole(length)}` }),
    el("div", { class: "whole-text", dir: "auto", tabindex: "0", role: "region", "aria-label": "Whole text" },
      visible(cut(0, Math.min(start, last))),
      el("span", { class: all ? "" : "best" }, ...marked(cut, matches, start, Math.min(end, last))),
      visible(cut(end, last)),
      last < length ? ` … (${whole(length - last)} more characters)` : ""));
}

/** A list item for a hit. */
export function hitItem(hit, { best, mode, filter }) {
  const rows = evidence(hit, best);
  const details = el("div", { class: "details", id: `details-${hit.place}`, hidden: true });
  const title = titleOf(hit);
  const open = el("button", { class: "open", type: "button", "aria-expanded": "false", "aria-controls": details.id },
    el("span", { class: "number", text: String(hit.place) }), bdi(title, { class: "name" }));
  const item = el("li", { class: "hit", data: { id: hit.id } });
  const toggle = (wanted = open.getAttribute("aria-expanded") !== "true") => {
    if (wanted && !details.childNodes.length) details.append(why(hit, rows, mode), whole_(hit));
    open.setAttribute("aria-expanded", String(wanted));
    details.hidden = !wanted;
  };
  open.addEventListener("click", () => toggle());
  item.close = () => toggle(false);
  const tags = Object.entries(hit.metadata).filter(([field, value]) => field !== "title" && value !== null && value !== "" && (typeof value !== "object" || (Array.isArray(value) && value.every((each) => typeof each !== "object"))))
    .flatMap(([field, value]) => [value].flat().map((each) => [field, each]));
  const tag = ([field, value]) => {
    const short = valued(value).length > 80 ? `${valued(value).slice(0, 79)}…` : valued(value);
    return el("button", { class: "tag", type: "button", "aria-label": `Only ${visible(field)} ${visible(short)}`, on: { click: () => filter([field, "=", value]) } }, bdi(field), el("b", {}, bdi(short)));
  };
  item.append(
    el("h2", {}, open), bars(rows),
    snippet(hit),
    tags.length ? el("div", { class: "tags" }, ...tags.slice(0, MOST_TAGS).map(tag), tags.length > MOST_TAGS ? el("span", { class: "tag", text: `+${tags.length - MOST_TAGS}` }) : null) : null,
    details);
  return item;
}
