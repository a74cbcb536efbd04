// Against a server with TLS and tokens: the environment names it, its authority and a reader's token.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BoError, connect } from '../lib/index.js'
import { secured } from '../lib/security.js'

const { BO_SECURE_SERVER: server, BO_SECURE_CA: ca, BO_SECURE_TOKEN_FILE: tokenFile } = process.env

test('TLS and a token from a file', { skip: !server && 'BO_SECURE_SERVER names no server' }, async () => {
  const client = connect(server, { ca, tokenFile, patience: 1 })
  const found = []
  for await (const study of client.studies()) found.push(study)
  assert.deepEqual(found, [])
  await assert.rejects(client.deleteStudy('any'), (error) => error instanceof BoError && error.code === 'PERMISSION_DENIED')
  client.close()
  const stranger = connect(server, { ca, token: 'nobodys', patience: 1 })
  await assert.rejects(stranger.study('any'), (error) => error instanceof BoError && error.code === 'UNAUTHENTICATED')
  stranger.close()
})

test('a token is not sent to another machine for all to read', () => {
  assert.throws(() => secured('10.0.0.1:1', { token: 'secret' }, {}), /for all to read/)
  assert.throws(() => secured('10.0.0.1:1', {}, { BO_TOKEN: 'secret' }), /for all to read/)
  assert.ok(secured('10.0.0.1:1', { token: 'secret', plaintextToken: true }, {}))
  assert.ok(secured('10.0.0.1:1', { token: 'secret', tls: true }, {}))
  const local = secured('127.0.0.1:1', {}, { BO_TOKEN: 'secret' })
  assert.deepEqual(local.metadata('id').get('authorization'), ['Bearer secret'])
})

test('what can not be is refused by name', () => {
  assert.throws(() => secured('127.0.0.1:1', { token: 'two words' }, {}), /token/)
  assert.throws(() => secured('127.0.0.1:1', { ca: '/nowhere.pem' }, {}), /ca .*nowhere\.pem can't be read/)
  assert.throws(() => secured('127.0.0.1:1', {}, { BO_TLS: 'maybe' }), /BO_TLS/)
})
