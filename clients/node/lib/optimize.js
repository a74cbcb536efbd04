/** Trials one after the other, or several at once, until there are no more. */
import { setTimeout as sleep } from 'node:timers/promises'
import { BoError, PauseTrial, StopTrial, invalid } from './errors.js'
import { isOutOfMemory } from './out_of_memory.js'

/** @typedef {import('./trial.js').RunningTrial} RunningTrial */
/**
 * What an objective may do while it runs: `report` throws StopTrial when the trial should end, and PauseTrial when it
 * should pause. It is given the checkpoint that holds the step, once that is written.
 * @typedef {object} Run
 * @property {RunningTrial} trial with `checkpointUri`, where to go on, and `untilStep`, how far.
 * @property {AbortSignal} signal aborted when the trial should end.
 * @property {(step: number, metrics: Record<string, number>, options?: { checkpointUri?: string }) => Promise<void>} report
 */
/**
 * The value of the study's objective metric, or all metrics by name.
 * @typedef {(parameters: Record<string, any>, run: Run) => number | Record<string, number> | Promise<number | Record<string, number>>} Objective
 */
/**
 * @typedef {object} OptimizeOptions
 * @property {number} [trials] how many to run here; else until the study has its maxTrials, or maxSteps or maxSeconds are spent.
 * @property {number} [parallel] how many at once.
 * @property {string} [workerId]
 * @property {boolean} [canResume] the objective goes on from `run.trial.checkpointUri` and reports its checkpoints: in a
 *   study with a fidelity, its trials are trained in parts.
 * @property {boolean} [throwErrors] end at the first crash of the objective; else at the third in a row.
 */

const CRASHES_IN_A_ROW = 3
const PAUSE = 1
/** Why this worker need not ask again. @type {Record<string, string>} */
const NO_MORE = {
  COMPLETED: 'the study has no more trials',
  SPACE_EXHAUSTED: 'the study has no more trials',
  NEEDS_RESUME: 'only paused trials are left, which wait for a worker with canResume',
}

/**
 * Runs trials. A warning of the process says why it ended, and after how many, where it ended early or most failed.
 * @param {import('./study.js').Study} study @param {Objective} objective @param {OptimizeOptions} options
 */
export async function optimize(study, objective, options) {
  const { trials = Infinity, parallel = 1, workerId, canResume = false, throwErrors = false } = options
  const { maxTrials, maxSteps, maxSeconds } = study.wire.spec.execution ?? {}
  if (trials === Infinity && !maxTrials && !maxSteps && !maxSeconds) {
    throw invalid('trials', 'is missing, and the study has no maxTrials, maxSteps or maxSeconds; give one of them')
  }
  const state = { left: trials, ran: 0, failed: 0, crashes: 0, isOver: false, why: 'all have run' }
  const slot = async () => {
    while (state.left > 0 && !state.isOver) {
      state.left--
      const { trials: [trial], shortfall, retryDelay, reachedLimit } = await study.suggest({ canResume, ...(workerId && { workerId }) })
      if (trial) {
        const { reason, error } = await evaluate(trial, objective)
        state.ran++
        if (reason && reason !== 'PREEMPTED') state.failed++
        const isCrash = reason === 'CRASHED'
        state.crashes = isCrash ? state.crashes + 1 : 0
        if (isCrash && (throwErrors || state.crashes >= CRASHES_IN_A_ROW)) throw error
        continue
      }
      state.left++
      if (shortfall !== null && shortfall in NO_MORE) {
        state.why = `${NO_MORE[shortfall]} (${reachedLimit ? `${shortfall}: ${reachedLimit} is reached` : shortfall})`
        return
      }
      await sleep((retryDelay ?? PAUSE) * 1000)
    }
  }
  const ending = () => { state.isOver = true }
  const ended = await Promise.allSettled(Array.from({ length: parallel }, () => slot().finally(ending)))
  const broken = ended.find((slot) => slot.status === 'rejected')
  const count = trials === Infinity ? `${state.ran}` : `${state.ran} of ${trials}`
  const why = broken ? String(broken.reason) : state.why
  const sentence = `${study.name}: ended after ${count} trials (${state.failed} failed): ${why}`
  const isWhole = trials === Infinity ? state.ran > 0 : state.ran >= trials
  if (broken || !isWhole || 2 * state.failed > state.ran) process.emitWarning(sentence)
  if (broken) throw broken.reason
}

/**
 * Runs the objective and ends the trial. Gives why the trial failed, if it did, and what the objective threw.
 * @param {RunningTrial} trial @param {Objective} objective
 * @returns {Promise<{ reason?: import('./values.js').FailureReason | undefined, error?: unknown }>}
 */
async function evaluate(trial, objective) {
  /** @type {{ step: number, metrics: Record<string, number> } | undefined} */
  let last
  let isLost = false
  try {
    const value = await trial.keep(async (signal) => {
      /** @type {Run['report']} */
      const report = async (step, metrics, options) => {
        const { shouldStop, stopReason, shouldPause, pauseReason, leaseValid } = await trial.report(step, metrics, options)
        isLost ||= !leaseValid
        if (leaseValid) last = { step, metrics }
        if (shouldStop) throw new StopTrial(stopReason)
        if (shouldPause) throw new PauseTrial(pauseReason)
      }
      return objective(trial.parameters, { trial, signal, report })
    })
    const [name = ''] = trial.study.objectives
    return { reason: await succeed(trial, typeof value === 'number' ? { [name]: value } : value) }
  } catch (error) {
    if (error instanceof BoError) throw error
    if (isLost) return { reason: 'PREEMPTED' } // it is another worker's
    if (error instanceof PauseTrial) return pause(trial, error)
    if (error instanceof StopTrial) {
      if (last) return { reason: await succeed(trial, last.metrics, last.step) }
      await unlessEnded(trial.fail('PREEMPTED', `stopped before its first measurement: ${error.message}`))
      return { reason: 'PREEMPTED' }
    }
    const reason = isOutOfMemory(error) ? 'OUT_OF_MEMORY' : 'CRASHED'
    await unlessEnded(trial.fail(reason, String(error)))
    return { reason, error }
  }
}

/**
 * Gives the trial back at its checkpoint; without one, it fails with an error that says so.
 * @param {RunningTrial} trial @param {PauseTrial} why
 * @returns {Promise<{ reason?: import('./values.js').FailureReason, error?: unknown }>}
 */
async function pause(trial, why) {
  try {
    await unlessEnded(trial.pause(why.checkpointUri))
    return {}
  } catch (error) {
    if (!(error instanceof BoError) || error.code !== 'INVALID_ARGUMENT') throw error
    await unlessEnded(trial.fail('CRASHED', `${error.message}; give checkpointUri to run.report, or leave canResume out`))
    throw error
  }
}

/**
 * Gives DIVERGED where an objective isn't finite.
 * @param {RunningTrial} trial @param {Record<string, number>} metrics @param {number} [step]
 * @returns {Promise<'DIVERGED' | undefined>}
 */
async function succeed(trial, metrics, step = 0) {
  const wild = trial.study.objectives.filter((name) => name in metrics && !Number.isFinite(metrics[name]))
  await unlessEnded(wild.length ? trial.fail('DIVERGED', `${wild.join(', ')} not finite`) : trial.complete(metrics, { step }))
  return wild.length ? 'DIVERGED' : undefined
}

/** Somebody else may have ended the trial, or deleted its study; then there is nothing left to do. @param {Promise<any>} ending */
async function unlessEnded(ending) {
  try {
    await ending
  } catch (error) {
    if (!(error instanceof BoError) || !['FAILED_PRECONDITION', 'NOT_FOUND'].includes(error.code)) throw error
  }
}
