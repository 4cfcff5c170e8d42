// The state of the page is its address, behind the "#": it can be shared, goes back and forward, and is never sent.

export function read() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return { view: path || "search", params: new URLSearchParams(query) };
}

/** Go to a state. Pairs without a value are left out. */
export function write(view, pairs, { replace = false } = {}) {
  const params = new URLSearchParams(pairs.filter(([, value]) => value !== null && value !== undefined && value !== ""));
  const query = params.toString();
  const hash = `#/${view}${query ? `?${query}` : ""}`;
  if (hash === location.hash) return;
  history[replace ? "replaceState" : "pushState"](null, "", hash);
}
