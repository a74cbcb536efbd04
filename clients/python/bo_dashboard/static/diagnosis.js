// The diagnosis of the study and its trials, and the surrogate's calibration.

import { part, read } from "./api.js";
import { byId, fill, h } from "./dom.js";
import { number, percent } from "./format.js";

const MOST_TRIALS = 12;

export async function showDiagnosis(id) {
  const told = await read(`studies/${part(id)}/diagnosis`);
  fill(byId("findings"), findings(told));
  fill(byId("ailments"), ailments(told));
  fill(byId("surrogate"), told.surrogate.length ? told.surrogate.map(surrogate) : h("p", { textContent: "There are too few results for the surrogate." }));
}

function findings({ brief, findings: parts }) {
  const part = ({ title, lines }) => h("section", {}, h("h3", { textContent: title }), h("ul", {}, lines.map((text) => h("li", { textContent: text }))));
  return [h("p", { textContent: `${brief}.` }), ...parts.map(part)];
}

function ailments({ ailing }) {
  const rows = Object.entries(ailing).sort(([, a], [, b]) => b.length - a.length);
  if (!rows.length) return [h("p", { textContent: "No worker has reported a finding." })];
  return [h("table", {},
    h("thead", {}, h("tr", {}, ["What", "Trials", "Which"].map((title, i) => h("th", { scope: "col", class: i === 1 ? "number" : "", textContent: title })))),
    h("tbody", {}, rows.map(([kind, numbers]) => h("tr", {},
      h("th", { scope: "row", textContent: kind }),
      h("td", { class: "number", textContent: String(numbers.length) }),
      h("td", {}, which(numbers))))))];
}

function which(numbers) {
  const shown = numbers.slice(0, MOST_TRIALS).flatMap((number, i) => [i ? " " : "", h("button", { type: "button", class: "link", data: { trial: number }, textContent: String(number) })]);
  return numbers.length > MOST_TRIALS ? [...shown, ` and ${numbers.length - MOST_TRIALS} more`] : shown;
}

function surrogate({ metric, best, contenders, stopped, calibration }) {
  return h("section", {},
    h("h3", { textContent: metric }),
    h("p", { textContent: best }),
    h("div", { class: "scrolled", role: "region", "aria-label": `Contenders of ${metric}`, tabIndex: 0 }, h("table", {},
      h("thead", {}, h("tr", {}, ["Trial", "Observed", "Is the best with", "Expected to be worse by"].map((title, i) => h("th", { scope: "col", class: i ? "number" : "", textContent: title })))),
      h("tbody", {}, contenders.map(({ trial, observed, probability, regret }) => h("tr", {},
        h("th", { scope: "row" }, h("button", { type: "button", class: "link", data: { trial }, textContent: String(trial) })),
        h("td", { class: "number", textContent: number(observed) }),
        h("td", { class: "number", textContent: percent(probability) }),
        h("td", { class: "number", textContent: number(regret) })))))),
    stopped ? h("p", { textContent: `${stopped} trials that a stopping rule ended early are not included: they were not observed at their full length.` }) : "",
    h("p", { textContent: calibration }));
}
