// One study, as it happens.

import { call, part, read } from "./api.js";
import { showDiagnosis } from "./diagnosis.js";
import { byId, fill, h, options, throttled } from "./dom.js";
import { Figure } from "./figures.js";
import { direction, endedOf, failing, isEnded, lower, moment, number, objectives, titled, value } from "./format.js";
import { announce, ask, attempt, badge, enter, notify } from "./page.js";
import { QueueForm } from "./queue.js";
import { TrialDialog } from "./trial.js";
import { TrialTable } from "./trials.js";
import { showWorkers } from "./workers.js";

const ID = decodeURIComponent(location.pathname.split("/")[2]);
const TABS = ["overview", "trials", "curves", "parameters", "diagnosis", "workers", "definition"];
const trials = new Map();
let [study, caller, table, dialog, queue, figures, skew, best] = [null, null, null, null, null, [], 0, new Set()];

async function main() {
  caller = await enter();
  byId("title").textContent = ID;
  document.title = `${ID} · bo`;
  dialog = new TrialDialog(ID, caller);
  table = new TrialTable();
  queue = new QueueForm(ID);
  figures = [...document.querySelectorAll("[data-figure]")].map((place) => new Figure(ID, place, () => asked(place)));
  listen();
  watchWhileSeen();
  setInterval(() => study && showWorkers(study, [...trials.values()], Date.now() + skew), 1000);
}

function listen() {
  addEventListener("hashchange", showTab);
  document.addEventListener("queue", ({ detail }) => queue.open(study, detail));
  document.addEventListener("click", ({ target }) => {
    const opened = target.closest?.("#main [data-trial]");
    if (opened) dialog.open(Number(opened.dataset.trial), study);
  });
  for (const select of document.querySelectorAll("[data-asks]")) {
    select.addEventListener("change", () => figures.find(({ place }) => place.id === select.dataset.asks).ask());
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
  const news = change.trials.filter((trial) => isEnded(trial) && trials.has(trial.number) && !isEnded(trials.get(trial.number)));
  change.trials.forEach((trial) => trials.set(trial.number, trial));
  change.deleted.forEach((gone) => trials.delete(gone));
  study = change.study;
  if (isFirst) prepare();
  if (news.length) announce(news.map((trial) => `Trial ${trial.number} ${lower(trial.state)}${told(trial)}`).join(". "));
  if (change.trials.length || change.deleted.length) {
    figures.forEach((figure) => figure.touch());
    dialog.changed(change.trials);
    if (isFirst || news.length || change.deleted.length || change.trials.some(isEnded)) findBest();
  }
  render();
}

const told = (trial) => (trial.final ? `: ${objectives(study).map(({ name }) => `${name} ${number(trial.final.metrics[name])}`).join(", ")}` : "");

const findBest = throttled(async () => {
  try {
    best = new Set((await read(`studies/${part(ID)}/best`)).map(Number));
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
  for (const id of ["slice-metric", "contour-metric"]) {
    options(byId(id), metrics);
    byId(id).closest(".field").hidden = metrics.length < 2;
  }
  byId("contour").hidden = names.length < 2;
  showTab();
}

function asked(place) {
  const chosen = (id) => byId(id).value;
  if (place.id === "slice") return { along: chosen("slice-along"), metric: chosen("slice-metric") };
  if (place.id !== "contour") return {};
  const pair = [chosen("contour-first"), chosen("contour-second")];
  return { along: pair.every(Boolean) && pair[0] !== pair[1] ? pair : [], metric: chosen("contour-metric"), show: chosen("contour-show") };
}

// -- what is shown

const tab = () => (TABS.includes(location.hash.slice(1)) ? location.hash.slice(1) : TABS[0]);

function showTab() {
  for (const name of TABS) {
    byId(name).hidden = name !== tab();
    const link = document.querySelector(`nav a[href="#${name}"]`);
    if (name === tab()) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  figures.forEach((figure) => figure.look());
  if (tab() === "diagnosis") attempt(() => showDiagnosis(ID));
  render();
}

const render = throttled(() => {
  if (!study) return;
  const all = [...trials.values()].sort((a, b) => a.number - b.number);
  showHead();
  if (tab() === "definition") showDefinition();
  if (tab() === "overview") showOverview(all);
  if (tab() === "trials") table.show(study, all, best);
  if (tab() === "workers") showWorkers(study, all, Date.now() + skew);
}, () => (trials.size > 2000 ? 1000 : 100));

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
    ["Running", String(counts.running), running(all)],
    ["Without a result", String(lost), lost ? `${counts.failed} failed, ${counts.infeasible} infeasible` : ""],
    ["Last change", new Date(study.changed).toLocaleTimeString(), new Date(study.changed).toLocaleDateString(undefined, { dateStyle: "medium" })],
  ];
  fill(byId("tiles"), tiles.map(([name, main, more]) => h("div", { class: "tile" }, h("dt", { textContent: name }), h("dd", {}, h("b", {}, main), more && h("small", {}, more)))));
  showBest();
}

function bestTiles() {
  const goals = objectives(study);
  const leaders = [...best].map((number) => trials.get(number)).filter((trial) => trial?.final);
  if (goals.length > 1) return [["Pareto set", String(leaders.length), goals.map(direction).join("; ")]];
  const leader = leaders[0];
  return [[`Best ${titled(goals[0])}`, leader ? number(leader.final.metrics[goals[0].name]) : "none yet", leader ? `trial ${leader.number}` : direction(goals[0])]];
}

function running(all) {
  const workers = new Set(all.filter((trial) => trial.lease).map((trial) => trial.lease.worker));
  return workers.size ? `on ${workers.size} workers` : "";
}

function showBest() {
  const leaders = [...best].map((number) => trials.get(number)).filter(Boolean).slice(0, 20);
  byId("best-none").textContent = leaders.length ? "" : "No trial has a result yet.";
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
    if ((await ask("Stop the study? Workers go home when their trials end; it can be started again.", "Stop it")) !== null) await setState("COMPLETED", "The study is completed.");
  },
  enqueue: () => queue.open(study),
  remove: async () => {
    if ((await ask(`Delete the study ${ID} with its ${trials.size} trials? Nothing brings it back.`, "Delete it")) === null) return;
    if (await attempt(() => call("DeleteStudy", { name: `studies/${ID}` }))) location.assign("/");
  },
};

main();
