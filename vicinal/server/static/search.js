// The view that searches an index.
import { request } from "./api.js";
import { byId, counted, el, radios, took, whole } from "./dom.js";
import { fromParams, same, showChips, showFacets, toFilter, toPairs, typed } from "./filters.js";
import { bests, hitItem, rankByReranker } from "./hits.js";
import { write } from "./state.js";

const MODES = [
  ["hybrid", "Hybrid", "By meaning and by words, fused"],
  ["dense", "Meaning", "By the vectors' similarity (dense)"],
  ["lexical", "Words", "By the words of the query (BM25)"],
  ["best", "Best", "Hybrid, and the best candidates read again where there is a reranker"],
];
const PAUSE = 220; // milliseconds after the last key

let app, timer = 0, running = null, done = "", hits = [], last = [];

const mode = () => document.querySelector("#modes input:checked")?.value ?? "hybrid";
const items = () => [...byId("hits").children];

/** Set up once. */
export function begin(shared) {
  app = shared;
  const known = app.about.modes ?? ["dense", "lexical", "hybrid"];
  radios(byId("modes"), "mode", MODES.filter(([name]) => known.includes(name)), () => go());
  byId("rerank-option").hidden = !app.about.rerankers.length;
  byId("reranker").append(...app.about.rerankers.map((entry) => el("option", { value: entry.id, text: entry.id })));
  byId("rerank").addEventListener("change", () => go());
  for (const id of ["reranker", "top-k"]) byId(id).addEventListener("change", () => go());
  byId("search-form").addEventListener("submit", (event) => { event.preventDefault(); go({ again: true }); });
  byId("query").addEventListener("input", () => {
    clearTimeout(timer);
    // A reranker takes its time: it waits for Enter.
    if (!byId("rerank").checked && !(mode() === "best" && app.about.rerankers.length)) timer = setTimeout(() => go({ replace: true }), PAUSE);
  });
  byId("add-filter").addEventListener("click", () => openFilter(byId("filter-form").hidden));
  byId("filter-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = byId("filter-field").value.trim();
    if (!field) return;
    toggle([field, byId("filter-op").value, typed(byId("filter-value").value, field, hits)], true);
    byId("filter-value").value = "";
    openFilter(false);
  });
  document.addEventListener("keydown", pressed);
}

function openFilter(wanted) {
  byId("filter-form").hidden = !wanted;
  byId("add-filter").setAttribute("aria-expanded", String(wanted));
  if (wanted) byId("filter-field").focus();
}

let filters = [];

function toggle(filter, only = false) {
  const there = filters.some((each) => same(each, filter));
  filters = there && !only ? filters.filter((each) => !same(each, filter)) : there ? filters : [...filters, filter];
  go();
}

/** The state of the form becomes the address, and the address is shown. */
function go({ replace = false, again = false } = {}) {
  clearTimeout(timer);
  const pairs = current();
  write("search", pairs, { replace });
  if (again) done = "";
  show(new URLSearchParams(pairs.filter(([, value]) => value !== null && value !== "")));
}

function current() {
  return [
    ["index", app.index?.id ?? null],
    ["q", byId("query").value],
    ["mode", mode() === "hybrid" ? null : mode()],
    ["k", byId("top-k").value === "10" ? null : byId("top-k").value],
    ["rerank", byId("rerank").checked ? byId("reranker").value || "1" : null],
    ...toPairs(filters),
  ];
}

/** What to come back to from another view. */
export const remembered = () => last;

export function show(params) {
  last = [...params].filter(([name]) => name !== "index");
  const query = params.get("q") ?? "";
  if (byId("query").value !== query) byId("query").value = query;
  const wanted = params.get("mode") ?? "hybrid";
  for (const radio of document.querySelectorAll("#modes input")) radio.checked = radio.value === wanted;
  const [first] = document.querySelectorAll("#modes input");
  if (first && !document.querySelector("#modes input:checked")) first.checked = true;
  byId("top-k").value = params.get("k") ?? "10";
  if (byId("top-k").selectedIndex < 0) byId("top-k").value = "10";
  const reranker = params.get("rerank");
  byId("rerank").checked = Boolean(reranker) && app.about.rerankers.length > 0;
  if (app.about.rerankers.some((entry) => entry.id === reranker)) byId("reranker").value = reranker;
  byId("reranker-option").hidden = !byId("rerank").checked || app.about.rerankers.length < 2;
  filters = fromParams(params);
  showChips(filters, (filter) => toggle(filter));
  byId("fields").replaceChildren(...(app.index?.fields ?? []).map((field) => el("option", { value: field })));
  const asked = JSON.stringify(current());
  if (asked === done) return;
  done = asked;
  search(query.trim());
}

async function search(query) {
  running?.abort();
  const mine = running = new AbortController();
  if (!app.index || !query) {
    settle([], "");
    showEmpty();
    return;
  }
  byId("search").setAttribute("aria-busy", "true");
  const body = { index: app.index.id, query, top_k: Number(byId("top-k").value), mode: mode() };
  const where = toFilter(filters);
  if (where) body.filter = where;
  if (byId("rerank").checked) body.rerank = byId("reranker").value || true;
  try {
    const answer = await request("v1/search", { body, signal: mine.signal });
    if (mine !== running) return;
    const found = answer.content.hits.map((hit, at) => ({ ...hit, place: at + 1 }));
    settle(found, summary(found, answer));
    if (!found.length) nothing(query);
  } catch (error) {
    if (error.name === "AbortError" || mine !== running) return;
    settle([], error.message, true);
    done = "";
  }
}

function summary(found, answer) {
  const inside = answer.content.milliseconds;
  const name = MODES.find(([each]) => each === mode())?.[1] ?? mode();
  const { reranker, candidates, left_out: leftOut = [] } = answer.content.report ?? {};
  const read = reranker ? `${counted(candidates, "passage")} read by ${reranker}` : null;
  return [counted(found.length, "result"), name.toLowerCase(), read, `${took(inside)} in the server, ${took(answer.ms)} in all`, ...leftOut]
    .filter(Boolean).join(" · ");
}

function settle(found, text, bad = false) {
  hits = found;
  byId("search").removeAttribute("aria-busy");
  byId("summary").textContent = text;
  byId("summary").classList.toggle("bad", bad);
  byId("search-empty").replaceChildren();
  const best = bests(found);
  rankByReranker(found);
  byId("hits").replaceChildren(...found.map((hit) => hitItem(hit, { best, mode: mode(), filter: (filter) => toggle(filter, true) })));
  showFacets(found, filters, toggle);
}

function nothing(query) {
  byId("search-empty").replaceChildren(
    el("h2", { text: "Nothing found" }),
    el("p", { text: filters.length ? "No document fits the query and all filters. Remove a filter above." : mode() === "lexical" ? "No document holds a word of the query. Search by meaning instead, or check the spelling." : `No document was found for “${query.slice(0, 80)}”.` }));
}

function showEmpty() {
  const root = byId("search-empty"), index = app.index;
  if (!index) {
    root.replaceChildren(el("h2", { text: "No index is served" }), el("p", { text: "Start the server with one: vicinal serve --index notes.db" }));
    return;
  }
  const facts = [["Problem", index.problem], ["Documents", whole(index.documents)], ["Model", index.model], ["Fields", (index.fields ?? []).join(", ")]].filter(([, value]) => value);
  root.replaceChildren(
    el("h2", { text: `Search ${index.id}` }),
    el("p", {}, "Ask in your own words. ", el("kbd", { text: "/" }), " goes to the search field, ", el("kbd", { text: "↑" }), " ", el("kbd", { text: "↓" }), " through the results, ", el("kbd", { text: "Enter" }), " opens one, ", el("kbd", { text: "Esc" }), " closes it."),
    el("dl", {}, ...facts.flatMap(([name, value]) => [el("dt", { text: name }), el("dd", { text: value })])));
}

/** "/" to the search field, arrows through the results, Esc closes and goes back. */
function pressed(event) {
  if (byId("search").hidden || event.ctrlKey || event.metaKey || event.altKey || byId("key-dialog").open) return;
  const typing = event.target.matches("input:not([type=radio], [type=checkbox]), select, textarea");
  const list = items(), at = list.findIndex((item) => item.contains(document.activeElement));
  if (event.key === "/" && !typing) {
    event.preventDefault();
    byId("query").focus();
    byId("query").select();
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && (at >= 0 ? !event.target.matches(".whole-text") : event.target === byId("query"))) {
    const next = at + (event.key === "ArrowDown" ? 1 : -1);
    if (at < 0 && event.key === "ArrowUp") return;
    event.preventDefault();
    if (next < 0) byId("query").focus();
    else if (next < list.length) {
      list[next].querySelector(".open").focus({ preventScroll: true });
      list[next].scrollIntoView({ block: "nearest" });
    }
  } else if (event.key === "Escape") {
    if (!byId("filter-form").hidden) { openFilter(false); byId("add-filter").focus(); return; }
    const open = at >= 0 && list[at].querySelector(".open[aria-expanded=true]");
    if (open) { list[at].close(); open.focus(); }
    else if (at >= 0) byId("query").focus();
    else if (event.target === byId("query")) { event.preventDefault(); byId("query").value = ""; go(); }
  }
}

