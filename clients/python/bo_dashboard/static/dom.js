// Elements, made of values alone: nothing that users gave is ever read as HTML.

/** An element. `given` holds properties, `on*` listeners, and attributes for names with a dash or of SVG. */
export function h(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  set(element, given);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An element of SVG. */
export function svg(tag, given = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(given)) element.setAttribute(name, value);
  element.append(...children.flat());
  return element;
}

function set(element, given) {
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name.includes("-") || name === "role" || name === "for" || name === "scope") element.setAttribute(name, value);
    else element[name === "class" ? "className" : name] = value;
  }
}

/** Puts these into an element; what is equal stays as it is, and so does the focus. */
export function fill(element, ...children) {
  const made = children.flat().filter((child) => child !== null && child !== undefined && child !== false && child !== "");
  const focused = element.contains(document.activeElement) ? selector(document.activeElement) : null;
  made.forEach((child, i) => {
    const node = child instanceof Node ? child : document.createTextNode(child);
    const old = element.childNodes[i];
    if (!old) element.append(node);
    else if (!old.isEqualNode(node)) old.replaceWith(node);
  });
  while (element.childNodes.length > made.length) element.lastChild.remove();
  if (focused && !element.contains(document.activeElement)) element.querySelector(focused)?.focus();
}

function selector({ dataset }) {
  const name = ["key", "trial", "act", "open"].find((each) => dataset[each] !== undefined);
  return name ? `[data-${name}="${CSS.escape(dataset[name])}"]` : null;
}

export const byId = (id) => document.getElementById(id);

/** A select with these options: [value, text] each. */
export function options(select, choices) {
  const chosen = select.value;
  fill(select, choices.map(([value, text]) => h("option", { value, textContent: text })));
  if (choices.some(([value]) => value === chosen)) select.value = chosen;
}

/** At most one call in the milliseconds that `pause` tells, the last of them always made. */
export function throttled(act, pause) {
  let timer = null;
  let last = -Infinity;
  return () => {
    if (timer !== null) return;
    const wait = Math.max(0, last + pause() - performance.now());
    timer = setTimeout(() => {
      timer = null;
      last = performance.now();
      act();
    }, wait);
  };
}
