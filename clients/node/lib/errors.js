/** What can go wrong between a program and the server. */
import { Metadata, status } from '@grpc/grpc-js'
import { decodeBadRequest, decodeErrorInfo, decodeRetryInfo, decodeStatus } from './contract.js'

/**
 * One field at fault.
 * @typedef {{ field: string, description: string }} Violation
 */

/** Anything that a call can reject with. Its message is for people; `code` and `reason` are for programs. */
export class BoError extends Error {
  /**
   * @param {string} message
   * @param {string} code gRPC's name of the status, such as 'INVALID_ARGUMENT', 'NOT_FOUND' or 'UNAVAILABLE'.
   * @param {string} [reason] the server's own, such as 'WRONG_LEASE'; empty where no server has answered.
   * @param {Violation[]} [violations] each field at fault, with what is allowed and what to do.
   * @param {Record<string, string>} [metadata]
   */
  constructor(message, code, reason = '', violations = [], metadata = {}) {
    super(message)
    this.name = 'BoError'
    this.code = code
    this.reason = reason
    this.violations = violations
    this.metadata = metadata
    /**
     * Seconds after which to try again, where the server has too many calls at the moment.
     * @type {number | undefined}
     */
    this.retryDelay = undefined
  }

  /** Whether nobody answered: nobody is there, or the network stalls. A server that is too slow says so itself. */
  get isSilence() {
    return this.code === 'UNAVAILABLE' || (this.code === 'DEADLINE_EXCEEDED' && this.reason === '')
  }
}

/** Thrown inside an objective whose trial should end early; `optimize` completes it with its last measurement. */
export class StopTrial extends Error {
  /** @param {string} message why */
  constructor(message) {
    super(message)
    this.name = 'StopTrial'
  }
}

/** Thrown inside an objective whose trial should pause at its checkpoint; `optimize` then gives the trial back. */
export class PauseTrial extends StopTrial {
  /** @param {string} message why @param {string} [checkpointUri] where it can be resumed; by default what was last reported. */
  constructor(message, checkpointUri = '') {
    super(message)
    this.name = 'PauseTrial'
    this.checkpointUri = checkpointUri
  }
}

/**
 * A request that can't succeed, as found before it was sent.
 * @param {string} field
 * @param {string} description
 */
export function invalid(field, description) {
  return new BoError(`${field} ${description}`, 'INVALID_ARGUMENT', 'INVALID_ARGUMENT', [{ field, description }])
}

/**
 * Ours for gRPC's, with all that google.rpc's details tell. A server that ends cancels calls that it has not begun: it
 * isn't there for them.
 * @param {import('@grpc/grpc-js').ServiceError} error
 * @param {string} address
 */
export function errorOf(error, address) {
  const { reason, metadata, violations, retryDelay } = detailsOf(error.metadata)
  const name = status[error.code] ?? 'UNKNOWN'
  const code = name === 'CANCELLED' ? 'UNAVAILABLE' : name
  const made = new BoError(messageOf(code, error.details, address, reason), code, reason, violations, metadata)
  if (code === 'RESOURCE_EXHAUSTED') made.retryDelay = retryDelay
  return made
}

/**
 * @param {string} code
 * @param {string} details
 * @param {string} address
 * @param {string} reason
 */
function messageOf(code, details, address, reason) {
  if (reason) return details
  if (code === 'UNAVAILABLE') return `no server answers at ${address}; is it running, and is the address right? (${details})`
  if (code === 'DEADLINE_EXCEEDED') return `no answer from ${address} in time; the call may still have had its effect`
  return details || `${address} gave no details`
}

/** @param {Metadata | undefined} sent */
function detailsOf(sent) {
  const [packed] = sent?.get('grpc-status-details-bin') ?? []
  const found = {
    reason: '',
    metadata: /** @type {Record<string, string>} */ ({}),
    violations: /** @type {Violation[]} */ ([]),
    retryDelay: /** @type {number | undefined} */ (undefined),
  }
  if (!(packed instanceof Buffer)) return found
  for (const { typeUrl: type, value } of decodeStatus(packed).details) {
    if (type.endsWith('/google.rpc.ErrorInfo')) Object.assign(found, decodeErrorInfo(value))
    if (type.endsWith('/google.rpc.BadRequest')) found.violations = decodeBadRequest(value).fieldViolations
    if (type.endsWith('/google.rpc.RetryInfo')) {
      const { seconds, nanos } = decodeRetryInfo(value).retryDelay ?? { seconds: 0, nanos: 0 }
      found.retryDelay = Math.max(0, seconds + nanos / 1e9)
    }
  }
  return found
}
