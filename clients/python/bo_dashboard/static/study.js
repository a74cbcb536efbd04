// One study, as it happens.

import { choose, chosen, keep, tabOf } from "./address.js";
import { call, part, read, readFile } from "./api.js";
import { comparedTrials, showComparison } from "./compare.js";
import { showDiagnosis } from "./diagnosis.js";
import { byId, fill, h, options, throttled } from "./dom.js";
import { Figure } from "./figures.js";
import { direction, endedOf, failing, isEnded, lower, moment, number, objectives, titled, value } from "./format.js";
import { announce, ask, attempt, badge, enter, notify } from "./page.js";
import { Parallel } from "./parallel.js";
import { QueueForm } from "./queue.js";
import { saveFile } from "./save.js";
import { TrialDialog } from "./trial.js";
import { TrialTable } from "./trials.js";
import { showWorkers } from "./workers.js";

const ID = decodeURIComponent(location.pathname.split("/")[2]);
const TABS = ["overview", "trials", "compare", "curves", "parameters", "diagnosis", "workers", "definition"];
const open = new Map(); // the trials in progress; all others are read when they are shown
let [study, caller, table, dialog, queue, figures, skew, best, isBestKnown] = [null, null, null, null, null, [], 0, new Map(), false];

async function main() {
  const linked = location.pathname.split("/")[4];
  if (linked) history.replaceState(null, "", `/studies/${part(ID)}#trials?trial=${Number(linked) || 0}`);
  caller = await enter();
  byId("title").textContent = ID;
  document.title = `${ID} · bo`;
  dialog = new TrialDialog(ID, caller);
  table = new TrialTable(ID);
  queue = new QueueForm(ID);
  figures = [...document.querySelectorAll("[data-figure]")].map(figureAt);
  byId("csv").href = `/data/studies/${part(ID)}/trials.csv`;
  byId("report").onclick = () => attempt(async () => saveFile(await readFile(`/data/studies/${part(ID)}/report.html`), `${ID}-report.html`), "The report is saved.");
  listen();
  await first();
  watchWhileSeen();
  setInterval(() => study && tab() === "workers" && showWorkers(study, [...open.values()], Date.now() + skew), 1000);
}

const figureAt = (place) => (place.dataset.figure === "parallel" ? new Parallel(ID, place, () => asked(place), filtered) : new Figure(ID, place, () => asked(place)));

/** What the page shows first, before it follows the changes. */
async function first() {
  try {
    const found = await read(`studies/${part(ID)}`);
    ({ study } = found);
    revision = study.revision;
    skew = found.now - Date.now();
    found.open.forEach((trial) => open.set(trial.number, trial));
    prepare();
    findBest();
    if (tab() === "trials") await table.load();
    showLinked();
  } catch (error) {
    if (error.status === 401) location.reload();
    notify(error.message, true);
  }
}

/** A filter that was made beside the table. */
function filtered(filter) {
  choose({ filter, page: "" });
  byId("parallel-filter").value = filter;
  table.follow();
  figures.find(({ kind }) => kind === "parallel").ask();
}

function listen() {
  addEventListener("hashchange", () => (keep(), showTab(), showLinked()));
  addEventListener("popstate", () => (table.follow(), showLinked()));
  const typed = throttled(() => filtered(byId("parallel-filter").value.trim()), () => 300);
  byId("parallel-filter").addEventListener("input", typed);
  byId("parallel-table").addEventListener("click", () => table.follow());
  byId("compare-only").addEventListener("change", ({ target }) => byId("compare-table").classList.toggle("only", target.checked));
  document.addEventListener("open-trial", ({ detail }) => dialog.open(detail, study));
  document.addEventListener("queue", ({ detail }) => queue.open(study, detail));
  document.addEventListener("click", ({ target }) => {
    const opened = target.closest?.("#main [data-trial]");
    if (opened) dialog.open(Number(opened.dataset.trial), study);
  });
  for (const select of document.querySelectorAll("[data-asks]")) {
    select.addEventListener("change", () => {
      if (select.dataset.keep) choose({ [select.dataset.keep]: select.value === "0" ? "" : select.value });
      figures.find(({ place }) => place.id === select.dataset.asks).ask();
    });
  }
  byId("study-actions").addEventListener("click", ({ target }) => target.dataset.act && ACTIONS[target.dataset.act]());
}

// -- what happens

let source = null;
let revision = 0;

/** A browser has six connections to a server for all of its tabs: those that nobody sees let go of theirs. */
function watch() {
  source?.close();
  source = new EventSource(`/data/studies/${part(ID)}/changes?after=${revision}`);
  source.onopen = () => (byId("connection").textContent = "live");
  source.onmessage = ({ data, lastEventId }) => {
    revision = Number(lastEventId);
    apply(JSON.parse(data));
  };
  source.addEventListener("refusal", ({ data }) => {
    source.close();
    figures.forEach((figure) => figure.rest());
    byId("connection").textContent = "";
    notify(JSON.parse(data).message, true);
  });
  source.onerror = () => {
    byId("connection").textContent = "not connected; trying again";
    if (source.readyState === EventSource.CLOSED) refused();
  };
}

function watchWhileSeen() {
  let leaving = null;
  const rest = () => source.close();
  document.addEventListener("visibilitychange", () => {
    clearTimeout(leaving);
    if (document.hidden) leaving = setTimeout(rest, 5000);
    else if (source.readyState === EventSource.CLOSED) watch();
  });
  addEventListener("pagehide", rest);
  addEventListener("pageshow", ({ persisted }) => persisted && watch());
  watch();
}

/** The stream was refused outright; an ordinary request tells why. */
async function refused() {
  try {
    await read(`studies/${part(ID)}/best`);
    setTimeout(watch, 2000);
  } catch (error) {
    if (error.status === 401) location.reload();
    else if (error.status === 404 || error.status === 403) {
      byId("connection").textContent = "";
      notify(error.message, true);
    } else setTimeout(watch, 2000);
  }
}

function apply(change) {
  if (study && study.created !== change.study.created) location.reload(); // another study has taken the name
  const isFirst = study === null;
  skew = change.now - Date.now();
  const news = change.trials.filter((trial) => isEnded(trial) && open.has(trial.number));
  change.trials.forEach((trial) => (isEnded(trial) ? open.delete(trial.number) : open.set(trial.number, trial)));
  change.deleted.forEach((gone) => open.delete(gone));
  study = change.study;
  if (isFirst) prepare();
  if (news.length) announce(news.map((trial) => `Trial ${trial.number} ${lower(trial.state)}${told(trial)}`).join(". "));
  if (change.trials.length || change.deleted.length) {
    figures.forEach((figure) => figure.touch());
    if (tab() === "trials") table.refresh();
    dialog.changed(change.trials);
    if (isFirst || news.length || change.deleted.length || change.trials.some(isEnded)) findBest();
  }
  render();
}

const MOST_BEST = 20;

const told = (trial) => (trial.final ? `: ${objectives(study).map(({ name }) => `${name} ${number(trial.final.metrics[name])}`).join(", ")}` : "");

const findBest = throttled(async () => {
  try {
    best = new Map((await read(`studies/${part(ID)}/best`)).map((trial) => [trial.number, trial]));
    isBestKnown = true;
    render();
  } catch {
    // The connection tells of it.
  }
  if (tab() === "diagnosis") await attempt(() => showDiagnosis(ID));
}, () => 2000);

/** What depends on the space and the metrics alone, which never change. */
function prepare() {
  byId("front").hidden = objectives(study).length < 2;
  const names = study.parameters.map(({ name }) => [name, name]);
  const metrics = objectives(study).map((metric) => [metric.name, titled(metric)]);
  const most = [["", "what matters most"]];
  options(byId("slice-along"), [...most, ...names]);
  options(byId("contour-first"), [...most, ...names]);
  options(byId("contour-second"), [["", "what matters next"], ...names]);
  for (const id of ["slice-metric", "contour-metric", "parallel-metric"]) {
    options(byId(id), metrics);
    byId(id).closest(".field").hidden = metrics.length < 2;
  }
  options(byId("curve-metric"), [["", "the objectives"], ...study.metrics.map((metric) => [metric.name, titled(metric)])]);
  byId("curve-scale").value = ["linear", "log"].includes(chosen("scale")) ? chosen("scale") : "";
  byId("curve-smoothing").value = chosen("smoothing") || "0";
  byId("parallel-filter").value = chosen("filter");
  byId("contour").hidden = names.length < 2;
  showTab();
}

/** Trials report metrics that the study does not define, too. */
async function offerMetrics() {
  const names = await read(`studies/${part(ID)}/metrics`);
  const declared = new Map(study.metrics.map((metric) => [metric.name, titled(metric)]));
  options(byId("curve-metric"), [["", "the objectives"], ...names.map((name) => [name, declared.get(name) ?? name])]);
  if (names.includes(chosen("metric")) && byId("curve-metric").value !== chosen("metric")) {
    byId("curve-metric").value = chosen("metric");
    figures.find(({ place }) => place.id === "all-curves").ask();
  }
}

function asked(place) {
  const set = (id) => byId(id).value;
  const shown = { scale: set("curve-scale"), smoothing: set("curve-smoothing") };
  if (place.id === "all-curves") return { metric: set("curve-metric"), ...shown };
  if (place.id === "compare-curves") return { trial: comparedTrials(), metric: set("curve-metric"), ...shown };
  if (place.id === "slice") return { along: set("slice-along"), metric: set("slice-metric") };
  if (place.id === "parallel") return { metric: ranking(set("parallel-metric")), filter: chosen("filter"), state: chosen("state") };
  if (place.id !== "contour") return {};
  const pair = [set("contour-first"), set("contour-second")];
  return { along: pair.every(Boolean) && pair[0] !== pair[1] ? pair : [], metric: set("contour-metric"), show: set("contour-show") };
}

/** The objectives, the one that colors the lines first. */
const ranking = (first) => objectives(study).map(({ name }) => name).sort((a, b) => (b === first) - (a === first));

// -- what is shown

const tab = () => tabOf(TABS);

/** The trial in the address is open, and no other. */
function showLinked() {
  const linked = Number(chosen("trial"));
  if (linked && study) dialog.open(linked, study);
  else if (!linked) dialog.shut();
}

function showTab() {
  for (const name of TABS) {
    byId(name).hidden = name !== tab();
    const link = document.querySelector(`nav a[href="#${name}"]`);
    if (name === tab()) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!study) return;
  figures.forEach((figure) => (figure.place.id === "compare-curves" ? figure.touch() : figure.look()));
  if (tab() === "trials") {
    table.follow();
    if (table.answer) table.load();
    else table.refresh();
  }
  if (tab() === "parameters") byId("parallel-filter").value = chosen("filter");
  if (tab() === "compare") showComparison(ID, study);
  if (tab() === "curves") attempt(offerMetrics);
  if (tab() === "diagnosis") attempt(() => showDiagnosis(ID));
  render();
}

const render = throttled(() => {
  if (!study) return;
  const all = [...open.values()].sort((a, b) => a.number - b.number);
  showHead();
  if (tab() === "definition") showDefinition();
  if (tab() === "overview") showOverview(all);
  if (tab() === "trials") table.show(best);
  if (tab() === "workers") showWorkers(study, all, Date.now() + skew);
}, () => 100);

function showHead() {
  byId("title").textContent = study.title || study.id;
  byId("id").textContent = study.title && study.title !== study.id ? study.id : "";
  fill(byId("state"), badge(study.state));
  const said = study.failing ? failing(study.failing) : "";
  if (byId("failing").textContent !== said) byId("failing").textContent = said; // else it is read aloud again
  const acts = {
    ACTIVE: [["pause", "Pause"], ["finish", "Stop"]],
    PAUSED: [["resume", "Resume"], ["finish", "Stop"]],
    COMPLETED: [["resume", "Start again"]],
  };
  const offered = caller.may("worker") ? [...acts[study.state], ["enqueue", "Queue a trial"]] : [];
  if (caller.may("admin")) offered.push(["remove", "Delete"]);
  fill(byId("study-actions"), offered.map(([act, text]) => h("button", { type: "button", class: act === "remove" ? "danger" : "", data: { act }, textContent: text })));
}

function showOverview(all) {
  const [ended, { counts }] = [endedOf(study), study];
  const lost = counts.failed + counts.infeasible;
  const tiles = [
    ...bestTiles(),
    ["Trials ended", study.maxTrials ? `${ended} of ${study.maxTrials}` : String(ended), [counts.queued && `${counts.queued} queued`, counts.paused && `${counts.paused} paused`, study.resumable && `${study.resumable} for a worker that can resume`].filter(Boolean).join(", ")],
    ...budgetTiles(study),
    ["Running", String(counts.running), running(all)],
    ["Without a result", String(lost), lost ? `${counts.failed} failed, ${counts.infeasible} infeasible` : ""],
    ["Last change", new Date(study.changed).toLocaleTimeString(), new Date(study.changed).toLocaleDateString(undefined, { dateStyle: "medium" })],
  ];
  fill(byId("tiles"), tiles.map(([name, main, more]) => h("div", { class: "tile" }, h("dt", { textContent: name }), h("dd", {}, h("b", {}, main), more && h("small", {}, more)))));
  showBest();
  showStart();
}

/** What was spent of each limit of training, and what is left. */
function budgetTiles({ maxSteps, maxSeconds, spent, reachedLimit, settings }) {
  const unit = `${settings.fidelity?.metric ?? "step"}s`;
  const limits = [["MAX_STEPS", unit, spent.steps, maxSteps], ["MAX_SECONDS", "seconds", Math.round(spent.seconds), maxSeconds]];
  return limits.filter(([, , , most]) => most !== null).map(([name, what, used, most]) =>
    [`Trained ${what}`, `${used.toLocaleString()} of ${most.toLocaleString()}`, reachedLimit === name ? `${name.toLowerCase()} is reached: no trial begins` : `${Math.max(0, most - used).toLocaleString()} left`]);
}

/** A study without trials says how they are run. */
function showStart() {
  const isEmpty = Object.values(study.counts).every((count) => count === 0);
  byId("start").hidden = !isEmpty;
  if (!isEmpty) return;
  const objective = study.objective?.name ?? "OBJECTIVE";
  byId("start-command").textContent = `bo-worker run --server HOST:PORT --study ${study.id} --objective ${objective}`;
}

function bestTiles() {
  const goals = objectives(study);
  const leaders = [...best.values()].filter((trial) => trial.final);
  if (goals.length > 1) return [["Pareto set", String(leaders.length), goals.map(direction).join("; ")]];
  const leader = leaders[0];
  return [[`Best ${titled(goals[0])}`, leader ? number(leader.final.metrics[goals[0].name]) : isBestKnown ? "none yet" : "…", leader ? `trial ${leader.number}` : direction(goals[0])]];
}

function running(all) {
  const workers = new Set(all.filter((trial) => trial.lease).map((trial) => trial.lease.worker));
  return workers.size ? `on ${workers.size} ${workers.size === 1 ? "worker" : "workers"}` : "";
}

function showBest() {
  const leaders = [...best.values()].slice(0, MOST_BEST);
  byId("best-none").textContent = leaders.length ? "" : isBestKnown ? "No trial has a result yet." : "…";
  byId("best-cut").textContent = best.size > MOST_BEST ? `The first ${MOST_BEST} of ${best.size} trials in the Pareto set.` : "";
  byId("best").hidden = !leaders.length;
  const goals = study.metrics.filter(({ role }) => role !== "INFORMATION");
  const names = study.parameters.map(({ name }) => name).filter((name) => leaders.some((trial) => name in (trial.parameters ?? {})));
  const heads = [["Trial"], ...goals.map((metric) => [titled(metric), "number"]), ...names.map((name) => [name])];
  fill(byId("best-head"), heads.map(([title, of]) => h("th", { scope: "col", class: of ?? "", textContent: title })));
  fill(byId("best-body"), leaders.map((trial) => h("tr", {},
    h("th", { scope: "row" }, h("button", { type: "button", class: "link", data: { trial: trial.number }, textContent: String(trial.number) })),
    goals.map(({ name }) => h("td", { class: "number", textContent: number(trial.final?.metrics[name] ?? "") })),
    names.map((name) => h("td", { textContent: value(trial.parameters?.[name] ?? "") })))));
}

function showDefinition() {
  fill(byId("parameter-body"), study.parameters.map((parameter) => h("tr", {},
    h("th", { scope: "row", textContent: parameter.name }),
    h("td", { textContent: parameter.kind }),
    h("td", { textContent: domain(parameter) }),
    h("td", { textContent: parameter.default === undefined ? "" : value(parameter.default) }),
    h("td", { textContent: parameter.when ? `${parameter.when.parameter} is ${parameter.when.values.map(value).join(" or ")}` : "always" }),
    h("td", { textContent: parameter.description }))));
  fill(byId("metric-body"), study.metrics.map((metric) => h("tr", {},
    h("th", { scope: "row", textContent: titled(metric) }),
    h("td", { textContent: lower(metric.role) }),
    h("td", { textContent: metric.role === "CONSTRAINT" ? `at ${metric.goal === "MINIMIZE" ? "most" : "least"} ${number(metric.bound)}` : lower(metric.goal) }))));
  const worded = (set) => (set instanceof Object ? Object.entries(set).map(([name, each]) => `${name} ${value(each)}`).join(", ") : value(set));
  const settings = Object.entries(study.settings).map(([name, set]) => [name.replaceAll("_", " "), `${[set].flat().map(worded).join(", ")}${name === "lease_duration" ? " s" : ""}`]);
  const facts = (rows) => rows.flatMap(([name, text]) => [h("dt", { textContent: name }), h("dd", { textContent: text })]);
  fill(byId("study-settings"), facts(settings));
  const { name, options: given } = study.objective ?? {};
  const objective = name ? [["objective", name], ...Object.entries(given).map(([key, text]) => [`option ${key}`, text])] : [];
  fill(byId("study-facts"), facts([["created", moment(study.created)], ...objective, ...Object.entries(study.labels)]));
}

function domain({ values, low, high, log, unit }) {
  const range = values ? values.map(value).join(", ") : `${value(low)} to ${value(high)}${log ? ", log scale" : ""}`;
  return unit ? `${range} ${unit}` : range;
}

// -- what is done

const setState = (state, done) => attempt(() => call("UpdateStudy", { study: { name: `studies/${ID}`, state: `STUDY_STATE_${state}` }, updateMask: "state" }), done);

const ACTIONS = {
  pause: () => setState("PAUSED", "The study is paused: it gives out no trials, and running ones go on."),
  resume: () => setState("ACTIVE", "The study gives out trials."),
  finish: async () => {
    if ((await ask("Stop the study? Workers exit after their current trials; it can be started again.", "Stop it")) !== null) await setState("COMPLETED", "The study is completed.");
  },
  enqueue: () => queue.open(study),
  remove: async () => {
    if ((await ask(`Delete the study ${ID} with its ${Object.values(study.counts).reduce((sum, count) => sum + count, 0)} trials? Nothing brings it back.`, "Delete it")) === null) return;
    if (await attempt(() => call("DeleteStudy", { name: `studies/${ID}` }))) location.assign("/");
  },
};

main();
