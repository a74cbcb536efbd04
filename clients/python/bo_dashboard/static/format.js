// Numbers, times and states in words.

export function number(value) {
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return String(value);
  const size = Math.abs(value);
  if (size === 0 || (size >= 1e-3 && size < 1e6)) return String(Number(value.toPrecision(5)));
  return Number(value.toPrecision(3)).toExponential().replace("e+", "e");
}

export const value = (given) => (typeof given === "number" ? number(given) : String(given));

export function duration(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

export const moment = (at) =>
  at === undefined || at === null ? "" : new Date(at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });

export const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

export const ORIGINS = {
  SURROGATE: "surrogate",
  QUASI_RANDOM: "quasi-random",
  DEFAULT: "defaults",
  WARM_START: "earlier study",
  USER: "user",
  CUSTOM_ALGORITHM: "own algorithm",
  RANDOM: "random",
  GRID: "grid",
};

export const ENDED = ["SUCCEEDED", "FAILED", "INFEASIBLE", "STOPPED"];

export const isEnded = (trial) => ENDED.includes(trial.state);

export const lower = (text) => text.toLowerCase().replaceAll("_", " ");

export const endedOf = (study) => ENDED.reduce((sum, state) => sum + study.counts[state.toLowerCase()], 0);

export const objectives = (study) => study.metrics.filter((metric) => metric.role === "OBJECTIVE");

export const titled = (metric) => (metric.unit ? `${metric.name} (${metric.unit})` : metric.name);

export const direction = (metric) => (metric.goal ? `${metric.name}, ${metric.goal === "MINIMIZE" ? "lower" : "higher"} is better` : metric.name);

/** Names of metrics, the study's own first. */
export function inOrder(names, study) {
  const own = study.metrics.map(({ name }) => name).filter((name) => names.includes(name));
  return [...own, ...names.filter((name) => !own.includes(name)).sort()];
}

/** What is said where most of a study's recent trials failed. */
export const failing = ({ failed, trials, first, why }) => `${failed} of the last ${trials} trials failed; first (trial ${first}): ${why.replace(/\s+/g, " ")}`;
