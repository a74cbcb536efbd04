/** Patience: what is tried again while nobody answers, and how often. */
import { setTimeout as sleep } from 'node:timers/promises'
import { BoError } from './errors.js'

const FIRST_DELAY = 0.1
const LONGEST_DELAY = 1

/** Seconds to wait before each further attempt: doubling, spread so that clients don't march in step. */
export function* delays() {
  for (let delay = FIRST_DELAY; ; delay = Math.min(2 * delay, LONGEST_DELAY)) yield delay * (0.5 + Math.random() / 2)
}

/**
 * What `attempt` gives, tried again for `patience` seconds while nobody answers.
 * @template T
 * @param {() => Promise<T>} attempt
 * @param {number} patience
 * @returns {Promise<T>}
 */
export async function patiently(attempt, patience) {
  const end = performance.now() + patience * 1000
  for (const delay of delays()) {
    try {
      return await attempt()
    } catch (error) {
      const left = end - performance.now()
      if (left <= 0 || !(error instanceof BoError) || !error.isSilence) throw error
      await sleep(Math.min(delay * 1000, left))
    }
  }
  throw new Error('delays never end')
}
