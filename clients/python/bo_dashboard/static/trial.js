// One trial: what was tried and why, how it went, and what may be done with it.

import { choose, chosen } from "./address.js";
import { call, part, read, readText } from "./api.js";
import { byId, fill, h, svg } from "./dom.js";
import { ORIGINS, duration, inOrder, isEnded, lower, moment, number, value } from "./format.js";
import { ask, attempt, badge } from "./page.js";

export class TrialDialog {
  constructor(study, caller) {
    this.id = study;
    this.caller = caller;
    this.dialog = byId("trial");
    this.number = null;
    byId("trial-close").onclick = () => this.dialog.close();
    this.dialog.addEventListener("close", () => {
      this.forget();
      byId("main").querySelector(`[data-trial="${this.last}"]`)?.focus();
    });
  }

  async open(number, study) {
    if (this.dialog.open && this.number === number) return;
    this.number = this.last = number;
    this.study = study;
    choose({ trial: number }, !this.dialog.open && !chosen("trial"));
    if (!(await attempt(() => this.load()))) return this.forget();
    if (!this.dialog.open) this.dialog.showModal();
  }

  shut() {
    if (this.dialog.open) this.dialog.close();
  }

  forget() {
    this.number = null;
    choose({ trial: "" });
  }

  /** Reads it again, where it is the one that is shown. */
  async changed(trials) {
    if (this.dialog.open && trials.some((trial) => trial.number === this.number)) await attempt(() => this.load());
  }

  async load() {
    const trial = await read(`studies/${part(this.id)}/trials/${this.number}`);
    fill(byId("trial-title"), `Trial ${trial.number} `, badge(trial.state));
    fill(byId("trial-content"), this.told(trial));
    fill(byId("trial-actions"), this.actions(trial));
    for (const button of byId("trial-actions").querySelectorAll("button")) button.onclick = () => this[button.dataset.act](trial);
    for (const button of byId("trial-content").querySelectorAll("[data-act='write']")) button.onclick = () => this.write(trial);
    for (const button of byId("trial-content").querySelectorAll("[data-act='read']")) button.onclick = () => attempt(() => showText(button));
    for (const image of byId("trial-content").querySelectorAll(".file img")) image.onerror = () => image.replaceWith(h("p", { class: "quiet", textContent: "Not an image that pages show." }));
    for (const button of byId("trial-content").querySelectorAll("[data-open]")) button.onclick = () => this.open(Number(button.dataset.open), this.study);
  }

  told(trial) {
    return [
      section("Why it was suggested", why(trial)),
      section("Parameters", facts(this.study.parameters.filter(({ name }) => name in (trial.parameters ?? {})).map(({ name }) => [name, value(trial.parameters[name])]))),
      section("Result", result(trial, this.study)),
      section("Note", note(trial, this.caller.may("worker"))),
      section("Files", files(trial, `/data/studies/${part(this.id)}/trials/${trial.number}/artifacts`)),
      section("Learning curve", curves(trial, this.study)),
      section("Diagnosis and labels", labels(trial)),
      section("Life", facts(life(trial))),
      section("Attempts", attempts(trial)),
    ];
  }

  async write(trial) {
    const text = byId("note").value;
    if (await attempt(() => call("SetTrialNote", { name: this.name(trial), text }), text ? "The note is saved." : "The note is removed.")) await attempt(() => this.load());
  }

  actions(trial) {
    const isOpen = !isEnded(trial) && !trial.stop;
    return [
      this.caller.may("worker") && isOpen && h("button", { type: "button", data: { act: "stop" }, textContent: "Stop this trial" }),
      this.caller.may("worker") && h("button", { type: "button", data: { act: "again" }, textContent: "Queue it again" }),
      this.caller.may("admin") && trial.state !== "RUNNING" && h("button", { type: "button", class: "danger", data: { act: "remove" }, textContent: "Delete this trial" }),
    ];
  }

  async stop(trial) {
    const reason = await ask(`Stop trial ${trial.number}? A running one ends at its worker's next report.`, "Stop it", "Reason, for others");
    if (reason === null) return;
    await attempt(() => call("StopTrial", { name: this.name(trial), reason }), `Trial ${trial.number} is asked to stop.`);
    await attempt(() => this.load());
  }

  again(trial) {
    this.dialog.close();
    document.dispatchEvent(new CustomEvent("queue", { detail: trial.parameters }));
  }

  async remove(trial) {
    if ((await ask(`Delete trial ${trial.number}? The surrogate forgets it, and nothing brings it back.`, "Delete it")) === null) return;
    if (await attempt(() => call("DeleteTrial", { name: this.name(trial) }), `Trial ${trial.number} is deleted.`)) this.dialog.close();
  }

  name(trial) {
    return `studies/${this.id}/trials/${trial.number}`;
  }
}

const section = (title, ...content) => (content.flat().some(Boolean) ? h("section", {}, h("h3", { textContent: title }), ...content.flat()) : null);

const facts = (rows) => (rows.length ? h("dl", { class: "facts" }, rows.flatMap(([name, told]) => [h("dt", { textContent: name }), h("dd", {}, told)])) : null);

function why(trial) {
  const told = trial.why;
  if (!told) return [h("p", { textContent: `From ${ORIGINS[trial.origin] ?? "nobody knows where"}.` })];
  const rows = (told.predictions ?? []).map(({ metric, mean, std }) => [`expected ${metric}`, `${number(mean)} ± ${number(std)}`]);
  if (told.acquisitionValue !== undefined) rows.push([`acquisition (${told.acquisition})`, number(told.acquisitionValue)]);
  if (told.nearest !== undefined) {
    const link = h("button", { type: "button", class: "link", data: { open: told.nearest }, textContent: `trial ${told.nearest}` });
    rows.push(["nearest earlier trial", h("span", {}, link, told.distance === undefined ? "" : `, at distance ${number(told.distance)}`)]);
  }
  return [h("p", { textContent: told.summary }), facts([["from", ORIGINS[trial.origin] ?? ""], ...(told.intent ? [["after", told.intent === "EXPLORE" ? "learning" : "improving"]] : []), ...rows])];
}

function result(trial, study) {
  const metrics = trial.final?.metrics ?? {};
  const rows = inOrder(Object.keys(metrics), study).map((name) => [name, number(metrics[name])]);
  if (trial.stop?.expected) rows.push([`expected ${trial.stop.expected.metric} at its full length`, `${number(trial.stop.expected.mean)} ± ${number(trial.stop.expected.std)}`]);
  if (trial.failure) rows.push(["failure", lower(trial.failure.reason)]);
  return [facts(rows), trial.failure?.message && h("pre", { tabIndex: 0, textContent: trial.failure.message })];
}

/** What people have written, and where those who may can write. */
function note({ note: told }, isEditable) {
  const by = told && h("p", { class: "quiet", textContent: `By ${told.author}, ${moment(told.written)}` });
  const tags = (told?.tags ?? []).map((tag) => h("a", { class: "tag", href: `#trials?filter=${part(`tag=${tag}`)}`, textContent: `#${tag}` }));
  if (!isEditable) return told ? [h("pre", { tabIndex: 0, textContent: told.text }), ...tags, by] : null;
  return [
    h("textarea", { id: "note", rows: 3, maxLength: 10000, "aria-label": "Note", "aria-describedby": "note-help", textContent: told?.text ?? "" }),
    h("small", { id: "note-help", textContent: "A word after # is a tag, by which the table is filtered." }),
    ...tags,
    h("div", { class: "actions" }, h("button", { type: "button", data: { act: "write" }, textContent: "Save the note" })),
    by,
  ];
}

const DRAWN = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/** Files that workers have left: images are drawn, if their bytes are what they are said to be; all else is saved. */
function files({ artifacts = [] }, at) {
  if (!artifacts.length) return null;
  return h("ul", { class: "files" }, artifacts.map(({ id, type, size, uri }) => {
    const told = h("span", { class: "quiet", textContent: [type, size !== undefined && bytes(size)].filter(Boolean).join(", ") });
    if (uri) return h("li", { class: "file" }, h("b", { textContent: id }), " ", told, h("p", { textContent: uri }));
    const link = h("a", { href: `${at}/${part(id)}`, download: id, textContent: id });
    const image = DRAWN.includes(type) && h("img", { src: `${at}/${part(id)}?image`, alt: id, loading: "lazy" });
    const show = isText(id, type) && h("button", { type: "button", class: "link", data: { act: "read", file: `${at}/${part(id)}` }, "aria-label": `Show ${id}`, textContent: "Show" });
    return h("li", { class: "file" }, link, " ", told, " ", show, image);
  }));
}

const TEXTS = /^(text\/|application\/(json|yaml|x-ndjson)$)/;
const MOST_TEXT = 200_000;

const isText = (id, type) => TEXTS.test(type) || /\.(log|txt|csv|json|jsonl|ya?ml)$/.test(id);

/** Shows a file as text, which it never is more than; of a long one the end, where a log says why it ended. */
async function showText(button) {
  const item = button.closest(".file");
  const shown = item.querySelector("pre");
  button.textContent = shown ? "Show" : "Hide";
  if (shown) return shown.remove();
  const text = await readText(button.dataset.file);
  const isCut = text.length > MOST_TEXT;
  item.append(h("pre", { tabIndex: 0, textContent: (isCut ? `… the last ${MOST_TEXT} of ${text.length} characters:\n` : "") + text.slice(-MOST_TEXT) }));
}

const bytes = (size) => (size < 1024 ? `${size} bytes` : `${Math.ceil(size / 1024)} KiB`);

function labels(trial) {
  return facts(Object.entries(trial.labels ?? {}).sort().map(([name, told]) => [name, told]));
}

function life(trial) {
  const rows = [["created", moment(trial.created)], ["started", moment(trial.started)], ["ended", moment(trial.ended)]];
  if (trial.started && trial.ended) rows.push(["took", duration(trial.ended - trial.started)]);
  rows.push(["attempt", String(trial.attempt ?? 0)]);
  if (trial.lease) rows.push(["worker", trial.lease.worker], ["lease until", moment(trial.lease.expires)]);
  if (trial.stop) rows.push(["asked to stop", [trial.stop.rule && lower(trial.stop.rule), trial.stop.reason].filter(Boolean).join(": ") || "yes"]);
  if (trial.pause) rows.push([trial.state === "PAUSED" ? "paused" : "last pause", trial.pause.reason]);
  if (trial.until) rows.push(["runs until step", String(trial.until)]);
  return rows.filter(([, told]) => told);
}

/** Who ran it, when, and how each attempt ended. */
function attempts(trial) {
  if (!trial.attempts?.length) return null;
  const titles = ["Attempt", "Worker", "Outcome", "From", "To"];
  return h("div", { class: "scrolled", role: "region", "aria-label": "Attempts", tabIndex: 0 }, h("table", {},
    h("thead", {}, h("tr", {}, titles.map((title) => h("th", { scope: "col", textContent: title })))),
    h("tbody", {}, trial.attempts.map(({ attempt, worker, started, ended, outcome, failure }) => h("tr", {},
      h("th", { scope: "row", textContent: String(attempt) }),
      h("td", { textContent: worker }),
      h("td", { class: "outcome", textContent: [outcome ? lower(outcome) : "", failure && `${lower(failure.reason)} ${failure.message ?? ""}`].filter(Boolean).join(": ") }),
      h("td", { textContent: started ? moment(started) : "not recorded" }),
      h("td", { textContent: ended ? moment(ended) : "" }))))));
}

/** A small curve for each metric that was reported at more than one step. */
function curves(trial, study) {
  const curve = trial.curve ?? [];
  const names = inOrder([...new Set(curve.flatMap(({ metrics }) => Object.keys(metrics)))], study);
  const drawn = names.map((name) => curveOf(name, curve.filter(({ metrics }) => typeof metrics[name] === "number")));
  return drawn.some(Boolean) ? [h("div", { class: "curves" }, drawn)] : [];
}


function curveOf(name, curve) {
  if (curve.length < 2) return null;
  const [steps, values] = [curve.map(({ step }) => step), curve.map(({ metrics }) => metrics[name])];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (step) => 4 + (232 * (step - steps[0])) / (steps.at(-1) - steps[0] || 1);
  const y = (v) => 66 - (60 * (v - low)) / (high - low || 1);
  const points = curve.map((_, i) => `${x(steps[i]).toFixed(1)},${y(values[i]).toFixed(1)}`).join(" ");
  const told = `${name} from ${number(values[0])} to ${number(values.at(-1))} over steps ${steps[0]} to ${steps.at(-1)}; lowest ${number(low)}, highest ${number(high)}`;
  return h("figure", { class: "curve" },
    h("figcaption", {}, h("b", { textContent: name }), ` ${number(values[0])} → ${number(values.at(-1))}`),
    svg("svg", { viewBox: "0 0 240 72", role: "img", "aria-label": told }, svg("polyline", { points, fill: "none", "stroke-width": "2", "vector-effect": "non-scaling-stroke" })));
}
