// Pictures as files.

import { h } from "./dom.js";

const NAMES = /[^A-Za-z0-9_.-]+/g;

/** Saves what is at an address as a file. */
export function saveFile(url, name) {
  const link = h("a", { href: url, download: name.replace(NAMES, "_") });
  document.body.append(link);
  link.click();
  link.remove();
}

/** Saves an SVG element as PNG, at twice its size. */
export async function saveSvg(element, ground, name) {
  const { width, height } = element.getBoundingClientRect();
  const copy = element.cloneNode(true);
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  const image = new Image(width, height);
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
  await image.decode();
  const canvas = h("canvas", { width: 2 * width, height: 2 * height });
  const context = canvas.getContext("2d");
  context.fillStyle = ground;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  saveFile(canvas.toDataURL("image/png"), name);
}
