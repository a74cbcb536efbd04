// The list of studies.

import { part, post, read } from "./api.js";
import { byId, fill, h, throttled } from "./dom.js";
import { endedOf, failing, moment, number, objectives, titled } from "./format.js";
import { badge, enter, notify } from "./page.js";

const EVERY = 3000;
let caller = null;
let shown = [];
let pages = 1;
let count = 0;

async function main() {
  caller = await enter();
  byId("new").hidden = !caller.may("worker");
  byId("create").addEventListener("submit", create);
  byId("filter").addEventListener("input", throttled(() => ((pages = 1), refresh()), () => 200));
  byId("studies").addEventListener("change", ({ target }) => mark(target));
  byId("more").addEventListener("click", () => {
    pages += 1;
    refresh();
  });
  await refresh();
  setInterval(() => document.hidden || refresh(), EVERY);
}

async function refresh() {
  try {
    let [found, next] = [[], ""];
    for (let page = 0; page < pages && (page === 0 || next); page += 1) {
      const answer = await read(`studies?page=${part(next)}&filter=${part(byId("filter").value.trim())}`);
      found = found.concat(answer.studies);
      count = answer.count;
      next = answer.next;
    }
    shown = found;
    byId("more").hidden = !next;
    byId("cut").textContent = next ? `The ${found.length} of ${count} studies that changed last.` : "";
    byId("connection").textContent = "";
    render();
  } catch (error) {
    if (error.status === 401) location.reload();
    byId("connection").textContent = `not up to date: ${error.message}`;
  }
}

function render() {
  fill(byId("studies"), shown.map(row));
  const none = byId("filter").value.trim() ? "No study has that in its name, state or labels." : "There are no studies yet. Workers and clients make them, or you do, below.";
  byId("none").textContent = shown.length ? "" : none;
}

const compared = new Set();

function mark({ checked, dataset }) {
  if (!dataset.mark) return;
  if (checked) compared.add(dataset.mark);
  else compared.delete(dataset.mark);
  const ids = [...compared];
  byId("compare").hidden = ids.length < 2;
  byId("compare").textContent = `Compare ${ids.length} studies`;
  byId("compare").href = `/compare?${ids.map((id) => `study=${part(id)}`).join("&")}`;
}

function row(study) {
  const [ended, running] = [endedOf(study), study.counts.running];
  const total = study.maxTrials ? ` of ${study.maxTrials}` : "";
  const title = study.title && study.title !== study.id ? study.title : "";
  return h("tr", {},
    h("th", { scope: "row" }, h("a", { href: `/studies/${part(study.id)}`, textContent: study.id }), title && h("small", { textContent: title })),
    h("td", {}, badge(study.state), study.failing && h("small", { class: "fault", textContent: failing(study.failing) })),
    h("td", { class: "number", data: { name: "Ended" }, textContent: `${ended}${total}` }),
    h("td", { class: "number", data: { name: "Running" }, textContent: String(running) }),
    h("td", { class: "number", data: { name: "Failed" } }, failed(study)),
    h("td", { data: { name: "Best" } }, best(study)),
    h("td", { data: { name: "Changed" } }, h("time", { textContent: moment(study.changed) })),
    h("td", { class: "mark", data: { name: "Compare" } }, h("input", { type: "checkbox", checked: compared.has(study.id), "aria-label": `Compare ${study.id}`, data: { mark: study.id } })));
}

function failed({ counts }) {
  const lost = counts.failed + counts.infeasible;
  return h("span", { class: lost ? "fault" : "quiet", title: `${counts.failed} failed, ${counts.infeasible} infeasible`, textContent: String(lost) });
}

function best(study) {
  const goals = objectives(study);
  if (!study.best.length) return h("span", { class: "quiet", textContent: "no result yet" });
  if (goals.length > 1) return h("span", { textContent: `${study.best.length} in the Pareto set` });
  const trial = study.best[0];
  return h("span", {}, h("b", { textContent: number(trial.final.metrics[goals[0].name]) }), ` ${titled(goals[0])}, trial ${trial.number}`);
}

async function create(event) {
  event.preventDefault();
  const fault = byId("create-fault");
  try {
    const made = await post("studies", { id: byId("id").value, title: byId("display-name").value, yaml: byId("yaml").value });
    location.assign(`/studies/${part(made.id)}`);
  } catch (error) {
    fault.textContent = error.message;
    notify("The study was not created; the form says why.", true);
    fault.focus();
  }
}

main();
