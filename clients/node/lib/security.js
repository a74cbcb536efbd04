/** How a server is reached: encrypted or not, and with which token. The environment says what isn't given. */
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { credentials, Metadata } from '@grpc/grpc-js'
import { invalid } from './errors.js'

/**
 * @typedef {object} Security
 * @property {string} [token] the token; else BO_TOKEN, or the file that `tokenFile` or BO_TOKEN_FILE names.
 * @property {string} [tokenFile]
 * @property {boolean} [tls] call over TLS, trusting the authorities that Node.js knows; else BO_TLS=1.
 * @property {string} [ca] file with the authority of the server's certificate, in PEM; else BO_CA.
 * @property {string} [cert] file with a certificate to show; else BO_CERT.
 * @property {string} [key] file with its key; else BO_KEY.
 * @property {string} [serverName] name that the server's certificate has, where it isn't the address's host; else BO_SERVER_NAME.
 * @property {boolean} [plaintextToken] send the token to another machine although nothing is encrypted; else BO_PLAINTEXT_TOKEN=1.
 */

/**
 * @param {string} address
 * @param {Security} given
 * @param {NodeJS.ProcessEnv} environment
 */
export function secured(address, given, environment = process.env) {
  const token = tokenOf(given, environment)
  const [ca, cert, key] = /** @type {const} */ (['ca', 'cert', 'key']).map((name) => {
    const path = given[name] || environment[`BO_${name.toUpperCase()}`]
    return path ? read(name, path) : undefined
  })
  if (!cert !== !key) throw invalid(cert ? 'key' : 'cert', 'is missing; a certificate and its key are given together')
  const tls = given.tls ?? (flag('BO_TLS', environment) || Boolean(ca || cert))
  const mayShow = given.plaintextToken ?? flag('BO_PLAINTEXT_TOKEN', environment)
  if (token && !tls && !mayShow && !isLocal(address)) {
    throw invalid('token', `would be sent to ${address} for all to read; call over TLS (ca, tls), or set plaintextToken`)
  }
  const name = given.serverName || environment.BO_SERVER_NAME
  return {
    channel: tls ? credentials.createSsl(ca ?? null, key ?? null, cert ?? null) : credentials.createInsecure(),
    options: {
      ...(name && { 'grpc.ssl_target_name_override': name, 'grpc.default_authority': name }),
      ...(isLocal(address) && { 'grpc.enable_http_proxy': 0 }),
    },
    /** @param {string} requestId */
    metadata(requestId) {
      const made = new Metadata()
      made.set('x-request-id', requestId)
      if (token) made.set('authorization', `Bearer ${token}`)
      return made
    },
  }
}

/**
 * Whether an address, HOST:PORT, is on this machine.
 * @param {string} address
 */
export function isLocal(address) {
  const host = address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '')
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

/**
 * @param {Security} given
 * @param {NodeJS.ProcessEnv} environment
 */
function tokenOf(given, environment) {
  const isGiven = given.token !== undefined || given.tokenFile !== undefined
  const text = isGiven ? given.token : environment.BO_TOKEN || undefined
  const file = isGiven ? given.tokenFile : environment.BO_TOKEN_FILE
  const token = text ?? (file ? read('tokenFile', file).toString().trim() : undefined)
  if (token !== undefined && !/^[!-~]{1,4096}$/.test(token)) {
    throw invalid('token', 'is empty or holds blanks or other characters that no token has')
  }
  return token
}

/**
 * @param {string} name
 * @param {string} path
 */
function read(name, path) {
  try {
    return readFileSync(path)
  } catch (error) {
    throw invalid(name, `${path} can't be read: ${/** @type {Error} */ (error).message}`)
  }
}

/**
 * @param {string} name
 * @param {NodeJS.ProcessEnv} environment
 */
function flag(name, environment) {
  const text = (environment[name] ?? '').toLowerCase()
  if (['1', 'true', 'yes', 'on'].includes(text)) return true
  if (['', '0', 'false', 'no', 'off'].includes(text)) return false
  throw invalid(name, `is '${text}'; give 1 or 0`)
}
