// The form that puts a configuration in the queue.

import { call } from "./api.js";
import { byId, fill, h } from "./dom.js";
import { attempt } from "./page.js";

const KINDS = { float: "floatValue", int: "intValue", string: "stringValue", bool: "boolValue" };

export class QueueForm {
  constructor(id) {
    this.id = id;
    this.dialog = byId("queue");
    byId("queue-form").addEventListener("submit", (event) => this.submit(event));
    byId("queue-form").addEventListener("input", () => this.hide());
    byId("queue-cancel").onclick = () => this.dialog.close();
  }

  /** With these values to begin with; else with the defaults. */
  open(study, given = {}) {
    this.study = study;
    fill(byId("queue-fields"), study.parameters.map((parameter) => this.field(parameter)));
    for (const parameter of study.parameters) {
      const chosen = given[parameter.name] ?? parameter.default ?? middle(parameter);
      byId(`q-${parameter.name}`).value = String(chosen);
    }
    byId("queue-fault").textContent = "";
    this.hide();
    this.dialog.showModal();
  }

  field(parameter) {
    const { name, unit, values, low, high, log } = parameter;
    const id = `q-${name}`;
    const range = values ? "" : `${low} to ${high}${log ? ", log scale" : ""}`;
    const input = values
      ? h("select", { id }, values.map((each) => h("option", { value: String(each), textContent: String(each) })))
      : h("input", { id, type: "number", min: low, max: high, step: parameter.type === "int" ? "1" : "any", required: true, "aria-describedby": `${id}-range` });
    return h("div", { class: "field", data: { parameter: name } },
      h("label", { for: id, textContent: unit ? `${name} (${unit})` : name }), input, range && h("small", { id: `${id}-range`, textContent: range }));
  }

  /** Fields of parameters that don't exist beside the others' values are hidden, and not sent. */
  hide() {
    const absent = new Set();
    for (const { name, when } of this.study.parameters) {
      const isThere = !when || (!absent.has(when.parameter) && when.values.some((each) => String(each) === byId(`q-${when.parameter}`).value));
      if (!isThere) absent.add(name);
      byId(`q-${name}`).closest(".field").hidden = !isThere;
      byId(`q-${name}`).disabled = !isThere;
    }
  }

  async submit(event) {
    event.preventDefault();
    const parameters = {};
    for (const parameter of this.study.parameters) {
      const input = byId(`q-${parameter.name}`);
      if (!input.disabled) parameters[parameter.name] = { [KINDS[parameter.type]]: read(parameter, input.value) };
    }
    try {
      const { trial } = await call("CreateTrial", { parent: `studies/${this.id}`, trial: { parameters } });
      this.dialog.close();
      await attempt(async () => {}, `Trial ${trial.name.split("/").at(-1)} is queued; the next worker that asks gets it.`);
    } catch (error) {
      byId("queue-fault").textContent = error.message;
    }
  }
}

function read(parameter, text) {
  if (parameter.type === "bool") return text === "true";
  if (parameter.type === "int") return text; // the wire's whole numbers are strings in JSON
  return parameter.type === "float" ? Number(text) : text;
}

function middle({ values, low, high, log, type }) {
  if (values) return values[0];
  const center = log ? Math.sqrt(low * high) : (low + high) / 2;
  return type === "int" ? Math.round(center) : Number(center.toPrecision(3));
}
