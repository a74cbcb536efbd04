/** Patience: what is tried again while nobody answers, and how often. */
import { setTimeout as sleep } from 'node:timers/promises'
import { BoError } from './errors.js'

const FIRST_DELAY = 0.1
const LONGEST_DELAY = 1
const SLOWEST = 8

/** Seconds to wait before each further attempt: doubling, spread so that clients don't march in step. */
export function* delays() {
  for (let delay = FIRST_DELAY; ; delay = Math.min(2 * delay, LONGEST_DELAY)) yield delay * (0.5 + Math.random() / 2)
}

/** By what the server's own delay is multiplied: at least 1, doubling up to `most`, and spread over clients. @param {number} most */
export function* spread(most = SLOWEST) {
  for (let factor = 1; ; factor = Math.min(2 * factor, most)) yield factor * (1 + Math.random() / 2)
}

/**
 * Seconds to wait before a call is tried again that the server refused as one too many; undefined for other errors.
 * @param {unknown} error @param {Generator<number, void>} pauses
 */
export function pauseAfter(error, pauses) {
  if (!(error instanceof BoError) || error.retryDelay === undefined) return undefined
  return Math.max(FIRST_DELAY, error.retryDelay) * Number(pauses.next().value)
}

/**
 * What `attempt` gives, tried again for `patience` seconds while nobody answers, and for `deadline` seconds while the
 * server has too many calls and says when to try again. It is given the seconds that are left to it then.
 * @template T
 * @param {(left?: number) => Promise<T>} attempt
 * @param {number} patience
 * @param {{ deadline?: number, isUrgent?: boolean }} [options] `isUrgent` keeps the time between attempts short.
 * @returns {Promise<T>}
 */
export async function patiently(attempt, patience, { deadline = 0, isUrgent = false } = {}) {
  const began = performance.now()
  const waits = delays()
  const pauses = spread(isUrgent ? 1 : SLOWEST)
  /** @type {number | undefined} */
  let left
  for (;;) {
    try {
      return await attempt(left)
    } catch (error) {
      const pause = pauseAfter(error, pauses)
      const rest = began + patience * 1000 - performance.now()
      if (pause !== undefined) {
        if (performance.now() + pause * 1000 >= began + deadline * 1000) throw error
        await sleep(pause * 1000)
        left = deadline - (performance.now() - began) / 1000
      } else if (rest > 0 && error instanceof BoError && error.isSilence) {
        await sleep(Math.min(Number(waits.next().value) * 1000, rest))
      } else throw error
    }
  }
}
