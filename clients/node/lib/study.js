/** One study: suggestions, trials, and what came of them. */
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { optimize } from './optimize.js'
import { kindsFromWire, parametersToWire } from './space.js'
import { RunningTrial } from './trial.js'
import { measurementToWire, secondsFromWire, stripped, trialFromWire } from './values.js'

/** @typedef {import('./values.js').Trial} Trial */
/** @typedef {import('./values.js').TrialState} TrialState */
/** @typedef {'MAX_TRIALS' | 'MAX_STEPS' | 'MAX_SECONDS'} Limit */
/**
 * The trials handed out. `shortfall` says why they are fewer than asked for, such as 'COMPLETED'; null where they aren't.
 * `retryDelay` is in seconds, and null where there is no use in asking again. `reachedLimit` is the limit of the study because
 * of which they are fewer, such as 'MAX_STEPS'; null where it is another reason.
 * @typedef {{ trials: RunningTrial[], shortfall: string | null, retryDelay: number | null, reachedLimit: Limit | null }} Suggestions
 */

/** @param {string} limit @returns {Limit | null} */
function limitFromWire(limit) {
  return limit === 'LIMIT_UNSPECIFIED' ? null : stripped(limit, 'LIMIT_')
}

/** A study as it was when it was asked for; `refresh` asks again. */
export class Study {
  /** @param {import('./client.js').Client} client @param {any} wire */
  constructor(client, wire) {
    this.client = client
    this.wire = wire
    /** `studies/{study}` @type {string} */
    this.name = wire.name
    this.id = this.name.slice('studies/'.length)
  }

  /** 'ACTIVE', 'PAUSED' or 'COMPLETED'. @returns {'ACTIVE' | 'PAUSED' | 'COMPLETED'} */
  get state() {
    return stripped(this.wire.state, 'STUDY_STATE_')
  }

  /** How many trials are in each state. @returns {Record<Lowercase<TrialState>, number>} */
  get trialCounts() {
    return { ...this.wire.trialCounts }
  }

  /** What its values depend on besides the parameters; null where nobody has said it.
   * @returns {{ name: string, options: Record<string, string> } | null} */
  get objective() {
    const { objective } = this.wire
    return objective && { name: objective.name, options: { ...objective.options } }
  }

  /** What is said where most of the recent trials failed; null elsewhere.
   * @returns {{ failedCount: number, trialCount: number, firstTrial: string, firstFailure: string } | null} */
  get recentFailures() {
    return this.wire.recentFailures && { ...this.wire.recentFailures }
  }

  /** Names of the metrics that are optimized. @returns {string[]} */
  get objectives() {
    const metrics = /** @type {any[]} */ (this.wire.spec.metrics)
    return metrics.filter(({ role }) => !/CONSTRAINT|INFORMATION/.test(role)).map(({ name }) => name)
  }

  /** Asks the server how the study is now. */
  async refresh() {
    this.wire = (await this.client.call('GetStudy', { name: this.name })).study
    return this
  }

  /** How many trials wait for a worker that can resume; 0 while any trial runs. @returns {number} */
  get resumableCount() {
    return this.wire.resumableCount
  }

  /** What its trials have spent on training, over all attempts. @returns {{ steps: number, seconds: number }} */
  get spent() {
    return { steps: 0, seconds: 0, ...this.wire.spent }
  }

  /** The limit because of which no further trials are made; null where there is none. @returns {Limit | null} */
  get reachedLimit() {
    return limitFromWire(this.wire.reachedLimit)
  }

  /**
   * Trials to run, each under a lease. A worker that `canResume` is given paused trials too, and is asked to pause.
   * @param {{ count?: number, workerId?: string, canResume?: boolean, timeout?: number }} [options]
   * @returns {Promise<Suggestions>}
   */
  async suggest({ count = 1, workerId = `${hostname()}:${process.pid}`, canResume = false, timeout } = {}) {
    const request = { parent: this.name, count, workerId, canResume, requestId: randomUUID() }
    const answer = await this.client.call('SuggestTrials', request, timeout === undefined ? {} : { timeout })
    const shortfall = stripped(answer.shortfall, 'SHORTFALL_')
    return {
      trials: answer.trials.map((/** @type {any} */ trial) => new RunningTrial(this, trial)),
      shortfall: shortfall === 'UNSPECIFIED' ? null : shortfall,
      reachedLimit: limitFromWire(answer.reachedLimit),
      retryDelay: answer.retryDelay ? secondsFromWire(answer.retryDelay) : null,
    }
  }

  /**
   * Runs trials, several at once if asked for, and gives the best. Each has a heartbeat while it runs.
   * @param {import('./optimize.js').Objective} objective
   * @param {import('./optimize.js').OptimizeOptions} [options]
   * @returns {Promise<Trial | undefined>}
   */
  async optimize(objective, options = {}) {
    await optimize(this, objective, options)
    return (await this.best())[0]
  }

  /**
   * Puts a configuration in the queue.
   * @param {Record<string, import('./values.js').Value>} parameters
   * @param {{ labels?: Record<string, string> }} [options]
   */
  enqueue(parameters, { labels = {} } = {}) {
    return this.create({ labels }, parameters)
  }

  /**
   * Records what was measured elsewhere.
   * @param {Record<string, import('./values.js').Value>} parameters
   * @param {Record<string, number>} metrics
   */
  observe(parameters, metrics) {
    return this.create({ finalMeasurement: measurementToWire({ step: 0, metrics }) }, parameters)
  }

  /** @param {Record<string, any>} trial @param {Record<string, import('./values.js').Value>} parameters */
  async create(trial, parameters) {
    const wire = parametersToWire(parameters, kindsFromWire(this.wire.spec))
    const request = { parent: this.name, trial: { ...trial, parameters: wire }, requestId: randomUUID() }
    return trialFromWire((await this.client.call('CreateTrial', request)).trial)
  }

  /** The best trials, the best first; the Pareto set where there are several objectives. */
  async best({ count = 1 } = {}) {
    const answer = await this.client.call('GetBestTrials', { parent: this.name, count })
    return /** @type {Trial[]} */ (answer.trials.map(trialFromWire))
  }

  /**
   * The study's trials, by number.
   * @param {{ states?: TrialState[], curves?: boolean }} [options] `curves` brings the learning curves.
   */
  async *trials({ states = [], curves = false } = {}) {
    const view = curves ? 'TRIAL_VIEW_FULL' : 'TRIAL_VIEW_BASIC'
    const request = { parent: this.name, states: states.map((state) => `TRIAL_STATE_${state}`), view }
    for await (const wire of this.client.pages('ListTrials', request, 'trials')) yield trialFromWire(wire)
  }

  /** One trial with its learning curve. @param {number} number */
  async trial(number) {
    const request = { name: `${this.name}/trials/${number}`, view: 'TRIAL_VIEW_FULL' }
    return trialFromWire((await this.client.call('GetTrial', request)).trial)
  }

  /** Ends a queued trial, or asks the worker of a running one to stop. @param {number} number @param {string} [reason] */
  async stopTrial(number, reason = '') {
    const request = { name: `${this.name}/trials/${number}`, reason, requestId: randomUUID() }
    return trialFromWire((await this.client.call('StopTrial', request)).trial)
  }

  /** Gives out no trials until `resume`. */
  pause() {
    return this.update('STUDY_STATE_PAUSED')
  }

  /** Gives out trials again. */
  resume() {
    return this.update('STUDY_STATE_ACTIVE')
  }

  /** @param {string} state */
  async update(state) {
    const request = { study: { name: this.name, state }, updateMask: { paths: ['state'] }, requestId: randomUUID() }
    this.wire = (await this.client.call('UpdateStudy', request)).study
    return this
  }

  /**
   * Every change of the study and its trials as it happens, as the state after it. After a break it goes on where it was.
   * @param {{ afterRevision?: number, curves?: boolean, signal?: AbortSignal }} [options]
   */
  async *watch({ afterRevision = 0, curves = false, signal } = {}) {
    const view = curves ? 'TRIAL_VIEW_FULL' : 'TRIAL_VIEW_BASIC'
    for await (const answer of this.client.watch({ name: this.name, afterRevision, view }, signal)) {
      yield {
        study: new Study(this.client, answer.study),
        trials: /** @type {Trial[]} */ (answer.trials.map(trialFromWire)),
        deletedTrials: /** @type {number[]} */ (answer.deletedTrials),
        revision: /** @type {number} */ (answer.revision),
      }
    }
  }
}
