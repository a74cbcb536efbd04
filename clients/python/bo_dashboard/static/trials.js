// The table of trials: filtered, sorted and shown in pages, as there may be ten thousands.

import { byId, fill, h, options } from "./dom.js";
import { ORIGINS, duration, lower, number, titled, value } from "./format.js";
import { badge } from "./page.js";

const COMPARISON = /^([^\s<>=!]+?)(<=|>=|!=|=|<|>)(.+)$/;

export class TrialTable {
  constructor() {
    this.order = { key: "number", isDown: true };
    this.page = 0;
    this.trials = [];
    this.study = null;
    for (const id of ["trial-filter", "trial-state", "trial-rows"]) byId(id).addEventListener("input", () => this.turn(0));
    byId("trial-head").addEventListener("click", ({ target }) => target.dataset.key && this.sort(target.dataset.key));
    byId("trial-first").onclick = () => this.turn(0);
    byId("trial-back").onclick = () => this.turn(this.page - 1);
    byId("trial-next").onclick = () => this.turn(this.page + 1);
    byId("trial-last").onclick = () => this.turn(Infinity);
    const states = ["QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "INFEASIBLE", "STOPPED", "PAUSED"];
    options(byId("trial-state"), [["", "all states"], ...states.map((state) => [state, lower(state)])]);
  }

  turn(page) {
    this.page = page;
    this.render();
  }

  show(study, trials, best) {
    Object.assign(this, { study, trials, best });
    this.render();
  }

  render() {
    if (!this.study) return;
    const columns = columnsOf(this.study, this.trials);
    const [found, faults] = this.found(columns);
    const size = Number(byId("trial-rows").value);
    const pages = Math.max(1, Math.ceil(found.length / size));
    this.page = Math.min(Math.max(0, this.page), pages - 1);
    const rows = found.slice(this.page * size, (this.page + 1) * size);
    this.renderHead(columns);
    fill(byId("trial-body"), rows.map((trial) => this.row(trial, columns)));
    this.renderPager(found.length, pages, faults);
  }

  renderHead(columns) {
    fill(byId("trial-head"), columns.map(({ key, title, isNumber }) => {
      const isSorted = this.order.key === key;
      const arrow = isSorted ? (this.order.isDown ? " ▼" : " ▲") : "";
      const sorting = isSorted ? (this.order.isDown ? "descending" : "ascending") : "none";
      return h("th", { scope: "col", class: isNumber ? "number" : "", "aria-sort": sorting }, h("button", { type: "button", data: { key }, textContent: title + arrow }));
    }));
  }

  sort(key) {
    this.order = { key, isDown: this.order.key === key ? !this.order.isDown : false };
    this.turn(0);
  }

  renderPager(count, pages, faults) {
    const all = this.trials.length;
    byId("trial-count").textContent = `${count === all ? all : `${count} of ${all}`} trials, page ${this.page + 1} of ${pages}`;
    byId("trial-filter-fault").textContent = faults.length ? `no column is called ${faults.join(", ")}` : "";
    for (const id of ["trial-first", "trial-back"]) byId(id).disabled = this.page === 0;
    for (const id of ["trial-next", "trial-last"]) byId(id).disabled = this.page === pages - 1;
  }

  row(trial, columns) {
    const cells = columns.slice(1).map(({ key, cell, read, isNumber }) => {
      const shown = cell ? cell(trial) : value(read(trial) ?? "");
      return h("td", { class: isNumber ? "number" : "", data: { column: key } }, shown);
    });
    const isBest = this.best.has(trial.number);
    const label = `Trial ${trial.number}${isBest ? ", the best" : ""}`;
    const open = h("button", { type: "button", class: "link", "aria-label": label, textContent: `${trial.number}${isBest ? " ★" : ""}` });
    open.dataset.trial = trial.number;
    return h("tr", { class: isBest ? "best" : "" }, h("th", { scope: "row" }, open), ...cells);
  }

  /** The trials that are wanted, in order; and the columns that the filter names and that aren't there. */
  found(columns) {
    const state = byId("trial-state").value;
    const [wanted, faults] = conditions(byId("trial-filter").value, columns);
    const kept = this.trials.filter((trial) => (!state || trial.state === state) && wanted.every((fits) => fits(trial)));
    const { read } = columns.find(({ key }) => key === this.order.key) ?? columns[0];
    const sign = this.order.isDown ? -1 : 1;
    return [kept.sort((a, b) => compared(read(a), read(b), sign) || a.number - b.number), faults];
  }
}

/** What is absent comes last, whichever way it is sorted. */
function compared(a, b, sign) {
  const [noA, noB] = [a === undefined || a === "", b === undefined || b === ""];
  if (noA || noB) return noA - noB;
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * String(a).localeCompare(String(b), undefined, { numeric: true });
}

/** A filter such as `lr<0.01 norm=batch crashed`: all of it must fit. */
function conditions(text, columns) {
  const faults = [];
  const wanted = text.trim().split(/\s+/).filter(Boolean).map((word) => {
    const [, name, sign, given] = word.match(COMPARISON) ?? [];
    if (!name) return (trial) => columns.some(({ read }) => String(read(trial) ?? "").toLowerCase().includes(word.toLowerCase()));
    const column = columns.find(({ key, title }) => key === name || title.toLowerCase() === name.toLowerCase());
    if (!column) faults.push(name);
    return column ? (trial) => fits(column.read(trial), sign, given) : () => true;
  });
  return [wanted, faults];
}

function fits(found, sign, given) {
  if (found === undefined || found === "") return sign === "!=";
  const isNumeric = typeof found === "number" && given.trim() !== "" && !Number.isNaN(Number(given));
  const [a, b] = isNumeric ? [found, Number(given)] : [String(found).toLowerCase(), given.toLowerCase()];
  return { "=": a === b, "!=": a !== b, "<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b }[sign];
}

export function columnsOf(study, trials) {
  const isAiling = trials.some((trial) => trial.labels?.diagnosis);
  return [
    { key: "number", title: "Trial", read: (t) => t.number },
    { key: "state", title: "State", read: (t) => lower(t.state), cell: (t) => badge(t.state) },
    ...study.metrics.map((metric) => ({
      key: metric.name,
      title: titled(metric),
      isNumber: true,
      read: (t) => t.final?.metrics[metric.name],
      cell: (t) => measured(t, metric.name),
    })),
    ...study.parameters.map((parameter) => ({
      key: study.metrics.some(({ name }) => name === parameter.name) ? `parameter ${parameter.name}` : parameter.name,
      title: parameter.unit ? `${parameter.name} (${parameter.unit})` : parameter.name,
      isNumber: typeof parameter.low === "number",
      read: (t) => t.parameters?.[parameter.name],
    })),
    ...(isAiling ? [{ key: "diagnosis", title: "Diagnosis", read: (t) => t.labels?.diagnosis ?? "" }] : []),
    { key: "failure", title: "Failure", read: (t) => (t.failure && t.state !== "SUCCEEDED" ? lower(t.failure.reason) : "") },
    { key: "worker", title: "Worker", read: (t) => t.lease?.worker ?? t.worker ?? "" },
    { key: "origin", title: "From", read: (t) => ORIGINS[t.origin] ?? "" },
    { key: "time", title: "Time", isNumber: true, read: timeOf, cell: (t) => (timeOf(t) === undefined ? "" : duration(1000 * timeOf(t))) },
  ];
}

/** Of a trial that runs the last that it reported, which is not yet its result. */
function measured(trial, name) {
  const final = trial.final?.metrics[name];
  if (final !== undefined) return number(final);
  const latest = trial.latest?.metrics[name];
  return latest === undefined ? "" : h("span", { class: "quiet", textContent: `(${number(latest)})`, title: `at step ${trial.latest.step}` });
}

function timeOf(trial) {
  return trial.started === undefined || trial.ended === undefined ? undefined : (trial.ended - trial.started) / 1000;
}
