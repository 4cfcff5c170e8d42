// Which view is shown, which index is looked at, and what the server has.
import { request } from "./api.js";
import { byId, el, whole } from "./dom.js";
import { read, write } from "./state.js";
import * as compare from "./compare.js";
import * as map from "./map.js";
import * as search from "./search.js";

const VIEWS = { search, compare, map };
const TITLES = { search: "Search", compare: "Compare", map: "Map" };

/** What the views share. */
const app = {
  about: null,
  index: null, // the entry of the index that is looked at
  say(message) {
    const notice = byId("notice");
    notice.textContent = message;
    notice.hidden = !message;
  },
};

let shown = null;

function show() {
  const state = read();
  const view = VIEWS[state.view] ? state.view : "search";
  const wanted = state.params.get("index");
  const entry = app.about.indexes.find((each) => each.id === wanted) ?? (wanted ? null : app.about.indexes[0]);
  app.say(wanted && !entry ? `This server has no index “${wanted}”.` : "");
  app.index = entry ?? app.about.indexes[0] ?? null;
  if (app.index) byId("index").value = app.index.id;
  byId("chooser").hidden = view === "compare" || !app.about.indexes.length;
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.dataset.view !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${TITLES[view]} · Vicinal`;
  if (shown !== view) VIEWS[shown]?.hide?.();
  shown = view;
  VIEWS[view].show(state.params);
}

function chooseIndex() {
  const { view, params } = read();
  const kept = [...params].filter(([name]) => name !== "index" && name !== "f");
  write(view, [["index", byId("index").value], ...kept]);
  show();
}

async function start() {
  byId("skip").addEventListener("click", (event) => { event.preventDefault(); byId("main").focus(); });
  for (const link of document.querySelectorAll("nav a, .brand")) link.addEventListener("click", (event) => {
    // The index goes along; what was asked in a view comes back with the back button.
    if (!app.about || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const index = read().params.get("index");
    const view = link.dataset.view ?? "search";
    if (view === shown) return;
    write(view, [["index", index], ...(VIEWS[view].remembered?.() ?? [])]);
    show();
  });
  try {
    app.about = (await request("page/about")).content;
  } catch (error) {
    app.say(error.message);
    return;
  }
  for (const entry of app.about.indexes) {
    byId("index").append(el("option", { value: entry.id, text: `${entry.id} (${entry.problem ? "cannot be read" : whole(entry.documents)})` }));
  }
  byId("index").addEventListener("change", chooseIndex);
  for (const view of Object.values(VIEWS)) view.begin(app);
  addEventListener("popstate", show);
  addEventListener("hashchange", show);
  show();
  document.documentElement.dataset.ready = "true";
}

start();
