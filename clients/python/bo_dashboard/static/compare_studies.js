// Studies side by side: their progress, their best trials, and how fast they found them.

import { part, read } from "./api.js";
import { rowOf } from "./compare.js";
import { byId, fill, h } from "./dom.js";
import { Figure } from "./figures.js";
import { endedOf, lower, moment, number, objectives, titled, value } from "./format.js";
import { attempt, enter } from "./page.js";

const IDS = [...new Set(new URLSearchParams(location.search).getAll("study"))].slice(0, 8);

class Comparison extends Figure {
  get path() {
    return "comparison";
  }
}

async function main() {
  await enter();
  if (!IDS.length) {
    byId("none").textContent = "Mark studies in the list, then choose “Compare”.";
    return;
  }
  await attempt(async () => {
    const found = await Promise.all(IDS.map(async (id) => {
      const { study } = await read(`studies/${part(id)}`);
      return { ...study, best: await read(`studies/${part(id)}/best`) };
    }));
    fill(byId("head"), [h("td", {}), ...found.map(({ id }) => h("th", { scope: "col", class: "number" }, h("a", { href: `/studies/${part(id)}`, textContent: id })))]);
    fill(byId("body"), rowsOf(found).map(rowOf));
  });
  new Comparison("studies", document.querySelector("[data-figure]"), () => ({ study: IDS }));
}

function rowsOf(found) {
  const names = [...new Set(found.flatMap((study) => objectives(study).map(({ name }) => name)))];
  const parameters = [...new Set(found.flatMap((study) => study.parameters.map(({ name }) => name)))];
  const settings = [...new Set(found.flatMap((study) => Object.keys(study.settings)))].sort();
  const of = (title, get) => ({ title, values: found.map(get) });
  const metric = (study, name) => objectives(study).find((each) => each.name === name);
  return [
    of("State", ({ state }) => lower(state)),
    of("Trials ended", (study) => endedOf(study)),
    of("Running", ({ counts }) => counts.running),
    of("Failed", ({ counts }) => counts.failed + counts.infeasible),
    of("Objective", (study) => objectives(study).map((each) => `${titled(each)}, ${lower(each.goal)}`).join("; ")),
    ...names.map((name) => of(`Best ${name}`, (study) => (metric(study, name) ? bestOf(study, metric(study, name)) : undefined))),
    of("Best trial", ({ best }) => (best.length > 1 ? `${best.length} in the Pareto set` : best[0]?.number)),
    ...parameters.map((name) => of(`Best ${name}`, ({ best }) => (best.length === 1 ? best[0].parameters?.[name] : undefined))),
    ...settings.map((name) => of(name.replaceAll("_", " "), (study) => (study.settings[name] === undefined ? undefined : worded(study.settings[name])))),
    of("Last change", ({ changed }) => moment(changed)),
  ].filter(({ values }) => values.some((each) => each !== undefined && each !== ""));
}

/** The best value of one objective, whatever the others are. */
function bestOf({ best }, { name, goal }) {
  const values = best.map(({ final }) => final?.metrics[name]).filter((each) => typeof each === "number");
  return values.length ? Number(number((goal === "MINIMIZE" ? Math.min : Math.max)(...values))) : undefined;
}

const worded = (set) => (set instanceof Object ? JSON.stringify(set) : value(set));

main();
