// Against the server that BO_SERVER names: tests/e2e/test_node.py starts one.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  BoError, StopTrial, atMost, categorical, connect, discrete, float, forbid, int, maximize, minimize,
} from '../lib/index.js'

const SERVER = process.env.BO_SERVER
if (!SERVER) throw new Error('BO_SERVER names no server')
const client = connect(SERVER)
after(() => client.close())

/** @param {Partial<import('../lib/space.js').Definition>} [changes] */
const created = (changes = {}) =>
  client.createStudy(`node-${randomUUID()}`, { parameters: [float('x', -1, 1)], metrics: [minimize('loss')], ...changes })

/** @template T @param {Promise<T>} promise @returns {Promise<BoError>} */
const refusal = async (promise) => {
  const error = await promise.then(() => assert.fail('it was not refused'), (/** @type {unknown} */ refused) => refused)
  assert.ok(error instanceof BoError, String(error))
  return error
}

/** A way to the server that can be cut: what is sent to it after `cut` gets no answer. */
async function makeProxy() {
  const [host = '', port] = String(SERVER).split(':')
  /** @type {Set<net.Socket>} */
  const open = new Set()
  let isDeaf = false
  const proxy = net.createServer((near) => {
    const far = net.connect(Number(port), host)
    for (const socket of [near, far]) {
      open.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => [near, far].forEach((one) => one.destroy()))
    }
    near.on('data', (data) => far.write(data))
    far.on('data', (data) => isDeaf || near.write(data))
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  return {
    address: `127.0.0.1:${/** @type {net.AddressInfo} */ (proxy.address()).port}`,
    deaf: (/** @type {boolean} */ yes) => { isDeaf = yes },
    cut: () => { for (const socket of open) socket.destroy(); open.clear() },
    close() { this.cut(); proxy.close() },
  }
}

test('a study from its first suggestion to its best trial', async () => {
  const study = await created({
    parameters: [
      float('lr', 1e-5, 0.1, { scale: 'log', default: 1e-3 }),
      categorical('norm', ['batch', 'layer', 'group']),
      int('groups', 1, 8, { when: { norm: ['group'] } }),
      discrete('batch', [16, 32, 64]),
      categorical('augment', [true, false]),
    ],
    constraints: [forbid({ norm: 'layer', augment: true })],
    metrics: [minimize('loss'), atMost('memory', 100)],
  })
  for (let i = 0; i < 4; i++) {
    const { trials: [trial], shortfall } = await study.suggest()
    assert.ok(trial)
    assert.equal(shortfall, null)
    const { lr, norm, batch, augment } = trial.parameters
    assert.ok(typeof lr === 'number' && lr >= 1e-5 && lr <= 0.1)
    assert.equal('groups' in trial.parameters, norm === 'group')
    assert.ok([16, 32, 64].includes(Number(batch)))
    assert.ok(!(norm === 'layer' && augment === true))
    assert.equal((await trial.report(0, { loss: 1 + lr, memory: 50 })).leaseValid, true)
    const done = await trial.complete({ loss: lr, memory: 50 }, { labels: { by: 'node' } })
    assert.equal(done.state, 'SUCCEEDED')
    assert.deepEqual(done.labels, { by: 'node' })
  }
  const trials = []
  for await (const trial of study.trials({ curves: true })) trials.push(trial)
  assert.deepEqual(trials.map(({ number }) => number), [1, 2, 3, 4])
  assert.equal(trials[0]?.parameters.lr, 1e-3)
  const [best] = await study.best()
  const values = trials.map(({ finalMeasurement }) => Number(finalMeasurement?.metrics.loss))
  assert.equal(best?.finalMeasurement?.metrics.loss, Math.min(...values))
  assert.equal(trials[0]?.measurements.length, 1)
  assert.equal((await study.refresh()).trialCounts.succeeded, 4)
})

test('a whole number is a float where the parameter is one', async () => {
  const study = await created()
  const seen = await study.observe({ x: 1 }, { loss: 0.5 })
  assert.deepEqual([seen.state, seen.parameters.x], ['SUCCEEDED', 1])
  await study.enqueue({ x: 0 })
  assert.equal((await study.suggest()).trials[0]?.parameters.x, 0)
})

test('a refusal names each field at fault', async () => {
  const error = await refusal(created({ parameters: [float('x', 2, 1), int('n', 5, 3)] }))
  assert.equal(error.code, 'INVALID_ARGUMENT')
  assert.ok(error.reason)
  assert.deepEqual(error.violations.map(({ field }) => field.match(/\[\d\]/)?.[0]), ['[0]', '[1]'])
  assert.match(error.violations[0]?.description ?? '', /\S/)
  assert.equal((await refusal(client.study('nobody-made-it'))).code, 'NOT_FOUND')
})

test('a wrong lease is refused with its reason', async () => {
  const study = await created()
  const { trials: [trial] } = await study.suggest()
  assert.ok(trial)
  trial.leaseToken = 'not-the-one'
  const error = await refusal(trial.complete({ loss: 1 }))
  assert.deepEqual([error.code, error.reason], ['FAILED_PRECONDITION', 'WRONG_LEASE'])
})

test('nobody answers: told after the patience, and where', async () => {
  const nobody = connect('127.0.0.1:9', { patience: 0.3 })
  const error = await refusal(nobody.study('any'))
  nobody.close()
  assert.equal(error.code, 'UNAVAILABLE')
  assert.match(error.message, /127\.0\.0\.1:9/)
  assert.throws(() => connect('nowhere'), /HOST:PORT/)
})

test('a call whose answer was lost is repeated and acts once', async () => {
  const study = await created()
  const proxy = await makeProxy()
  const through = connect(proxy.address)
  const same = await through.study(study.id)
  proxy.deaf(true)
  const suggesting = same.suggest({ count: 2 })
  for (;;) {
    if ((await study.refresh()).trialCounts.running === 2) break
    await sleep(20)
  }
  proxy.cut()
  proxy.deaf(false)
  const { trials } = await suggesting
  assert.equal(trials.length, 2)
  assert.equal((await study.refresh()).trialCounts.running, 2)
  for (const trial of trials) assert.equal((await trial.complete({ loss: 1 })).state, 'SUCCEEDED')
  through.close()
  proxy.close()
})

test('watching goes on where it was after a break, and ends when told', async () => {
  const study = await created()
  const proxy = await makeProxy()
  const through = connect(proxy.address)
  const watched = await through.study(study.id)
  const ending = new AbortController()
  /** @type {number[]} */
  const seen = []
  const watching = (async () => {
    for await (const { trials, revision } of watched.watch({ signal: ending.signal })) {
      assert.ok(revision > 0)
      seen.push(...trials.map(({ number }) => number))
    }
  })()
  const until = async (/** @type {number} */ number) => { while (!seen.includes(number)) await sleep(20) }
  await study.observe({ x: 0.1 }, { loss: 1 })
  await until(1)
  proxy.cut()
  await study.observe({ x: 0.2 }, { loss: 2 })
  await until(2)
  assert.deepEqual(seen, [1, 2])
  ending.abort()
  await watching
  through.close()
  proxy.close()
})

test('breaking out of watching ends the call', async () => {
  const study = await created()
  for await (const { study: now } of study.watch()) {
    assert.equal(now.state, 'ACTIVE')
    break
  }
})

test('a kept lease outlives its duration, and a stop is heard', async () => {
  const study = await created({ leaseSeconds: 1 })
  const { trials: [trial] } = await study.suggest()
  assert.ok(trial)
  assert.equal(Math.round(trial.leaseSeconds), 1)
  await trial.keep(() => sleep(2500))
  assert.equal((await study.trial(trial.number)).attempt, 1)
  assert.equal((await study.suggest()).trials[0]?.number, trial.number + 1)
  const reason = await trial.keep(async (signal) => {
    await study.stopTrial(trial.number, 'enough')
    if (!signal.aborted) await once(signal, 'abort')
    return signal.reason
  })
  assert.match(reason, /enough/)
})

test('optimize: several at once, the best at the end', async () => {
  const study = await created({ maxTrials: 9, metrics: [maximize('accuracy')] })
  let [running, most] = [0, 0]
  /** @type {() => void} */
  let meet = () => {}
  const met = new Promise((resolve) => { meet = () => resolve(undefined) })
  const best = await study.optimize(async ({ x }) => {
    most = Math.max(most, ++running)
    if (running === 3) meet()
    await Promise.race([met, sleep(60_000, undefined, { ref: false })])
    running--
    return 1 - x ** 2
  }, { parallel: 3 })
  assert.equal(most, 3)
  assert.equal((await study.refresh()).trialCounts.succeeded, 9)
  assert.equal(study.state, 'COMPLETED')
  assert.ok(Number(best?.finalMeasurement?.metrics.accuracy) > 0.8)
})

test('optimize: what goes wrong in an objective is told of the trial', async () => {
  const study = await created({ maxAttempts: 1 })
  const outcomes = [
    () => NaN,
    () => { throw new Error('no memory') },
    async (/** @type {any} */ _, /** @type {import('../lib/optimize.js').Run} */ run) => {
      await run.report(0, { loss: 3 })
      throw new StopTrial('seen enough')
    },
  ]
  for (const objective of outcomes) await study.optimize(objective, { trials: 1 })
  const trials = []
  for await (const trial of study.trials()) trials.push(trial)
  assert.deepEqual(trials.map(({ state }) => state), ['INFEASIBLE', 'FAILED', 'SUCCEEDED'])
  assert.equal(trials[0]?.failure?.reason, 'DIVERGED')
  assert.match(trials[1]?.failure?.message ?? '', /no memory/)
  assert.equal(trials[2]?.finalMeasurement?.metrics.loss, 3)
  const broken = () => { throw new Error('always') }
  await assert.rejects(study.optimize(broken, { trials: 5 }), /always/)
  await assert.rejects(study.optimize(broken), /maxTrials/)
})

test('pausing, listing and deleting', async () => {
  const study = await created()
  await study.pause()
  const { trials, shortfall, retryDelay } = await study.suggest()
  assert.deepEqual([trials.length, shortfall], [0, 'PAUSED'])
  assert.ok(Number(retryDelay) > 0)
  assert.equal((await study.resume()).state, 'ACTIVE')
  const ids = []
  for await (const { id } of client.studies()) ids.push(id)
  assert.ok(ids.includes(study.id))
  await client.deleteStudy(study.id)
  assert.equal((await refusal(study.refresh())).code, 'NOT_FOUND')
})
