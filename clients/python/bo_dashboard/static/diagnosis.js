// What ails the study and its trials, and how far the surrogate is to be trusted.

import { part, read } from "./api.js";
import { byId, fill, h } from "./dom.js";
import { number, percent } from "./format.js";

const MOST_TRIALS = 12;

export async function showDiagnosis(id) {
  const told = await read(`studies/${part(id)}/diagnosis`);
  fill(byId("findings"), findings(told));
  fill(byId("ailments"), ailments(told));
  fill(byId("surrogate"), told.surrogate.length ? told.surrogate.map(surrogate) : h("p", { textContent: "There are too few results for the surrogate to tell anything." }));
}

function findings({ metric, results, failed, median, idle, pressed, wasted }) {
  const items = [
    `${results} trials have a ${metric}${median === null ? "" : `, the median of which is ${number(median)}`}; ${failed} ended without one.`,
    ...pressed.map(({ parameter, edge, bound, best, near }) => `${near} of the ${best} best trials lie near the ${edge}est value of ${parameter}, ${number(bound)}: the space may be too narrow there.`),
    ...wasted.map(({ parameter, part: where, trials, failed: lost, best }) => `${parameter} ${where}: ${trials} trials, ${best === null ? "none with a result" : `none better than ${number(best)}`}${lost ? `, ${lost} without a result` : ""}; a waste of them.`),
    ...(idle.length ? [`${idle.join(", ")} hardly ${idle.length > 1 ? "matter" : "matters"}; ${idle.length > 1 ? "they" : "it"} could be fixed.`] : []),
  ];
  return items.map((text) => h("li", { textContent: text }));
}

function ailments({ ailments: counts, ailing }) {
  const rows = Object.entries(counts);
  if (!rows.length) return [h("p", { textContent: "No worker has found anything wrong with a trial." })];
  return [h("table", {},
    h("thead", {}, h("tr", {}, ["What", "Trials", "Which"].map((title, i) => h("th", { scope: "col", class: i === 1 ? "number" : "", textContent: title })))),
    h("tbody", {}, rows.map(([kind, count]) => h("tr", {},
      h("th", { scope: "row", textContent: kind }),
      h("td", { class: "number", textContent: String(count) }),
      h("td", {}, which(ailing[kind] ?? []))))))];
}

function which(numbers) {
  const shown = numbers.slice(0, MOST_TRIALS).flatMap((number, i) => [i ? " " : "", h("button", { type: "button", class: "link", data: { trial: number }, textContent: String(number) })]);
  return numbers.length > MOST_TRIALS ? [...shown, ` and ${numbers.length - MOST_TRIALS} more`] : shown;
}

function surrogate({ metric, best, contenders, calibration }) {
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
    h("p", { textContent: calibration }));
}
