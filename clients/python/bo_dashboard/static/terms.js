// Conditions of a filter on an axis: what a range that is dragged means, and which ranges a filter has.

const TERM = /(?:"[^"]*"|[^\s"])+/g;
const COMPARISON = /^("[^"]*"|[^\s<>=!"]+)(<=|>=|!=|=|<|>)(.*)$/s;
const PLAIN = /^[^\s<>=!",]+$/;

const terms = (text) => text.match(TERM) ?? [];
const bare = (text) => text.replaceAll('"', "");
const quoted = (text) => (PLAIN.test(text) ? text : `"${text.replaceAll('"', "")}"`);
const isOn = (term, { key, title }) => [key, title].map((each) => each.toLowerCase()).includes(bare(term.match(COMPARISON)?.[1] ?? "").toLowerCase());

/** The filter with a range of heights on an axis instead of the conditions that it has there; null for none. */
export function filterWith(text, axis, range) {
  const others = terms(text).filter((term) => !isOn(term, axis));
  return [...others, ...(range ? conditions(axis, range) : [])].join(" ");
}

function conditions(axis, [low, high]) {
  const name = quoted(axis.key);
  if (axis.values.length) {
    const apart = axis.values.length > 1 ? 1 / (axis.values.length - 1) : 1;
    const within = axis.values.filter((_, i) => heightOf(axis, i) >= low - apart / 4 && heightOf(axis, i) <= high + apart / 4);
    return within.length === 0 || within.length === axis.values.length ? [] : [`${name}=${within.map((value) => quoted(String(value))).join(",")}`];
  }
  return [low > -1 ? `${name}>=${valueAt(axis, low)}` : "", high < 2 ? `${name}<=${valueAt(axis, high)}` : ""].filter(Boolean);
}

const heightOf = ({ values }, i) => (values.length === 1 ? 0.5 : i / (values.length - 1));

function valueAt({ low, high, isLog }, height) {
  const value = isLog ? Math.exp(Math.log(low) + height * (Math.log(high) - Math.log(low))) : low + height * (high - low);
  return Number(value.toPrecision(4));
}

function positionOf({ low, high, isLog }, value) {
  const position = isLog ? (Math.log(value) - Math.log(low)) / (Math.log(high) - Math.log(low)) : (value - low) / (high - low);
  return Number.isFinite(position) ? position : 0;
}

/** Ranges of heights to which a filter limits an axis. */
export function conditionsOn(text, axis) {
  const found = terms(text).filter((term) => isOn(term, axis)).map((term) => term.match(COMPARISON).slice(2));
  if (!found.length) return [];
  if (axis.values.length) {
    const wanted = found.filter(([sign]) => sign === "=").flatMap(([, given]) => given.split(",").map((each) => bare(each).toLowerCase()));
    return axis.values.flatMap((value, i) => (wanted.includes(String(value).toLowerCase()) ? [[heightOf(axis, i), heightOf(axis, i)]] : []));
  }
  let [from, to] = [0, 1];
  for (const [sign, given] of found) {
    const position = positionOf(axis, Number(given));
    if (sign.startsWith(">") || sign === "=") from = Math.max(from, position);
    if (sign.startsWith("<") || sign === "=") to = Math.min(to, position);
  }
  return from <= to ? [[from, to]] : [];
}
