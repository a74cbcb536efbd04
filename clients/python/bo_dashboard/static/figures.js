// Figures: made by the server, drawn by plotly.js, made again when the study has changed and they are in sight.

import { part, read } from "./api.js";
import { h, throttled } from "./dom.js";
import { onTheme, theme } from "./page.js";
import { saveFile } from "./save.js";

const EVERY = 2000;
const RETRY = 5000;
const REST = 5; // times as long as a figure took is waited before it is asked for again
const NARROW = 480;
const MARGIN = 24;
const isCoarse = matchMedia("(pointer: coarse)");
const CONFIG = { responsive: true, displaylogo: false, displayModeBar: false };

export class Figure {
  /** In `place`, a figure element; `query` tells what it asks for beside the theme. */
  constructor(study, place, query = () => ({})) {
    this.study = study;
    this.place = place;
    this.query = query;
    this.kind = place.dataset.figure;
    this.stale = true;
    this.picture = h("div", { class: "picture" });
    this.caption = h("figcaption", { class: "quiet" });
    place.append(h("div", { class: "tools" }, this.tools()), this.framed(), this.caption);
    this.took = 0;
    this.ranges = null;
    this.draw = throttled(() => this.drawn(), () => Math.max(EVERY, REST * this.took));
    this.abort = null;
    new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && this.look()).observe(place);
    onTheme(() => this.touch());
  }

  get path() {
    return `studies/${part(this.study)}/figures/${this.kind}`;
  }

  framed() {
    return this.picture;
  }

  tools() {
    return [
      this.tool("+", "Zoom in", () => this.zoom(0.5)),
      this.tool("−", "Zoom out", () => this.zoom(2)),
      this.tool("Whole", "Show the whole figure", () => this.zoom(null)),
      this.tool("PNG", "Save as PNG", () => this.save()),
    ];
  }

  tool(text, label, onclick) {
    const title = this.place.querySelector("h2")?.textContent ?? this.kind;
    return h("button", { type: "button", class: "tool", title: label, "aria-label": `${label}: ${title}`, textContent: text, onclick });
  }

  /** Something has changed; it is drawn again, now or when it comes in sight. */
  touch() {
    this.stale = true;
    this.look();
  }

  /** What is asked for has changed: at once. */
  ask() {
    this.stale = true;
    this.ranges = null;
    this.drawn();
  }

  /** The study is gone, or nobody may see it any more: what is drawn stays. */
  rest() {
    this.isResting = true;
  }

  look() {
    if (this.stale && !this.isResting && this.isInSight()) this.draw();
  }

  isInSight() {
    const { top, bottom, width } = this.place.getBoundingClientRect();
    return width > 0 && bottom > -200 && top < innerHeight + 200;
  }

  async drawn() {
    if (!this.isInSight()) return;
    this.abort?.abort();
    this.abort = new AbortController();
    this.stale = false;
    this.place.setAttribute("aria-busy", "true");
    const asked = new URLSearchParams({ theme: theme() });
    for (const [name, value] of Object.entries(this.query())) for (const each of [value].flat()) if (each) asked.append(name, each);
    const began = performance.now();
    try {
      const made = await read(`${this.path}?${asked}`, this.abort.signal);
      this.took = performance.now() - began;
      await this.show(made);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.caption.textContent = error.message;
      this.stale = true;
      setTimeout(() => this.look(), RETRY);
    }
    this.place.removeAttribute("aria-busy");
  }

  async show({ data, layout }) {
    const { title, summary } = layout.meta ?? {};
    this.picture.style.height = `${layout.height ?? 430}px`; // which plotly.js keeps when the width changes
    delete layout.height;
    layout.autosize = true;
    if (layout.margin) layout.margin.t = Math.min(layout.margin.t ?? MARGIN, MARGIN); // the title is above it already
    layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
    if (this.picture.clientWidth < NARROW) narrow(layout);
    layout.dragmode = isCoarse.matches ? false : "zoom"; // fingers scroll the page
    this.whole = rangesOf(layout);
    for (const [name, range] of Object.entries(this.ranges ?? {})) if (layout[name]) layout[name].range = range;
    await library();
    await window.Plotly.react(this.picture, data, layout, CONFIG);
    this.attend();
    this.picture.setAttribute("role", "img");
    this.picture.setAttribute("aria-label", summary || title || this.kind);
    this.caption.textContent = summary || "";
  }

  /** A click on a point opens its trial; a zoom is kept when the figure is drawn again. */
  attend() {
    if (this.isAttended) return;
    this.isAttended = true;
    const trialOf = ({ points }) => points.map(({ customdata }) => customdata).find((each) => typeof each === "number");
    this.picture.on("plotly_hover", (event) => this.picture.classList.toggle("opens", trialOf(event) !== undefined));
    this.picture.on("plotly_unhover", () => this.picture.classList.remove("opens"));
    this.picture.on("plotly_click", (event) => {
      const trial = trialOf(event);
      if (trial !== undefined) openTrial(trial);
    });
    this.picture.on("plotly_relayout", (changed) => {
      const names = Object.keys(changed);
      if (names.some((name) => name.includes("axis") && name.includes("range["))) this.ranges = rangesOf(this.picture.layout);
      else if (names.some((name) => name.endsWith(".autorange"))) this.ranges = null;
    });
  }

  /** By a factor of the width and height that are shown; null for the whole. */
  async zoom(factor) {
    if (!this.whole) return;
    const changed = {};
    for (const [name, whole] of Object.entries(this.whole)) {
      const shown = this.picture.layout[name]?.range;
      if (!factor && !whole) changed[`${name}.autorange`] = true;
      else if (!factor) changed[`${name}.range`] = whole;
      else if (shown) changed[`${name}.range`] = scaled(shown, factor);
    }
    await window.Plotly.relayout(this.picture, changed);
    this.ranges = factor ? rangesOf(this.picture.layout) : null;
  }

  async save() {
    if (!this.picture.layout) return;
    const { width, height } = this.picture.getBoundingClientRect();
    const layout = { ...this.picture.layout, paper_bgcolor: getComputedStyle(document.body).backgroundColor };
    const url = await window.Plotly.toImage({ data: this.picture.data, layout, config: CONFIG }, { format: "png", width, height, scale: 2 });
    saveFile(url, `${this.study}-${this.kind}.png`);
  }
}

let loading = null;

/** Loads plotly.js when a figure is first drawn: it is large, and the rest of the page does not wait for it. */
function library() {
  loading ??= new Promise((done, fail) => {
    const failed = () => ((loading = null), fail(new Error("the dashboard doesn't answer; is it still running?")));
    document.head.append(h("script", { src: "/plotly.js", onload: done, onerror: failed }));
  });
  return loading;
}

export const openTrial = (trial) => document.dispatchEvent(new CustomEvent("open-trial", { detail: trial }));

const scaled = ([a, b], factor) => [(a + b) / 2 - ((b - a) / 2) * factor, (a + b) / 2 + ((b - a) / 2) * factor];

/** The range of each axis that can be zoomed; undefined where plotly.js chooses it. */
function rangesOf(layout) {
  const axes = Object.entries(layout).filter(([name, axis]) => /^[xy]axis/.test(name) && axis.visible !== false);
  return Object.fromEntries(axes.map(([name, axis]) => [name, axis.range && [...axis.range]]));
}

/** Titles of axes, and what is said instead of a figure, in lines that a phone has room for. */
function narrow(layout) {
  for (const note of layout.annotations ?? []) if (note.xref === "paper") note.text = wrapped(note.text, 34);
  for (const [name, axis] of Object.entries(layout)) {
    if (!/^[xy]axis/.test(name) || !axis.title?.text) continue;
    axis.title.text = wrapped(axis.title.text, 34);
    axis.title.font = { ...axis.title.font, size: 12 };
  }
}

function wrapped(text, most) {
  const lines = [""];
  for (const word of text.split(" ")) {
    if (lines.at(-1).length + word.length > most) lines.push("");
    lines.push(`${lines.pop()} ${word}`.trim());
  }
  return lines.join("<br>");
}
