// Parallel coordinates: a line for each trial. A range that is dragged on an axis becomes a condition of the filter.

import { chosen } from "./address.js";
import { part } from "./api.js";
import { h, svg } from "./dom.js";
import { Figure, openTrial } from "./figures.js";
import { theme } from "./page.js";
import { saveSvg } from "./save.js";
import { conditionsOn, filterWith } from "./terms.js";

const [HEIGHT, TOP, BOTTOM, LEFT, RIGHT] = [430, 56, 64, 56, 84];
const NEAR = 8; // pixels within which the pointer is at a line
const EDGE = 0.01; // a range that comes this near to an end has no bound there: far values are drawn at the end
const COLORS = {
  light: { ink: "#1d2330", quiet: "#545b67", faint: "#dde1e6", bad: "#b3261e", low: [176, 198, 217], high: [11, 79, 140], brush: "#8a4b00", ground: "#ffffff" },
  dark: { ink: "#e6e9ef", quiet: "#a4acb9", faint: "#2f3743", bad: "#ff8a80", low: [62, 84, 106], high: [122, 190, 246], brush: "#f2a154", ground: "#14181f" },
};

export class Parallel extends Figure {
  /** `onFilter` is told of a filter that was made by dragging. */
  constructor(study, place, query, onFilter) {
    super(study, place, query);
    this.onFilter = onFilter;
    addEventListener("resize", () => this.made && this.render());
  }

  get path() {
    return `studies/${part(this.study)}/parallel`;
  }

  tools() {
    return [this.tool("PNG", "Save as PNG", () => this.save())];
  }

  framed() {
    this.told = h("div", { class: "hover", "aria-hidden": "true", hidden: true });
    return h("div", { class: "scrolled parallel", role: "region", "aria-label": "Parallel coordinates", tabIndex: 0 }, this.picture, this.told);
  }

  async show(made) {
    this.made = made;
    const count = made.count === made.total ? "" : ` ${made.count} of ${made.total} trials match the filter; the others are gray.`;
    this.caption.textContent = made.fault ? `Filter not understood: ${made.fault.replace(/^filter: /, "")}` : made.summary + count;
    this.render();
  }

  x(i) {
    return LEFT + (i * (this.width - LEFT - RIGHT)) / Math.max(1, this.made.axes.length - 1);
  }

  y(height) {
    return HEIGHT - BOTTOM - height * (HEIGHT - TOP - BOTTOM);
  }

  render() {
    if (!this.made.lines.length) return this.picture.replaceChildren();
    this.width = this.picture.clientWidth;
    this.colors = COLORS[theme()];
    const { axes, lines } = this.made;
    const ordered = [...lines].sort((a, b) => a.isMatch - b.isMatch);
    this.top = svg("g", {});
    const drawing = svg("svg", { viewBox: `0 0 ${this.width} ${HEIGHT}`, width: this.width, height: HEIGHT, role: "img", "aria-label": this.made.summary, "font-family": "system-ui, sans-serif", "font-size": "13" },
      ordered.map((line) => this.line(line)), this.top, axes.map((axis, i) => this.axis(axis, i)));
    drawing.addEventListener("pointermove", (event) => this.point(event));
    drawing.addEventListener("pointerleave", () => this.pointAt(null));
    drawing.addEventListener("click", () => this.at && !this.hasDragged && openTrial(this.at.trial));
    this.picture.style.height = `${HEIGHT}px`;
    this.picture.replaceChildren(drawing);
    this.drawing = drawing;
  }

  line(line, isTop = false) {
    const points = line.heights.map((height, i) => `${this.x(i).toFixed(1)},${this.y(height).toFixed(1)}`).join(" ");
    const given = { points, fill: "none", stroke: isTop ? this.colors.ink : this.color(line), "stroke-width": isTop ? 3 : line.isMatch ? 1 + line.goodness : 1 };
    if (!isTop) given["stroke-opacity"] = line.isMatch ? 0.5 + 0.5 * line.goodness : 0.55;
    if (line.kind !== "result") given["stroke-dasharray"] = "2 3";
    return svg("polyline", given);
  }

  color({ isMatch, kind, goodness }) {
    if (!isMatch) return this.colors.faint;
    if (kind !== "result") return kind === "lost" ? this.colors.bad : this.colors.quiet;
    const { low, high } = this.colors;
    return `rgb(${low.map((from, i) => Math.round(from + (high[i] - from) * goodness)).join(",")})`;
  }

  axis(axis, i) {
    const [x, { ink, quiet, ground }] = [this.x(i), this.colors];
    const room = (this.width - LEFT - RIGHT) / Math.max(1, this.made.axes.length - 1);
    const text = (y, told, anchor, fill) => {
      const element = svg("text", { x: anchor === "start" ? x + 6 : x, y, "text-anchor": anchor, fill, stroke: ground, "stroke-width": 4, "paint-order": "stroke" });
      element.textContent = clipped(told, Math.max(6, Math.floor(room / 7.5)));
      return element;
    };
    const labels = axis.labels.map(([height, told]) => (axis.values.length ? text(this.y(height) + 4, told, "start", ink) : text(height ? TOP - 8 : HEIGHT - BOTTOM + 18, told, "middle", ink)));
    const handle = svg("rect", { x: x - 14, y: TOP - 4, width: 28, height: HEIGHT - TOP - BOTTOM + 8, fill: "transparent", class: "brush" });
    handle.addEventListener("pointerdown", (event) => this.drag(event, axis, i, handle));
    return svg("g", {}, svg("line", { x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM, stroke: quiet, "stroke-width": 1.2 }), labels, text(20, axis.title, "middle", axis.isMetric ? ink : quiet), this.brushes(axis, x), handle);
  }

  /** What the filter says of an axis. */
  brushes(axis, x) {
    return conditionsOn(chosen("filter"), axis).map((range) => {
      const [low, high] = range.map((height) => Math.min(Math.max(height, 0), 1));
      return svg("rect", { x: x - 6, y: this.y(high) - 2, width: 12, height: this.y(low) - this.y(high) + 4, fill: this.colors.brush, "fill-opacity": 0.35, stroke: this.colors.brush });
    });
  }

  drag(event, axis, i, handle) {
    event.preventDefault();
    handle.setPointerCapture(event.pointerId);
    const at = ({ clientY }) => Math.min(1, Math.max(0, (HEIGHT - BOTTOM - (clientY - this.drawing.getBoundingClientRect().top)) / (HEIGHT - TOP - BOTTOM)));
    const from = at(event);
    const mark = svg("rect", { x: this.x(i) - 6, width: 12, fill: this.colors.brush, "fill-opacity": 0.5 });
    this.top.append(mark);
    this.isDragging = true;
    handle.onpointermove = (moved) => {
      const [low, high] = [from, at(moved)].sort((a, b) => a - b);
      mark.setAttribute("y", this.y(high));
      mark.setAttribute("height", this.y(low) - this.y(high));
    };
    handle.onpointerup = (up) => {
      const [low, high] = [from, at(up)].sort((a, b) => a - b);
      handle.onpointermove = handle.onpointerup = null;
      [this.isDragging, this.hasDragged] = [false, true];
      setTimeout(() => (this.hasDragged = false));
      mark.remove();
      this.onFilter(filterWith(chosen("filter"), axis, high - low < 2 * EDGE && !axis.values.length ? null : [low <= EDGE ? -1 : low, high >= 1 - EDGE ? 2 : high]));
    };
  }

  /** The line under the pointer, which a click opens. */
  point({ clientX, clientY }) {
    if (this.isDragging) return;
    const { left, top } = this.drawing.getBoundingClientRect();
    const [x, y] = [clientX - left, clientY - top];
    const place = ((x - LEFT) * Math.max(1, this.made.axes.length - 1)) / (this.width - LEFT - RIGHT);
    const distance = ({ heights }) => {
      const i = Math.min(Math.max(0, Math.floor(place)), heights.length - 2);
      return i < 0 ? Infinity : Math.abs(this.y(heights[i] + (heights[i + 1] - heights[i]) * (place - i)) - y);
    };
    let [nearest, least] = [null, NEAR];
    for (const line of this.made.lines) {
      const found = line.isMatch ? distance(line) : Infinity;
      if (found < least) [nearest, least] = [line, found];
    }
    this.pointAt(nearest, x, y);
  }

  pointAt(line, x = 0, y = 0) {
    if (line !== this.at) this.top.replaceChildren(...(line ? [this.line(line, true)] : []));
    this.at = line;
    this.picture.classList.toggle("opens", line !== null);
    this.told.hidden = line === null;
    if (!line) return;
    this.told.textContent = line.text;
    this.told.style.left = `${Math.min(x + 14, this.width - 190)}px`;
    this.told.style.top = `${y + 14}px`;
  }

  async save() {
    if (this.drawing) await saveSvg(this.drawing, this.colors.ground, `${this.study}-parallel.png`);
  }
}

const clipped = (text, most) => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);
