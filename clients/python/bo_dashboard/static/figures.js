// Figures: made by the server, drawn by plotly.js, made again when the study has changed and they are in sight.

import { part, read } from "./api.js";
import { h, throttled } from "./dom.js";
import { onTheme, theme } from "./page.js";

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
    place.append(this.kind === "parallel" ? scrolled(this.picture) : this.picture, this.caption);
    this.took = 0;
    this.draw = throttled(() => this.drawn(), () => Math.max(EVERY, REST * this.took));
    this.abort = null;
    new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && this.look()).observe(place);
    onTheme(() => this.touch());
  }

  /** Something has changed; it is drawn again, now or when it comes in sight. */
  touch() {
    this.stale = true;
    this.look();
  }

  /** What is asked for has changed: at once. */
  ask() {
    this.stale = true;
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
      const made = await read(`studies/${part(this.study)}/figures/${this.kind}?${asked}`, this.abort.signal);
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
    if (isCoarse.matches) layout.dragmode = false; // so that fingers scroll the page
    await window.Plotly.react(this.picture, data, layout, CONFIG);
    this.picture.setAttribute("role", "img");
    this.picture.setAttribute("aria-label", summary || title || this.kind);
    this.caption.textContent = summary || "";
  }
}

/** An axis for each parameter needs more width than a phone has. */
const scrolled = (picture) => h("div", { class: "scrolled", role: "region", "aria-label": "Parallel coordinates", tabIndex: 0 }, picture);

/** Titles of axes in lines that a phone has room for. */
function narrow(layout) {
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
