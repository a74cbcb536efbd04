// Who runs what, and until when it is theirs.

import { byId, fill, h } from "./dom.js";
import { duration, inOrder, moment, number } from "./format.js";

/** `now` is the server's time. */
export function showWorkers(study, trials, now) {
  const running = trials.filter((trial) => trial.lease);
  const workers = Map.groupBy(running, (trial) => trial.lease.worker);
  fill(byId("worker-body"), [...workers].sort(([a], [b]) => a.localeCompare(b)).flatMap(([name, theirs]) => theirs.map((trial) => row(study, name, trial, now))));
  byId("worker-none").textContent = running.length ? "" : "No trial is running: no worker holds a lease.";
  byId("worker-count").textContent = running.length ? `${workers.size === 1 ? "One worker holds" : `${workers.size} workers hold`} ${running.length} ${running.length === 1 ? "trial" : "trials"}. A lease lasts ${number(study.leaseSeconds)} s from each heartbeat.` : "";
}

function row(study, name, trial, now) {
  const left = trial.lease.expires - now;
  const heard = now - (trial.lease.expires - 1000 * study.leaseSeconds);
  const latest = trial.latest ? `step ${trial.latest.step}: ${inOrder(Object.keys(trial.latest.metrics), study).map((metric) => `${metric} ${number(trial.latest.metrics[metric])}`).join(", ")}` : "nothing yet";
  return h("tr", {},
    h("th", { scope: "row", textContent: name }),
    h("td", {}, h("button", { type: "button", class: "link", data: { trial: trial.number }, textContent: `trial ${trial.number}` }), trial.attempt > 1 ? ` attempt ${trial.attempt}` : ""),
    h("td", { textContent: `${duration(heard)} ago` }),
    h("td", { class: left < 0 ? "overdue" : "", title: moment(trial.lease.expires), textContent: left < 0 ? `overdue by ${duration(-left)}` : `ends in ${duration(left)}` }),
    h("td", { textContent: trial.started ? duration(now - trial.started) : "" }),
    h("td", { textContent: latest }));
}
