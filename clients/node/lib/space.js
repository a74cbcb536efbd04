/** What may be tuned, and what is measured. */
import { invalid } from './errors.js'
import { durationToWire, valueToWire } from './values.js'

/** @typedef {import('./values.js').Value} Value */
/**
 * @typedef {object} ParameterOptions
 * @property {'linear' | 'log'} [scale] how distances are measured; 'log' is right for learning rates.
 * @property {Value} [default] tried first.
 * @property {Record<string, Value | Value[]>} [when] the parameter exists only while one other has one of these values.
 * @property {string} [description]
 * @property {string} [unit]
 */
/** @typedef {{ name: string, numbers?: 'float' | 'int', wire: Record<string, any>, options: ParameterOptions }} Parameter */
/**
 * @typedef {object} Constraint
 * @property {Record<string, Value>} [forbidden]
 * @property {{ coefficients: Record<string, number>, upperBound: number }} [linear]
 * @property {{ coefficients: Record<string, number>, value: number }} [equality]
 */
/** @typedef {{ name: string, goal: string, role: string, bound?: number, unit?: string }} Metric */

/**
 * A real number between two bounds.
 * @param {string} name @param {number} low @param {number} high @param {ParameterOptions} [options]
 * @returns {Parameter}
 */
export function float(name, low, high, options = {}) {
  return { name, numbers: 'float', wire: { floatParameter: { low, high, scale: scaleOf(options) } }, options }
}

/**
 * A whole number between two bounds.
 * @param {string} name @param {number} low @param {number} high @param {ParameterOptions} [options]
 * @returns {Parameter}
 */
export function int(name, low, high, options = {}) {
  return { name, numbers: 'int', wire: { intParameter: { low, high, scale: scaleOf(options) } }, options }
}

/**
 * One of several strings, or of true and false, with no order among them.
 * @param {string} name @param {(string | boolean)[]} values @param {ParameterOptions} [options]
 * @returns {Parameter}
 */
export function categorical(name, values, options = {}) {
  return { name, wire: { categoricalParameter: { values: values.map((value) => valueToWire(value)) } }, options }
}

/**
 * One of several values in order, such as batch sizes.
 * @param {string} name @param {(number | string)[]} values @param {ParameterOptions} [options]
 * @returns {Parameter}
 */
export function discrete(name, values, options = {}) {
  const numbers = values.every((value) => Number.isInteger(value)) ? 'int' : 'float'
  const wire = { discreteParameter: { values: values.map((value) => valueToWire(value, numbers)), scale: scaleOf(options) } }
  return { name, numbers, wire, options }
}

/** @param {string} name @param {{ unit?: string }} [options] @returns {Metric} */
export const minimize = (name, options = {}) => ({ name, goal: 'GOAL_MINIMIZE', role: 'METRIC_ROLE_OBJECTIVE', ...options })
/** @param {string} name @param {{ unit?: string }} [options] @returns {Metric} */
export const maximize = (name, options = {}) => ({ name, goal: 'GOAL_MAXIMIZE', role: 'METRIC_ROLE_OBJECTIVE', ...options })
/** A metric that must be at most so much. @param {string} name @param {number} bound @returns {Metric} */
export const atMost = (name, bound) => ({ name, goal: 'GOAL_MINIMIZE', role: 'METRIC_ROLE_CONSTRAINT', bound })
/** A metric that must be at least so much. @param {string} name @param {number} bound @returns {Metric} */
export const atLeast = (name, bound) => ({ name, goal: 'GOAL_MAXIMIZE', role: 'METRIC_ROLE_CONSTRAINT', bound })
/** Values that must not occur together. @param {Record<string, Value>} values @returns {Constraint} */
export const forbid = (values) => ({ forbidden: values })
/**
 * sum(coefficient * value) is at most so much.
 * @param {Record<string, number>} coefficients @param {number} upperBound @returns {Constraint}
 */
export const sumAtMost = (coefficients, upperBound) => ({ linear: { coefficients, upperBound } })
/**
 * sum(coefficient * value) is exactly so much.
 * @param {Record<string, number>} coefficients @param {number} value @returns {Constraint}
 */
export const sumEquals = (coefficients, value) => ({ equality: { coefficients, value } })

/**
 * What defines a study.
 * @typedef {object} Definition
 * @property {Parameter[]} parameters
 * @property {Metric[]} metrics
 * @property {Constraint[]} [constraints]
 * @property {number} [maxTrials] trials in all.
 * @property {number} [maxSteps] steps of the fidelity, such as epochs, that all trials together may train.
 * @property {number} [maxSeconds] seconds that all trials together may train, summed over workers.
 * @property {number} [leaseSeconds] how long a worker owns a trial after each heartbeat; 60 by default.
 * @property {number} [maxAttempts]
 * @property {Record<string, any>} [suggestion] SuggestionSettings of the contract, in camelCase.
 * @property {Record<string, any>} [stopping] StoppingSettings of the contract, in camelCase.
 * @property {{ metric?: string, max: number, min?: number }} [fidelity] trials are trained in parts: what a step is called,
 *   the last step of a whole trial, and the first at which trials pause.
 */

/** @param {Definition} definition */
export function specToWire(definition) {
  const { parameters, metrics, maxTrials, maxSteps, maxSeconds, leaseSeconds, maxAttempts, suggestion = {}, stopping = {}, fidelity } =
    definition
  const kinds = kindsOf(parameters)
  const constraints = (definition.constraints ?? []).map(({ forbidden, ...sums }) =>
    forbidden ? { forbidden: { parameters: parametersToWire(forbidden, kinds) } } : sums,
  )
  const execution = {
    ...(leaseSeconds !== undefined && { leaseDuration: durationToWire(leaseSeconds) }),
    ...(maxTrials !== undefined && { maxTrials }),
    ...(maxSteps !== undefined && { maxSteps }),
    ...(maxSeconds !== undefined && { maxSeconds }),
    ...(maxAttempts !== undefined && { maxAttempts }),
  }
  const space = { parameters: parameters.map((parameter) => parameterToWire(parameter, kinds)), constraints }
  return { space, metrics, suggestion, stopping, execution, ...(fidelity && { fidelity: fidelityToWire(fidelity) }) }
}

/** @param {NonNullable<Definition['fidelity']>} fidelity */
function fidelityToWire({ metric = '', max, min }) {
  return { metric, max, ...(min !== undefined && { min }) }
}

/**
 * @param {Record<string, Value>} values
 * @param {Map<string, 'float' | 'int' | undefined>} kinds
 */
export function parametersToWire(values, kinds) {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, valueToWire(value, kinds.get(name))]))
}

/** Of which kind each parameter's numbers are. @param {Parameter[]} parameters */
const kindsOf = (parameters) => new Map(parameters.map(({ name, numbers }) => [name, numbers]))

/**
 * The same from a study's spec as the server tells it.
 * @param {any} spec
 * @returns {Map<string, 'float' | 'int' | undefined>}
 */
export function kindsFromWire(spec) {
  return new Map(
    spec.space.parameters.map((/** @type {any} */ { name, kind, discreteParameter }) => {
      if (kind === 'floatParameter' || discreteParameter?.values[0].value === 'floatValue') return [name, 'float']
      if (kind === 'intParameter' || discreteParameter?.values[0].value === 'intValue') return [name, 'int']
      return [name, undefined]
    }),
  )
}

/** @param {Parameter} parameter @param {Map<string, 'float' | 'int' | undefined>} kinds */
function parameterToWire({ name, numbers, wire, options }, kinds) {
  const { default: first, when, description = '', unit = '' } = options
  return {
    name,
    ...wire,
    ...(first !== undefined && { defaultValue: valueToWire(first, numbers) }),
    ...(when && { activation: activationToWire(name, when, kinds) }),
    description,
    unit,
  }
}

/**
 * @param {string} name
 * @param {Record<string, Value | Value[]>} when
 * @param {Map<string, 'float' | 'int' | undefined>} kinds
 */
function activationToWire(name, when, kinds) {
  const [condition, ...others] = Object.entries(when)
  if (!condition || others.length) throw invalid(name, 'has `when` with other than one parameter; name one')
  const [parameter, values] = condition
  return { parameter, values: [values].flat().map((value) => valueToWire(value, kinds.get(parameter))) }
}

/** @param {ParameterOptions} options */
function scaleOf({ scale }) {
  return scale === 'log' ? 'SCALE_LOG' : 'SCALE_LINEAR'
}
