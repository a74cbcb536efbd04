// Against a server of this test's own, which has too many calls.
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js'
import { OptimizationService } from '../lib/contract.js'
import { BoError, connect } from '../lib/index.js'

/** google.rpc.Status with an ErrorInfo OVERLOADED, and a RetryInfo of 0.2 s where `again`. @param {boolean} again */
function details(again) {
  const field = (/** @type {number} */ number, /** @type {Buffer | string} */ value) => {
    const bytes = Buffer.from(value)
    return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes])
  }
  const any = (/** @type {string} */ name, /** @type {Buffer} */ value) =>
    field(3, Buffer.concat([field(1, `type.googleapis.com/google.rpc.${name}`), field(2, value)]))
  const info = any('ErrorInfo', field(1, 'OVERLOADED'))
  const nanos = Buffer.from([0x10, 0x80, 0x84, 0xaf, 0x5f]) // 200,000,000
  return Buffer.concat([Buffer.from([0x08, 8]), info, ...(again ? [any('RetryInfo', field(1, nanos))] : [])])
}

let refusals = 0
let again = true
/** @type {number[]} */
let calls = []
const answer = (/** @type {any} */ _, /** @type {Function} */ callback) => {
  calls.push(performance.now())
  if (refusals-- <= 0) return callback(null, { study: { name: 'studies/s' } })
  const metadata = new Metadata()
  metadata.set('grpc-status-details-bin', details(again))
  callback({ code: status.RESOURCE_EXHAUSTED, details: 'too many calls', metadata })
}
const server = new Server()
server.addService(OptimizationService.service, { GetStudy: answer, ReportMeasurements: answer })
const port = await new Promise((resolve, reject) => {
  const bound = (/** @type {Error | null} */ error, /** @type {number} */ found) => (error ? reject(error) : resolve(found))
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), bound)
})
const client = connect(`127.0.0.1:${port}`, { patience: 0 })
after(() => { client.close(); server.forceShutdown() })

test('a call too many is tried again when the server says', async () => {
  ;[refusals, again, calls] = [2, true, []]
  assert.equal((await client.study('s')).name, 'studies/s')
  const [first = 0, second = 0, third = 0] = calls
  assert.ok(second - first >= 190 && third - second >= 390, String(calls)) // at least the server's delay, then more
})

test('heartbeats are tried again more often', async () => {
  ;[refusals, again, calls] = [4, true, []]
  await client.call('ReportMeasurements', { name: 'studies/s/trials/1', leaseToken: 't' }, { timeout: 20 })
  assert.equal(calls.length, 5)
})

test('a limit without a delay is final', async () => {
  ;[refusals, again, calls] = [1, false, []]
  await assert.rejects(client.study('s'), (error) => error instanceof BoError && error.reason === 'OVERLOADED')
  assert.equal(calls.length, 1)
})

test('a call with a timeout of its own ends within it', async () => {
  ;[refusals, again, calls] = [100, true, []]
  const began = performance.now()
  await assert.rejects(client.call('GetStudy', { name: 'studies/s' }, { timeout: 0.5 }), (error) => error instanceof BoError)
  assert.ok(performance.now() - began < 500 + 5000)
  assert.ok(calls.length <= 3)
})
