// Trials side by side: what they share, what differs, and their learning curves.

import { chosen } from "./address.js";
import { part, read } from "./api.js";
import { byId, fill, h } from "./dom.js";
import { ORIGINS, duration, inOrder, lower, number, titled, value } from "./format.js";
import { attempt } from "./page.js";

const SPREAD = 1e-9; // relative difference below which numbers count as equal

export const comparedTrials = () => chosen("trials").split(".").filter((each) => /^\d{1,15}$/.test(each)).slice(0, 20);

export async function showComparison(id, study) {
  const numbers = comparedTrials();
  byId("compare-none").textContent = numbers.length ? "" : "Mark trials in the last column of the table, then choose “Compare”.";
  for (const each of ["compare-table", "compare-only", "compare-curves"]) byId(each).hidden = !numbers.length;
  if (!numbers.length) return;
  await attempt(async () => {
    const found = await Promise.all(numbers.map((each) => read(`studies/${part(id)}/trials/${each}`)));
    fill(byId("compare-head"), [h("td", {}), ...found.map(({ number: trial }) => h("th", { scope: "col", class: "number" }, h("button", { type: "button", class: "link", data: { trial }, textContent: `Trial ${trial}` })))]);
    fill(byId("compare-body"), rowsOf(study, found).map(rowOf));
  });
}

function rowsOf(study, found) {
  const of = (title, get) => ({ title, values: found.map(get) });
  const metrics = inOrder([...new Set(found.flatMap(({ final }) => Object.keys(final?.metrics ?? {})))], study);
  const declared = new Map(study.metrics.map((metric) => [metric.name, titled(metric)]));
  return [
    of("State", ({ state }) => lower(state)),
    ...metrics.map((name) => of(declared.get(name) ?? name, ({ final }) => final?.metrics[name])),
    ...study.parameters.map(({ name, unit }) => of(unit ? `${name} (${unit})` : name, ({ parameters }) => parameters?.[name])),
    of("Time", ({ started, ended }) => (started && ended ? duration(ended - started) : undefined)),
    of("Worker", ({ worker, lease }) => lease?.worker ?? worker),
    of("From", ({ origin }) => ORIGINS[origin]),
    of("Failure", ({ failure }) => failure && lower(failure.reason)),
    of("Diagnosis", ({ labels }) => labels?.diagnosis),
    of("Note", ({ note }) => note?.text),
  ].filter(({ values }) => values.some((each) => each !== undefined && each !== ""));
}

/** A row of a table of things side by side; it says whether they differ. */
export function rowOf({ title, values }) {
  const isDifferent = values.some((each) => !isEqual(each, values[0]));
  const cells = values.map((each) => h("td", { class: String(each).length > 28 ? "long" : "number", textContent: each === undefined ? "–" : value(each) }));
  return h("tr", { class: isDifferent ? "differs" : "same" }, h("th", { scope: "row", textContent: isDifferent ? `≠ ${title}` : title }), cells);
}

function isEqual(a, b) {
  if (typeof a !== "number" || typeof b !== "number") return a === b;
  return Math.abs(a - b) <= SPREAD * Math.max(Math.abs(a), Math.abs(b)) || number(a) === number(b);
}
