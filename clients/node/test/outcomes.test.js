// How runs end: against the server that BO_SERVER names, which tests/e2e/test_node.py starts.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { after, test } from 'node:test'
import { categorical, connect, float, minimize, sumEquals } from '../lib/index.js'
import { isOutOfMemory } from '../lib/out_of_memory.js'

const client = connect(process.env.BO_SERVER)
after(() => client.close())

/** @param {Partial<import('../lib/space.js').Definition>} [changes] */
const created = (changes = {}) =>
  client.createStudy(`node-${randomUUID()}`, { parameters: [float('x', 0, 1)], metrics: [minimize('loss')], ...changes })

test('errors that say that memory ran out, and errors that do not', () => {
  const full = [
    new RangeError('Array buffer allocation failed'),
    new Error('CUDA out of memory. Tried to allocate 2 GiB'),
    new Error('JavaScript heap out of memory'),
    Object.assign(new Error('spawn ENOMEM'), { code: 'ENOMEM' }),
    new Error('the model failed', { cause: new RangeError('Array buffer allocation failed') }),
  ]
  const other = [
    new RangeError('Invalid array length'),
    new TypeError('out of memory is no option'),
    new Error('no space left on device'),
    new Error('index out of memory bounds map'),
    undefined,
  ]
  assert.deepEqual(full.map(isOutOfMemory), full.map(() => true))
  assert.deepEqual(other.map(isOutOfMemory), other.map(() => false))
})

test('optimize: running out of memory is told as such, and not tried again', async () => {
  const study = await created()
  const warned = once(process, 'warning')
  await study.optimize(() => { throw new RangeError('Array buffer allocation failed') }, { trials: 4 })
  const trials = []
  for await (const trial of study.trials()) trials.push(trial)
  assert.deepEqual(trials.map(({ failure }) => failure?.reason), Array(4).fill('OUT_OF_MEMORY'))
  assert.deepEqual(trials.map(({ attempt }) => attempt), [1, 1, 1, 1])
  assert.match(String((await warned)[0]), /ended after 4 of 4 trials \(4 failed\): all have run/)
})

test('optimize: an early end is a warning with its reason', async () => {
  const study = await created({ parameters: [categorical('x', ['a', 'b'])] })
  const warned = once(process, 'warning')
  await study.optimize(() => 1, { trials: 5 })
  assert.match(String((await warned)[0]), /ended after 2 of 5 trials \(0 failed\): .*SPACE_EXHAUSTED/)
})

test('sumEquals: each suggestion keeps to the sum', async () => {
  const parameters = [float('x', 0, 1), float('y', 0, 1)]
  const study = await created({ parameters, constraints: [sumEquals({ x: 1, y: 1 }, 1)] })
  const { trials } = await study.suggest({ count: 3 })
  for (const { parameters: { x, y } } of trials) assert.ok(Math.abs(Number(x) + Number(y) - 1) < 1e-6)
  assert.equal(trials.length, 3)
})
