/** Values as programs have them, and as the contract has them. */

/** @typedef {number | string | boolean} Value */
/** @typedef {Record<string, Value>} Parameters */
/** @typedef {{ floatValue?: number, intValue?: number, stringValue?: string, boolValue?: boolean }} WireValue */
/** @typedef {{ step: number, metrics: Record<string, number>, elapsed?: number }} Measurement */
/** @typedef {'QUEUED' | 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'INFEASIBLE' | 'STOPPED' | 'PAUSED'} TrialState */
/** @typedef {'OUT_OF_MEMORY' | 'DIVERGED' | 'INVALID_CONFIGURATION' | 'CRASHED' | 'PREEMPTED' | 'TIMEOUT'} FailureReason */

/**
 * One hand-out of a trial to a worker. Times are null where they aren't known; `outcome` is null while it runs.
 * @typedef {{ number: number, workerId: string, startTime: Date | null, endTime: Date | null,
 *   outcome: 'COMPLETED' | 'FAILED' | 'EXPIRED' | 'SUPERSEDED' | 'PAUSED' | null,
 *   failure: { reason: FailureReason, message: string } | null }} Attempt
 */
/**
 * A trial as the server tells it.
 * @typedef {object} Trial
 * @property {string} name `studies/{study}/trials/{trial}`.
 * @property {number} number counts from 1 in its study.
 * @property {Parameters} parameters
 * @property {TrialState} state
 * @property {Measurement[]} measurements the learning curve, where it was asked for.
 * @property {Measurement | null} finalMeasurement
 * @property {{ reason: FailureReason, message: string } | null} failure
 * @property {number} attempt counts from 1 with each worker that gets it.
 * @property {string} workerId who runs it, or whose attempt ended it; empty where no worker had it.
 * @property {Attempt[]} attempts every hand-out to a worker, in order.
 * @property {string} checkpointUri where an earlier attempt left what it needs to go on.
 * @property {number | null} untilStep how far it is trained now; null where that is to its end in one go.
 * @property {Record<string, string>} labels
 * @property {string} origin such as 'SURROGATE'.
 * @property {string} explanation why it was suggested, in one sentence.
 */

/** @type {FailureReason[]} */
export const FAILURE_REASONS = ['OUT_OF_MEMORY', 'DIVERGED', 'INVALID_CONFIGURATION', 'CRASHED', 'PREEMPTED', 'TIMEOUT']

/**
 * Of the kind that a parameter's definition asks for.
 * @param {Value} value
 * @param {'float' | 'int' | undefined} kind of a number.
 * @returns {WireValue}
 */
export function valueToWire(value, kind = undefined) {
  if (typeof value === 'string') return { stringValue: value }
  if (typeof value === 'boolean') return { boolValue: value }
  const isInt = kind ? kind === 'int' : Number.isInteger(value)
  return isInt ? { intValue: value } : { floatValue: value }
}

/** @param {any} wire */
export function valueFromWire(wire) {
  return /** @type {Value} */ (wire[wire.value])
}

/**
 * @param {Record<string, any>} wire
 * @returns {Parameters}
 */
export function parametersFromWire(wire) {
  return Object.fromEntries(Object.entries(wire).map(([name, value]) => [name, valueFromWire(value)]))
}

/**
 * @param {Measurement} measurement
 */
export function measurementToWire({ step, metrics, elapsed }) {
  return { step, metrics, ...(elapsed !== undefined && { elapsed: durationToWire(elapsed) }) }
}

/** @param {any} wire @returns {Measurement | null} */
export function measurementFromWire(wire) {
  if (!wire) return null
  const elapsed = wire.elapsed ? { elapsed: secondsFromWire(wire.elapsed) } : {}
  return { step: wire.step, metrics: { ...wire.metrics }, ...elapsed }
}

/** @param {any} wire @returns {Trial} */
export function trialFromWire(wire) {
  const attempts = wire.attempts.map(attemptFromWire)
  return {
    name: wire.name,
    number: Number(wire.name.split('/').pop()),
    parameters: parametersFromWire(wire.parameters),
    state: stripped(wire.state, 'TRIAL_STATE_'),
    measurements: wire.measurements.map(measurementFromWire),
    finalMeasurement: measurementFromWire(wire.finalMeasurement),
    failure: failureFromWire(wire.failure),
    workerId: workerOf(wire, attempts),
    attempts,
    attempt: wire.attempt,
    checkpointUri: wire.checkpointUri,
    untilStep: wire.untilStep ?? null,
    labels: { ...wire.labels },
    origin: stripped(wire.origin, 'ORIGIN_'),
    explanation: wire.explanation?.summary ?? '',
  }
}

/** @param {any} wire @returns {{ reason: FailureReason, message: string } | null} */
function failureFromWire(wire) {
  return wire && { reason: stripped(wire.reason, 'FAILURE_REASON_'), message: wire.message }
}

/** @param {any} wire @returns {Attempt} */
function attemptFromWire(wire) {
  const outcome = stripped(wire.outcome, 'ATTEMPT_OUTCOME_')
  return {
    number: wire.attempt,
    workerId: wire.workerId,
    startTime: dateFromWire(wire.startTime),
    endTime: dateFromWire(wire.endTime),
    outcome: outcome === 'UNSPECIFIED' ? null : outcome,
    failure: failureFromWire(wire.failure),
  }
}

/** @param {any} wire @param {Attempt[]} attempts */
function workerOf(wire, attempts) {
  if (wire.lease || wire.state === 'TRIAL_STATE_QUEUED' || !attempts.length) return wire.lease?.workerId ?? ''
  const end = dateFromWire(wire.endTime)?.getTime()
  const ending = attempts.filter((each) => each.outcome !== 'SUPERSEDED' && each.endTime?.getTime() === end)
  return (ending.at(-1) ?? attempts.at(-1))?.workerId ?? ''
}

/** @param {any} wire @returns {Date | null} */
function dateFromWire(wire) {
  return wire ? new Date(1000 * secondsFromWire(wire)) : null
}

/** @param {string} text @param {string} prefix @returns {any} */
export function stripped(text, prefix) {
  return text.startsWith(prefix) ? text.slice(prefix.length) : text
}

/** @param {number} seconds */
export function durationToWire(seconds) {
  const whole = Math.trunc(seconds)
  return { seconds: whole, nanos: Math.round((seconds - whole) * 1e9) }
}

/** @param {{ seconds: number, nanos: number } | null} wire a duration or a moment */
export function secondsFromWire(wire) {
  return wire ? wire.seconds + wire.nanos / 1e9 : 0
}
