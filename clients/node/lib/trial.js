/** A trial that this process runs. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { BoError } from './errors.js'
import { measurementToWire, secondsFromWire, trialFromWire } from './values.js'

/** @typedef {import('./values.js').Trial} Trial */
/**
 * What the worker should do now. `leaseValid` is false where the trial has ended or another worker has it. Where it should
 * pause, it writes its checkpoint and calls `pause`. `untilStep` is how far to go on; null where that is to the end.
 * @typedef {{ shouldStop: boolean, stopReason: string, shouldPause: boolean, pauseReason: string,
 *   untilStep: number | null, leaseValid: boolean, leaseSeconds: number }} Heartbeat
 */

/** A trial under a lease. `report` and `heartbeat` renew it; `keep` sends them by itself. */
export class RunningTrial {
  /** @param {import('./study.js').Study} study @param {any} wire */
  constructor(study, wire) {
    this.study = study
    /** The trial as it was handed out. */
    this.snapshot = trialFromWire(wire)
    this.name = this.snapshot.name
    this.number = this.snapshot.number
    this.parameters = this.snapshot.parameters
    this.attempt = this.snapshot.attempt
    /** Where to go on, as an earlier attempt left it; empty at the beginning. */
    this.checkpointUri = this.snapshot.checkpointUri
    /** How far to train now, as last heard; null where that is to the end. */
    this.untilStep = this.snapshot.untilStep
    /** Proves who holds the trial; with it, another process may complete it. @type {string} */
    this.leaseToken = wire.lease.token
    /** How long the lease lasts after each heartbeat: from the server's clock on both sides. */
    this.leaseSeconds = secondsFromWire(wire.lease.expireTime) - secondsFromWire(wire.startTime) || 60
  }

  /**
   * Adds a point to the learning curve and renews the lease.
   * @param {number} step such as the epoch, from 0.
   * @param {Record<string, number>} metrics
   * @param {{ elapsed?: number, checkpointUri?: string }} [options]
   */
  report(step, metrics, { elapsed, checkpointUri = '' } = {}) {
    const measurements = [measurementToWire({ step, metrics, ...(elapsed !== undefined && { elapsed }) })]
    return this.send({ measurements, checkpointUri })
  }

  /** Renews the lease. @param {import('./client.js').Patience} [limits] */
  heartbeat(limits) {
    return this.send({}, limits)
  }

  /**
   * Ends the trial with what it achieved.
   * @param {Record<string, number>} metrics
   * @param {{ step?: number, elapsed?: number, labels?: Record<string, string> }} [options]
   */
  complete(metrics, { step = 0, elapsed, labels = {} } = {}) {
    const finalMeasurement = measurementToWire({ step, metrics, ...(elapsed !== undefined && { elapsed }) })
    return this.end({ finalMeasurement, labels })
  }

  /**
   * Ends the trial without a result, or sends it back to the queue where a machine is to blame.
   * @param {import('./values.js').FailureReason} reason
   * @param {string} [message]
   */
  fail(reason, message = '') {
    return this.end({ failure: { reason: `FAILURE_REASON_${reason}`, message } })
  }

  /**
   * Gives the trial back at its checkpoint, as the server has asked.
   * @param {string} [checkpointUri] where it can be resumed; by default what was last reported.
   * @param {{ labels?: Record<string, string> }} [options]
   */
  pause(checkpointUri = '', { labels = {} } = {}) {
    return this.end({ pause: { checkpointUri }, labels })
  }

  /**
   * Runs `work` while heartbeats keep the lease. The signal is aborted when the trial should stop, or is no longer ours;
   * its reason is for people.
   * @template T
   * @param {(signal: AbortSignal) => Promise<T>} work
   * @returns {Promise<T>}
   */
  async keep(work) {
    const told = new AbortController()
    const done = new AbortController()
    const beating = this.beat(told, done.signal)
    try {
      return await work(told.signal)
    } finally {
      done.abort()
      await beating
    }
  }

  /** @param {AbortController} told @param {AbortSignal} done */
  async beat(told, done) {
    while (!done.aborted) {
      await sleep((this.leaseSeconds * 1000) / 3, undefined, { signal: done }).catch(() => {})
      if (done.aborted) return
      try {
        const { shouldStop, stopReason } = await this.heartbeat({ patience: 0, timeout: this.leaseSeconds / 3 })
        if (shouldStop) told.abort(stopReason)
      } catch (error) {
        const isPassing = error instanceof BoError && (error.isSilence || error.retryDelay !== undefined)
        if (!isPassing) return told.abort(String(error))
      }
    }
  }

  /**
   * @param {Record<string, any>} report
   * @param {import('./client.js').Patience} [limits]
   * @returns {Promise<Heartbeat>}
   */
  async send(report, limits = {}) {
    const request = { name: this.name, leaseToken: this.leaseToken, ...report }
    const answer = await this.study.client.call('ReportMeasurements', request, limits)
    const { shouldStop, stopReason, shouldPause, pauseReason, leaseValid, untilStep = null } = answer
    if (untilStep !== null) this.untilStep = Math.max(untilStep, this.untilStep ?? 0) // answers may overtake each other
    const leaseSeconds = secondsFromWire(answer.leaseRemaining)
    return { shouldStop, stopReason, shouldPause, pauseReason, untilStep, leaseValid, leaseSeconds }
  }

  /** @param {Record<string, any>} outcome */
  async end(outcome) {
    const request = { name: this.name, leaseToken: this.leaseToken, requestId: randomUUID(), ...outcome }
    return trialFromWire((await this.study.client.call('CompleteTrial', request)).trial)
  }
}
