// The part of the address behind `#`: the tab, and what is chosen on it, such as `#trials?filter=lr<0.01&trial=12`.

/** What every tab keeps when another is chosen by a link that names the tab alone. */
const KEPT = ["filter", "state", "order", "rows", "columns", "metric", "scale", "smoothing", "trials"];

const split = (hash) => {
  const [tab, query = ""] = hash.replace(/^#/, "").split(/\?(.*)/s);
  return [tab, new URLSearchParams(query)];
};

let [, last] = split(location.hash);

export const tabOf = (tabs) => {
  const [tab] = split(location.hash);
  return tabs.includes(tab) ? tab : tabs[0];
};

export const chosen = (name) => split(location.hash)[1].get(name) ?? "";

/** The hash with some values changed; "" removes one. */
export function hashWith(changes, tab = split(location.hash)[0]) {
  const query = split(location.hash)[1];
  for (const [name, value] of Object.entries(changes)) {
    if (value === "" || value === null) query.delete(name);
    else query.set(name, value);
  }
  return `#${tab}${query.size ? `?${query}` : ""}`;
}

/** Writes what was chosen into the address; with `isStep`, so that "Back" leads to what was there before. */
export function choose(changes, isStep = false) {
  const hash = hashWith(changes);
  if (hash === location.hash) return;
  history[isStep ? "pushState" : "replaceState"](null, "", hash);
  last = split(hash)[1];
}

/** After a link to a tab alone: what was chosen before still holds there. */
export function keep() {
  const [tab, query] = split(location.hash);
  if (!query.size && last.size) {
    for (const name of KEPT) if (last.has(name)) query.set(name, last.get(name));
    if (query.size) history.replaceState(null, "", `#${tab}?${query}`);
  }
  last = query;
}
