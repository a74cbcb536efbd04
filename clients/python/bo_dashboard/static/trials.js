// The table of trials. The dashboard filters, sorts and pages it, as there may be ten thousand.

import { choose, chosen, hashWith } from "./address.js";
import { part, read } from "./api.js";
import { byId, fill, h, options, throttled } from "./dom.js";
import { duration, lower, moment, number, value } from "./format.js";
import { badge, notify } from "./page.js";

const STATES = ["QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "INFEASIBLE", "STOPPED", "PAUSED"];
const EVERY = 500;
const REST = 3; // times as long as a page took is waited before it is asked for again
const TYPING = 150;
const MOST_COMPARED = 20;
const LONG = 28; // characters from which a text is broken into lines

export class TrialTable {
  constructor(id) {
    this.path = `studies/${part(id)}`;
    this.best = new Set();
    this.compared = new Set();
    this.took = 0;
    this.page = Number(chosen("page")) || 0;
    options(byId("trial-state"), [["", "all states"], ...STATES.map((state) => [state, lower(state)])]);
    this.listen();
    this.follow();
    this.refresh = throttled(() => this.load(), () => Math.max(EVERY, REST * this.took));
  }

  listen() {
    const typed = throttled(() => this.turn(0), () => TYPING);
    byId("trial-filter").addEventListener("input", typed);
    for (const id of ["trial-state", "trial-rows"]) byId(id).addEventListener("change", () => this.turn(0));
    byId("trial-head").addEventListener("click", ({ target }) => target.dataset.key && this.sort(target.dataset.key));
    byId("trial-first").onclick = () => this.turn(0);
    byId("trial-back").onclick = () => this.turn(this.page - 1);
    byId("trial-next").onclick = () => this.turn(this.page + 1);
    byId("trial-last").onclick = () => this.turn(this.answer.pages - 1);
    byId("trial-columns").addEventListener("change", () => this.chooseColumns());
    byId("trial-body").addEventListener("change", ({ target }) => this.mark(target));
    byId("trial-compare").onclick = () => (location.hash = hashWith({ trials: [...this.compared].join("."), trial: "" }, "compare"));
  }

  /** Takes what the address says into the controls. */
  follow() {
    byId("trial-filter").value = chosen("filter");
    byId("trial-state").value = STATES.includes(chosen("state")) ? chosen("state") : "";
    const sizes = [...byId("trial-rows").options].map((option) => option.value);
    byId("trial-rows").value = sizes.includes(chosen("rows")) ? chosen("rows") : "50";
    this.page = Number(chosen("page")) || 0;
    this.compared = new Set(chosen("trials").split(".").filter(Boolean).map(Number));
  }

  turn(page) {
    this.page = Math.max(0, page);
    const [rows, filter, state] = ["trial-rows", "trial-filter", "trial-state"].map((id) => byId(id).value);
    choose({ filter: filter.trim(), state, rows: rows === "50" ? "" : rows, page: this.page || "" });
    this.load();
  }

  sort(key) {
    const order = chosen("order") || "-number";
    choose({ order: order === key ? `-${key}` : key });
    this.turn(0);
  }

  query() {
    const query = new URLSearchParams({ rows: byId("trial-rows").value, page: this.page, order: chosen("order") || "-number" });
    for (const name of ["filter", "state"]) if (chosen(name)) query.set(name, chosen(name));
    return query;
  }

  async load(isWaiting = false) {
    this.abort?.abort();
    this.abort = new AbortController();
    const query = this.query();
    byId("trial-csv").href = `/data/${this.path}/trials.csv?${query}`;
    if (isWaiting) query.set("wait", "1");
    const began = performance.now();
    try {
      const answer = await read(`${this.path}/trials?${query}`, this.abort.signal);
      this.took = performance.now() - began;
      this.answer = answer;
      this.page = answer.page;
      this.render();
      if (answer.isComplete === false) this.load(true);
    } catch (error) {
      if (error.name !== "AbortError" && error.status !== 404) notify(error.message, true);
    }
  }

  show(best) {
    this.best = best;
    if (this.answer) this.render();
  }

  columns() {
    const wanted = chosen("columns").split("~").filter(Boolean);
    const { columns } = this.answer;
    return columns.filter(({ key, isShown }) => key === "number" || (wanted.length ? wanted.includes(key) : isShown));
  }

  render() {
    const columns = this.columns();
    this.renderHead(columns);
    fill(byId("trial-body"), this.answer.rows.map((row) => this.row(row, columns)));
    this.renderPager();
    this.renderColumns(columns);
    this.renderCompared();
  }

  renderHead(columns) {
    const order = chosen("order") || "-number";
    const cells = columns.map(({ key, title, kind }) => {
      const [isSorted, isDown] = [order.replace(/^-/, "") === key, order.startsWith("-")];
      const arrow = isSorted ? (isDown ? " ▼" : " ▲") : "";
      const sorting = isSorted ? (isDown ? "descending" : "ascending") : "none";
      return h("th", { scope: "col", class: isRight(kind, key) ? "number" : "", "aria-sort": sorting }, h("button", { type: "button", data: { key }, textContent: title + arrow }));
    });
    fill(byId("trial-head"), [...cells, h("th", { scope: "col", textContent: "Compare" })]);
  }

  row({ number: trial, state, cells, latest }, columns) {
    const isBest = this.best.has(trial);
    const label = `Trial ${trial}${isBest ? ", the best" : ""}`;
    const open = h("button", { type: "button", class: "link", "aria-label": label, data: { trial }, textContent: `${trial}${isBest ? " ★" : ""}` });
    const rest = columns.slice(1).map(({ key, kind }) => h("td", { class: isRight(kind, key) ? "number" : String(cells[key] ?? "").length > LONG ? "long" : "", data: { column: key } }, cell(key, kind, state, cells, latest)));
    const mark = h("input", { type: "checkbox", checked: this.compared.has(trial), "aria-label": `Compare trial ${trial}`, data: { mark: trial } });
    return h("tr", { class: isBest ? "best" : "" }, h("th", { scope: "row" }, open), ...rest, h("td", { class: "mark" }, mark));
  }

  renderPager() {
    const { count, total, page, pages, fault, rows, isComplete } = this.answer;
    const cut = columnsHidden(this.answer.columns.length - this.columns().length);
    const which = isComplete === false ? `the first ${rows.length}; reading all ${total} trials …` : `${count === total ? total : `${count} of ${total}`} trials, page ${page + 1} of ${pages}${cut}`;
    if (byId("trial-count").textContent !== which) byId("trial-count").textContent = which;
    byId("trial-filter-fault").textContent = fault ? `Filter not understood: ${fault.replace(/^filter: /, "")}` : "";
    if (fault) byId("trial-filter").setAttribute("aria-invalid", "true");
    else byId("trial-filter").removeAttribute("aria-invalid");
    for (const id of ["trial-first", "trial-back"]) byId(id).disabled = page === 0;
    for (const id of ["trial-next", "trial-last"]) byId(id).disabled = page >= pages - 1;
  }

  renderColumns(columns) {
    const shown = new Set(columns.map(({ key }) => key));
    fill(byId("trial-columns"), this.answer.columns.slice(1).map(({ key, title }) => h("label", {}, h("input", { type: "checkbox", value: key, checked: shown.has(key) }), ` ${title}`)));
  }

  chooseColumns() {
    const keys = [...byId("trial-columns").querySelectorAll("input:checked")].map((input) => input.value);
    const usual = this.answer.columns.filter(({ key, isShown }) => isShown && key !== "number").map(({ key }) => key);
    choose({ columns: String(keys) === String(usual) ? "" : ["number", ...keys].join("~") });
    this.render();
  }

  mark(input) {
    const trial = Number(input.dataset.mark);
    if (!input.checked) this.compared.delete(trial);
    else if (this.compared.size < MOST_COMPARED) this.compared.add(trial);
    else {
      input.checked = false;
      notify(`At most ${MOST_COMPARED} trials are compared.`);
    }
    choose({ trials: [...this.compared].join(".") });
    this.renderCompared();
  }

  renderCompared() {
    byId("trial-compare").disabled = this.compared.size < 2;
    byId("trial-compare").textContent = this.compared.size ? `Compare ${this.compared.size} trials` : "Compare trials";
  }
}

const isRight = (kind, key) => key !== "number" && (kind === "number" || kind === "duration");

const columnsHidden = (count) => (count > 0 ? `; ${count} column${count === 1 ? "" : "s"} not shown` : "");

function cell(key, kind, state, cells, latest) {
  const given = cells[key];
  if (kind === "state") return badge(state);
  if (given === undefined && latest && key in latest.metrics) {
    return h("span", { class: "quiet", textContent: `(${number(latest.metrics[key])})`, title: `at step ${latest.step}` }); // not yet its result
  }
  if (given === undefined) return "";
  if (kind === "duration") return duration(1000 * given);
  return kind === "moment" ? moment(given) : value(given);
}
