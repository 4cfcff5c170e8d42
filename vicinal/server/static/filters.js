// Filters as chips: a list of [field, condition, value], and the server's filter made of it.
import { bdi, byId, el, valued } from "./dom.js";

const OPERATORS = { "=": "$in", "!=": "$nin", ">=": "$gte", "<=": "$lte" };
const SIGNS = { "=": "=", "!=": "≠", ">=": "≥", "<=": "≤" };

/** From the address; what is no filter is passed over. */
export function fromParams(params) {
  return params.getAll("f").flatMap((text) => {
    try {
      const found = JSON.parse(text);
      const good = Array.isArray(found) && found.length === 3 && typeof found[0] === "string" && Object.hasOwn(OPERATORS, found[1]) && (found[2] === null || typeof found[2] !== "object");
      return good ? [found] : [];
    } catch { return []; }
  });
}

export const toPairs = (filters) => filters.map((filter) => ["f", JSON.stringify(filter)]);

export const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** All must hold; of several values that one field is to be, one must. */
export function toFilter(filters) {
  const parts = [], alternatives = new Map();
  for (const [field, operator, value] of filters) {
    if (operator !== "=" && operator !== "!=") parts.push({ [field]: { [OPERATORS[operator]]: value } });
    else {
      const place = JSON.stringify([field, operator]);
      alternatives.set(place, [...(alternatives.get(place) ?? []), value]);
    }
  }
  for (const [place, values] of alternatives) {
    const [field, operator] = JSON.parse(place);
    parts.push({ [field]: { [OPERATORS[operator]]: values } });
  }
  return parts.length === 0 ? null : parts.length === 1 ? parts[0] : { $and: parts };
}

export function showChips(filters, remove) {
  byId("filters").replaceChildren(...filters.map((filter) => {
    const [field, operator, value] = filter;
    const text = `${field} ${SIGNS[operator]} ${valued(value)}`;
    return el("li", {}, el("button", { class: "chip", type: "button", "aria-label": `Remove filter ${text}`, on: { click: () => remove(filter) } },
      bdi(text), el("span", { class: "cross", "aria-hidden": "true", text: "×" })));
  }));
}

/** What was typed, in the type that the field's values have in these results; else a number where it is one. */
export function typed(text, field, hits) {
  const kinds = new Set(hits.flatMap((hit) => [hit.metadata[field]].flat()).map((value) => typeof value));
  if (kinds.size === 1 && kinds.has("string")) return text;
  if (text === "true" || text === "false") return text === "true";
  return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

/** Fields of the results with their commonest values. */
export function facets(hits) {
  const fields = new Map();
  for (const hit of hits) {
    for (const [field, found] of Object.entries(hit.metadata)) {
      for (const value of new Set([found].flat())) {
        if (value === null || typeof value === "object" || value === "" || (typeof value === "string" && (value.length > 60 || field === "title"))) continue;
        if (!fields.has(field)) fields.set(field, new Map());
        const values = fields.get(field);
        values.set(value, (values.get(value) ?? 0) + 1);
      }
    }
  }
  return [...fields]
    .map(([field, values]) => [field, [...values].sort((a, b) => b[1] - a[1])])
    .filter(([, values]) => values.length < hits.length || values.length <= 8) // a field that tells all apart sorts nothing
    .slice(0, 6)
    .map(([field, values]) => [field, values.slice(0, 8)]);
}

export function showFacets(hits, filters, toggle) {
  const found = facets(hits);
  const root = byId("facets");
  root.hidden = found.length === 0;
  root.replaceChildren(el("p", { class: "fine", text: "In these results" }), ...found.map(([field, values]) => el("section", {},
    el("h2", {}, bdi(field)),
    el("ul", {}, ...values.map(([value, count]) => {
      const filter = [field, "=", value];
      const on = filters.some((each) => same(each, filter));
      return el("li", {}, el("button", { type: "button", "aria-pressed": String(on), on: { click: () => toggle(filter) } }, bdi(valued(value)), el("span", { text: String(count) })));
    })))));
}
