// Training in parts: against the server that BO_SERVER names, which tests/e2e/test_node.py starts.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { after, test } from 'node:test'
import { BoError, connect, float, minimize } from '../lib/index.js'

const LAST = 4 // steps of a whole trial: it may pause after 1 and 3
const client = connect(process.env.BO_SERVER)
after(() => client.close())

/** @param {number} maxTrials */
const inParts = (maxTrials) =>
  client.createStudy(`node-${randomUUID()}`, {
    parameters: [float('x', 0, 1)],
    metrics: [minimize('loss')],
    maxTrials,
    fidelity: { metric: 'epoch', max: LAST },
    suggestion: { algorithm: 'ALGORITHM_QUASI_RANDOM' },
  })

/** @param {import('../lib/index.js').Study} study */
const statesOf = async (study) => {
  const states = []
  for await (const { state } of study.trials()) states.push(state)
  return states
}

test('optimize: an objective that resumes is trained in parts, and no epoch twice', async () => {
  const study = await inParts(6)
  /** @type {Record<number, number[]>} */
  const trained = {}
  const best = await study.optimize(async ({ x }, { trial, report }) => {
    const epochs = (trained[trial.number] ??= [])
    for (let epoch = Number(trial.checkpointUri || 0) + 1; epoch <= LAST; epoch++) {
      assert.ok(trial.untilStep !== null && epoch <= trial.untilStep)
      epochs.push(epoch)
      await report(epoch, { loss: x }, { checkpointUri: String(epoch) })
    }
    return x
  }, { canResume: true })
  assert.equal((await study.refresh()).state, 'COMPLETED')
  assert.equal(study.resumableCount, 0)
  for (const epochs of Object.values(trained)) assert.deepEqual(epochs, epochs.map((_, i) => i + 1))
  const states = await statesOf(study)
  assert.deepEqual(states, states.map((_, i) => (trained[i + 1]?.length === LAST ? 'SUCCEEDED' : 'PAUSED')))
  assert.ok(states.includes('PAUSED') && best?.finalMeasurement?.step === LAST)
})

test('optimize: an objective that does not resume is trained in one go, and is told of paused trials', async () => {
  const study = await inParts(3)
  const { trials: [paused] } = await study.suggest({ canResume: true })
  assert.equal(paused?.untilStep, 1)
  const told = await paused.report(1, { loss: 0.5 })
  assert.deepEqual([told.shouldPause, told.shouldStop, told.leaseValid], [true, false, true])
  assert.match(told.pauseReason, /epoch 1/)
  assert.equal((await paused.pause('at-1')).state, 'PAUSED')
  const warned = once(process, 'warning')
  await study.optimize(async ({ x }, { trial, report }) => {
    assert.equal(trial.untilStep, null)
    for (let epoch = 1; epoch <= LAST; epoch++) await report(epoch, { loss: 1 + x })
    return 1 + x
  }, { trials: 5 })
  assert.match((await warned)[0].message, /ended after 2 of 5 trials .*canResume \(NEEDS_RESUME\)/)
  assert.deepEqual(await statesOf(study), ['PAUSED', 'SUCCEEDED', 'SUCCEEDED'])
  assert.deepEqual([(await study.refresh()).state, study.resumableCount], ['ACTIVE', 1])
  const { trials: [again] } = await study.suggest({ canResume: true })
  assert.deepEqual([again?.number, again?.checkpointUri, again?.untilStep], [1, 'at-1', 3])
})

test('optimize: a budget of epochs ends the study, which names it', async () => {
  const study = await client.createStudy(`node-${randomUUID()}`, {
    parameters: [float('x', 0, 1)],
    metrics: [minimize('loss')],
    maxSteps: 2 * LAST,
    fidelity: { metric: 'epoch', max: LAST },
    suggestion: { algorithm: 'ALGORITHM_QUASI_RANDOM' },
  })
  assert.deepEqual([study.spent, study.reachedLimit], [{ steps: 0, seconds: 0 }, null])
  await study.optimize(async ({ x }, { trial, report }) => {
    for (let epoch = Number(trial.checkpointUri || 0) + 1; epoch <= LAST; epoch++) {
      await report(epoch, { loss: x }, { checkpointUri: String(epoch) })
    }
    return x
  }, { canResume: true })
  assert.deepEqual([(await study.refresh()).state, study.reachedLimit], ['COMPLETED', 'MAX_STEPS'])
  assert.ok(study.spent.steps >= 2 * LAST && study.spent.steps < 3 * LAST)
  const { trials, shortfall, reachedLimit } = await study.suggest({ canResume: true })
  assert.deepEqual([trials, shortfall, reachedLimit], [[], 'COMPLETED', 'MAX_STEPS'])
})

test('optimize: a pause without a checkpoint is an error of the objective', async () => {
  const study = await inParts(3)
  const noCheckpoint = study.optimize(async (_, { report }) => { await report(1, { loss: 1 }); return 1 }, { canResume: true })
  await assert.rejects(noCheckpoint, (error) => error instanceof BoError && /checkpoint_uri/.test(error.message))
  assert.deepEqual((await statesOf(study)).filter((state) => state === 'RUNNING'), [])
})
