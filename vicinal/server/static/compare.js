// The view that compares sentences.
import { request } from "./api.js";
import { heatScale, onTheme } from "./colours.js";
import { bdi, byId, counted, el, took, whole } from "./dom.js";
import { write } from "./state.js";

const MOST = 50, NAMED = 6;
const LONGEST_ADDRESS = 4000; // characters of sentences that go into the address
const EXAMPLE = [
  "How do I reset my password?",
  "I forgot my login and need a new one.",
  "Where can I change the language of the app?",
  "The parcel arrived two days late.",
  "My delivery has been delayed.",
  "Is breakfast included in the price?",
];

let app, running = null, table = null, last = [];
const remembered_ = () => last;
export { remembered_ as remembered };

const lines = () => byId("sentences").value.split("\n").map((line) => line.trim()).filter(Boolean);

export function begin(shared) {
  app = shared;
  byId("model").append(...app.about.embedders.map((entry) => el("option", { value: entry.id, text: entry.dimension ? `${entry.id} (${entry.dimension} dimensions)` : entry.id })));
  byId("compare-form").addEventListener("submit", (event) => { event.preventDefault(); go(); });
  byId("sentences").addEventListener("input", count);
  byId("sentences").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); go(); }
  });
  byId("model").addEventListener("change", () => { if (table) go(); });
  byId("stretch").addEventListener("change", () => { if (table) { paint(); remember(true); } });
  byId("example").addEventListener("click", () => { byId("sentences").value = EXAMPLE.join("\n"); count(); go(); });
  byId("heat").addEventListener("keydown", pressed);
  onTheme(() => { if (table) paint(); });
}

function count() {
  const found = lines().length;
  byId("sentence-count").textContent = found > MOST ? `${whole(found)} sentences; the first ${MOST} are compared` : counted(found, "sentence");
}

function pairs() {
  const sentences = lines().slice(0, MOST);
  const fits = sentences.join("").length <= LONGEST_ADDRESS;
  return [...(fits ? sentences.map((each) => ["s", each]) : []), ["model", byId("model").value || null], ["stretch", byId("stretch").checked ? "1" : null]];
}

function remember(replace = false) {
  last = pairs();
  write("compare", last, { replace });
}

function go() {
  remember();
  compare();
}

let shownFor = "";

export function show(params) {
  last = [...params].filter(([name]) => name !== "index");
  const sentences = params.getAll("s");
  if (app.about.embedders.some((entry) => entry.id === params.get("model"))) byId("model").value = params.get("model");
  byId("stretch").checked = params.get("stretch") === "1";
  if (sentences.length) byId("sentences").value = sentences.join("\n");
  count();
  if (JSON.stringify([lines(), byId("model").value]) !== shownFor && sentences.length) compare();
  else if (table) paint();
}

async function compare() {
  running?.abort();
  const mine = running = new AbortController();
  const sentences = lines().slice(0, MOST);
  shownFor = JSON.stringify([lines(), byId("model").value]);
  if (sentences.length < 2) { settle(null, sentences.length ? "Write one more sentence to compare it with." : ""); return; }
  byId("compare-summary").textContent = "Comparing …";
  try {
    const body = { input: sentences, encoding_format: "float" };
    if (byId("model").value) body.model = byId("model").value;
    const answer = await request("v1/embeddings", { body, signal: mine.signal });
    if (mine !== running) return;
    const vectors = answer.content.data.sort((a, b) => a.index - b.index).map((each) => each.embedding);
    const parts = [`${counted(sentences.length, "sentence")} in ${took(answer.ms)}`];
    const cut = answer.content.truncated ?? 0;
    if (cut) parts.push(`${counted(cut, "sentence")} longer than the model reads: the end was left out`);
    settle({ sentences, values: cosines(vectors) }, parts.join(" · "));
  } catch (error) {
    if (error.name === "AbortError" || mine !== running) return;
    settle(null, error.message, true);
    shownFor = "";
  }
}

function cosines(vectors) {
  const lengths = vectors.map((vector) => Math.hypot(...vector));
  return vectors.map((one, i) => vectors.map((other, j) => {
    let sum = 0;
    for (let k = 0; k < one.length; k++) sum += one[k] * other[k];
    return lengths[i] && lengths[j] ? Math.max(-1, Math.min(1, sum / lengths[i] / lengths[j])) : 0;
  }));
}

const two = (value) => value.toFixed(2).replace("-", "−").replace(/^(−?)0\./, "$1.");

function settle(found, text, bad = false) {
  byId("compare-summary").textContent = text;
  byId("compare-summary").classList.toggle("bad", bad);
  byId("outcome").hidden = !found;
  byId("compare-empty").hidden = Boolean(found) || bad;
  table = null;
  if (!found) return;
  const { sentences, values } = found;
  const cells = values.map((row, i) => row.map((value, j) => el("td", { tabindex: i + j === 0 ? "0" : "-1", text: i === j ? "1" : two(value), "aria-label": `${value.toFixed(3)}: ${i + 1} and ${j + 1}`,
    on: { mouseenter: () => point(i, j), focus: () => point(i, j) } })));
  byId("heat").replaceChildren(el("table", { class: sentences.length > 14 ? "many" : "" },
    el("caption", { class: "unseen", text: "Cosine similarity of each sentence to each other one" }),
    el("thead", {}, el("tr", {}, el("td", { class: "corner" }), ...sentences.map((sentence, i) => el("th", { scope: "col", title: sentence, text: String(i + 1) })))),
    el("tbody", {}, ...cells.map((row, i) => el("tr", {}, el("th", { scope: "row", title: sentences[i] }, el("span", {}, el("i", { text: String(i + 1) }), bdi(sentences[i]))), ...row)))));
  table = { sentences, values, cells, at: [0, 1] };
  paint();
  listPairs();
  point(...nearest()[0]);
}

/** The cells' colours, from 0 to 1, or from the lowest to the highest of different sentences. */
function paint() {
  const { values, cells } = table;
  let low = Math.min(0, ...values.flat()), high = 1;
  if (byId("stretch").checked) {
    const others = values.flatMap((row, i) => row.filter((_, j) => i !== j));
    low = Math.min(...others);
    high = Math.max(...others);
  }
  const scale = heatScale(), spread = high - low || 1;
  cells.forEach((row, i) => row.forEach((cell, j) => {
    const { back, front } = scale((values[i][j] - low) / spread);
    cell.style.backgroundColor = back;
    cell.style.color = front;
  }));
  byId("scale-low").textContent = low.toFixed(2).replace("-", "−");
  byId("scale-high").textContent = high.toFixed(2);
  const bar = byId("scale-bar"), context = bar.getContext("2d");
  for (let x = 0; x < bar.width; x++) {
    context.fillStyle = scale(x / (bar.width - 1)).back;
    context.fillRect(x, 0, 1, bar.height);
  }
}

/** Show one pair, and let the keyboard go on from it. */
function point(i, j) {
  const { sentences, values, cells, at } = table;
  cells[at[0]][at[1]].classList.remove("current");
  cells[at[0]][at[1]].tabIndex = -1;
  table.at = [i, j];
  cells[i][j].tabIndex = 0;
  cells[i][j].classList.add("current");
  byId("pair").replaceChildren(el("b", { text: values[i][j].toFixed(3).replace("-", "−") }), el("p", {}, bdi(sentences[i])), el("p", {}, bdi(sentences[j])));
}

function nearest() {
  const found = [];
  table.values.forEach((row, i) => row.forEach((value, j) => { if (i < j) found.push([i, j, value]); }));
  return found.sort((a, b) => b[2] - a[2]);
}

function listPairs() {
  byId("pairs").replaceChildren(...nearest().slice(0, NAMED).map(([i, j, value]) => el("li", {},
    el("button", { type: "button", on: { click: () => { point(i, j); table.cells[i][j].scrollIntoView({ block: "nearest", inline: "nearest" }); } } },
      el("b", { text: value.toFixed(3).replace("-", "−") }), bdi(table.sentences[i]), bdi(table.sentences[j])))));
}

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function pressed(event) {
  const size = table?.sentences.length ?? 0;
  if (!size || event.ctrlKey || event.metaKey || event.altKey) return;
  let [i, j] = table.at;
  if (STEPS[event.key]) [i, j] = [i + STEPS[event.key][0], j + STEPS[event.key][1]];
  else if (event.key === "Home") j = 0;
  else if (event.key === "End") j = size - 1;
  else return;
  event.preventDefault();
  i = Math.max(0, Math.min(size - 1, i));
  j = Math.max(0, Math.min(size - 1, j));
  table.cells[i][j].focus();
}
