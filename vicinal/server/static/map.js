// The view that shows a collection as a map.
import { ApiError, request } from "./api.js";
import { bdi, byId, counted, el, visible, whole } from "./dom.js";
import { Plot } from "./plot.js";
import { write } from "./state.js";

const PAUSE = 400; // milliseconds between two looks at how far the map is
const LIGHTS = 100, LISTED = 200;

let app, plot, timer = 0, shownIndex = null, data = null, places = null, lighting = null, last = [];
const remembered_ = () => last;
export { remembered_ as remembered };

export function begin(shared) {
  app = shared;
  plot = new Plot(byId("plot"), { hover, choose, moved: () => { byId("tip").hidden = true; }, stepped, clear });
  for (const radio of document.querySelectorAll("#tools input")) radio.addEventListener("change", () => setTool(radio.value));
  setTool("move");
  byId("zoom-in").addEventListener("click", () => data && plot.zoom(1.6));
  byId("zoom-out").addEventListener("click", () => data && plot.zoom(1 / 1.6));
  byId("zoom-all").addEventListener("click", () => data && plot.showAll());
  byId("clear").addEventListener("click", clear);
  byId("light-form").addEventListener("submit", (event) => { event.preventDefault(); light(byId("light").value); });
  byId("light").addEventListener("input", () => { if (!byId("light").value) light(""); }); // the field's own cross
}

function setTool(name) {
  plot.tool = name;
  byId("plot").dataset.tool = name;
}

export function hide() { clearTimeout(timer); }

export function show(params) {
  last = [...params].filter(([name]) => name !== "index");
  if (!app.index) { wait("No index is served", "Start the server with one: vicinal serve --index notes.db"); return; }
  byId("light").value = params.get("q") ?? "";
  if (shownIndex !== app.index.id || !data) load();
  else { plot.resize(); lightUp(byId("light").value.trim()); }
}

function wait(title, text, done = null, again = null) {
  const root = byId("waiting");
  root.hidden = false;
  root.replaceChildren(el("h2", { text: title }), el("p", { text }), ...(done === null ? [] : [el("progress", { value: String(done), max: "1", "aria-label": title })]),
    ...(again === null ? [] : [el("button", { class: "quiet", type: "button", text: "Try again", on: { click: again } })]));
}

async function load(fresh = false) {
  clearTimeout(timer);
  const index = app.index.id;
  shownIndex = index;
  if (!fresh) forget();
  const address = `page/map?index=${encodeURIComponent(index)}`;
  try {
    const { content } = await request(address + (fresh ? "&fresh=true" : ""));
    if (app.index.id !== index) return;
    if (content.state === "failed") throw new ApiError(0, content.message);
    if (content.state === "ready") {
      const answer = await request(`page/map/data?index=${encodeURIComponent(index)}`);
      if (app.index.id === index) draw(answer.content, content.current);
      return;
    }
    wait("Drawing the map", content.message, content.done);
    timer = setTimeout(() => { if (!byId("map").hidden) load(); }, PAUSE);
  } catch (error) {
    wait("There is no map", error.message, null, () => load(true));
  }
}

function forget() {
  if (!data) return;
  data = places = null;
  plot.data = null;
  byId("groups").replaceChildren();
  byId("selected").hidden = true;
  byId("map-summary").textContent = "";
}

function draw(found, current) {
  data = found;
  places = new Map(found.ids.map((id, row) => [id, row]));
  byId("waiting").hidden = true;
  byId("plot").setAttribute("aria-label", `Map of ${counted(found.ids.length, "document")} in ${counted(found.regions.coarse.length, "group")}`);
  if (!found.ids.length) { wait("This index is empty", "Add documents to it, then come back."); return; }
  plot.resize();
  plot.setData(found);
  data.current = current;
  byId("groups").replaceChildren(...found.regions.coarse.map((group, at) => {
    const dot = el("span", { class: "dot", "aria-hidden": "true" });
    dot.style.setProperty("--dot", `var(--cloud-${group.colour % 8})`);
    return el("li", {}, el("button", { type: "button", "aria-pressed": "false", on: { click: (event) => pickGroup(at, event.currentTarget) } },
      dot, bdi(group.words.join(", ") || `Group ${at + 1}`), el("span", { class: "size", text: whole(group.size) })));
  }));
  lightUp(byId("light").value.trim());
}

function say(text) {
  const drawn = data.ids.length < data.total ? `${whole(data.ids.length)} of ${counted(data.total, "document")}, chosen at random,` : counted(data.total, "document");
  byId("map-summary").textContent = text ? `${text}` : `${drawn} in ${counted(data.regions.coarse.length, "group")}. What lies close is close in meaning.`;
  if (data.current) return;
  byId("map-summary").append(" The index has changed since. ", el("button", { class: "quiet", type: "button", text: "Draw again", on: { click: () => { forget(); load(true); } } }));
}

// -- pointing ----------------------------------------------------------------------------------------

function about(row) {
  const group = data.regions.fine[data.fine[row]] ?? data.regions.coarse[data.coarse[row]];
  return [el("div", { class: "where" }, bdi(data.ids[row]), group?.words.length ? ` · ${visible(group.words.slice(0, 3).join(", "))}` : ""), bdi(data.texts[row] || "(no text)")];
}

function hover(row, x, y) {
  const tip = byId("tip");
  tip.hidden = row < 0;
  if (row < 0) return;
  tip.replaceChildren(...about(row));
  const right = x + 16 + tip.offsetWidth > plot.width, low = y + 18 + tip.offsetHeight > plot.height;
  tip.style.transform = `translate(${Math.max(4, right ? x - tip.offsetWidth - 12 : x + 16)}px, ${Math.max(4, low ? y - tip.offsetHeight - 12 : y + 18)}px)`;
}

function stepped(row) {
  if (row < 0) return;
  const [x, y] = plot.place(row);
  hover(row, x, y);
  byId("plot-now").textContent = `${visible(data.ids[row])}: ${visible(data.texts[row])}`;
}

// -- selecting ---------------------------------------------------------------------------------------

function choose(rows, how) {
  plot.current = how === "point" && rows.length ? rows[0] : -1;
  select(rows, how === "point" && rows.length ? null : undefined);
}

function unpress() {
  for (const button of document.querySelectorAll("#groups button")) button.setAttribute("aria-pressed", "false");
}

function pickGroup(at, button) {
  const on = button.getAttribute("aria-pressed") !== "true";
  unpress();
  if (!on) { clear(); plot.showAll(); return; }
  button.setAttribute("aria-pressed", "true");
  const rows = [...data.coarse.keys()].filter((row) => data.coarse[row] === at);
  select(rows, rows, true);
  plot.showRows(rows);
}

/** List rows; ``marked`` are drawn as selected (null: only the one that is pointed at). */
function select(rows, marked = rows, kept = false, title = "Selected") {
  if (!kept) unpress();
  plot.chosen = marked?.length ? marked : null;
  byId("selected").hidden = !rows.length;
  byId("selected-title").textContent = `${title}: ${counted(rows.length, "text")}`;
  byId("selected-list").replaceChildren(...rows.slice(0, LISTED).map((row) => el("li", {},
    el("button", { type: "button", on: { click: () => { plot.pointAt(row); const [x, y] = plot.place(row); hover(row, x, y); } } }, el("b", {}, bdi(data.ids[row])), bdi(data.texts[row] || "(no text)")))),
    ...(rows.length > LISTED ? [el("li", { class: "more", text: `and ${whole(rows.length - LISTED)} more` })] : []));
  plot.draw();
}

function clear() {
  if (!data) return;
  plot.current = -1;
  byId("tip").hidden = true;
  select([]);
  if (byId("light").value) { byId("light").value = ""; light(""); }
}

// -- lighting up -------------------------------------------------------------------------------------

function light(text) {
  const query = text.trim();
  last = query ? [["q", query]] : [];
  write("map", [["index", app.index?.id], ...last]);
  lightUp(query);
}

async function lightUp(query) {
  lighting?.abort();
  if (!data) return;
  if (!query) {
    plot.lit = null;
    say("");
    plot.draw();
    return;
  }
  const mine = lighting = new AbortController();
  try {
    const { content } = await request("v1/search", { body: { index: app.index.id, query, top_k: LIGHTS, mode: "hybrid" }, signal: mine.signal });
    if (mine !== lighting || !data) return;
    const { hits } = content;
    const rows = hits.map((hit) => places.get(hit.id)).filter((row) => row !== undefined);
    plot.lit = rows.length ? rows : null;
    say(!hits.length ? `Nothing found for “${visible(query)}”.` : rows.length < hits.length
      ? `${whole(rows.length)} of the ${counted(hits.length, "best hit")} are on the map; it shows a part of the index.`
      : `The ${counted(rows.length, "best hit")} for “${visible(query)}”. n and p step through them.`);
    select(rows, null, false, "Found");
  } catch (error) {
    if (error.name !== "AbortError") say(error.message);
  }
}
