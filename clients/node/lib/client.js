/** Studies on one server. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { OptimizationService } from './contract.js'
import { BoError, errorOf, invalid } from './errors.js'
import { delays, patiently, pauseAfter, spread } from './retries.js'
import { secured } from './security.js'
import { specToWire } from './space.js'
import { Study } from './study.js'

/**
 * @typedef {object} Patience
 * @property {number} [timeout] seconds that one attempt may take; 30 by default.
 * @property {number} [patience] seconds to keep trying while nobody answers; 60 by default.
 */

const CHANNEL = {
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2_000,
  'grpc.max_receive_message_length': 64 * 2 ** 20,
  'grpc.enable_retries': 0, // this client retries, so that its patience is the only one
}

/**
 * A client of the server at HOST:PORT. The connection is opened by the first call.
 * @param {string} [server] else BO_SERVER, else 127.0.0.1:50051.
 * @param {import('./security.js').Security & Patience} [options]
 */
export function connect(server = process.env.BO_SERVER || '127.0.0.1:50051', options = {}) {
  return new Client(server, options)
}

/** Studies on one server. Everything that runs at the same time may share a client. */
export class Client {
  /** @param {string} address @param {import('./security.js').Security & Patience} options */
  constructor(address, { timeout = 30, patience = 60, ...security }) {
    if (!/:\d+$/.test(address)) throw invalid('server', `is '${address}'; give HOST:PORT, such as 127.0.0.1:50051`)
    this.address = address
    this.timeout = timeout
    this.patience = patience
    this.security = secured(address, security)
    /** @type {Record<string, any>} */
    this.stub = new OptimizationService(address, this.security.channel, { ...CHANNEL, ...this.security.options })
  }

  /** Closes the connection. */
  close() {
    this.stub.close()
  }

  /**
   * Creates a study, or finds the one that has this id and the same definition.
   * @param {string} id
   * @param {import('./space.js').Definition & { displayName?: string, labels?: Record<string, string> }} definition
   */
  async createStudy(id, { displayName = '', labels = {}, ...definition }) {
    const study = { spec: specToWire(definition), displayName, labels }
    const answer = await this.call('CreateStudy', { studyId: id, study, requestId: randomUUID() })
    return new Study(this, answer.study)
  }

  /** The study of that id. @param {string} id */
  async study(id) {
    const answer = await this.call('GetStudy', { name: `studies/${id}` })
    return new Study(this, answer.study)
  }

  /** All studies, by id. */
  async *studies() {
    for await (const wire of this.pages('ListStudies', {}, 'studies')) yield new Study(this, wire)
  }

  /** Deletes a study with all of its trials. @param {string} id */
  async deleteStudy(id) {
    await this.call('DeleteStudy', { name: `studies/${id}`, requestId: randomUUID() })
  }

  /**
   * The answer to any request of the contract, in camelCase. While nobody answers, the same request with the same
   * `requestId` is tried again. So it is where the server has too many calls and says when to try again: for `timeout`
   * seconds where that is given, else for as long as the client is patient.
   * @param {string} method
   * @param {Record<string, any>} request
   * @param {Patience} [limits]
   * @returns {Promise<any>}
   */
  call(method, request, { timeout, patience = this.patience } = {}) {
    const limit = timeout ?? this.timeout
    return patiently((left = limit) => this.attempt(method, request, Math.min(limit, left)), patience, {
      deadline: timeout ?? Math.max(limit, patience),
      isUrgent: method === 'ReportMeasurements',
    })
  }

  /** @param {string} method @param {Record<string, any>} request @param {number} timeout @returns {Promise<any>} */
  attempt(method, request, timeout) {
    const metadata = this.security.metadata(request.requestId || randomUUID())
    const deadline = Date.now() + timeout * 1000
    return new Promise((resolve, reject) => {
      const settle = (/** @type {any} */ error, /** @type {any} */ answer) =>
        error ? reject(errorOf(error, this.address)) : resolve(answer)
      this.stub[method](request, metadata, { deadline }, settle)
    })
  }

  /**
   * What the pages of a list hold, one after the other.
   * @param {string} method @param {Record<string, any>} request @param {string} field
   */
  async *pages(method, request, field) {
    for (let pageToken = '', first = true; first || pageToken; first = false) {
      const page = await this.call(method, { ...request, pageToken })
      yield* page[field]
      pageToken = page.nextPageToken
    }
  }

  /**
   * Answers of WatchStudy from a revision on; after a break it goes on where it was.
   * @param {Record<string, any>} request
   * @param {AbortSignal} [signal] ends it.
   */
  async *watch(request, signal) {
    let heard = performance.now()
    let waits = delays()
    let pauses = spread()
    while (!signal?.aborted) {
      try {
        for await (const answer of this.stream('WatchStudy', request, signal)) {
          ;[heard, waits, pauses] = [performance.now(), delays(), spread()]
          if (answer.revision === request.afterRevision) continue
          request = { ...request, afterRevision: answer.revision }
          yield answer
        }
        if (signal?.aborted) return
        throw new BoError('the server has ended the stream, as it does when it shuts down', 'UNAVAILABLE')
      } catch (error) {
        if (signal?.aborted) return
        const pause = pauseAfter(error, pauses)
        const delay = (pause ?? Number(waits.next().value)) * 1000
        const isOver = performance.now() + delay > heard + this.patience * 1000
        if (!(error instanceof BoError) || (pause === undefined && !error.isSilence) || isOver) throw error
        await sleep(delay)
      }
    }
  }

  /** @param {string} method @param {Record<string, any>} request @param {AbortSignal} [signal] */
  async *stream(method, request, signal) {
    const call = this.stub[method](request, this.security.metadata(randomUUID()))
    const cancel = () => call.cancel()
    signal?.addEventListener('abort', cancel, { once: true })
    try {
      yield* call
    } catch (error) {
      throw errorOf(/** @type {any} */ (error), this.address)
    } finally {
      signal?.removeEventListener('abort', cancel)
      call.on('error', () => {}) // the end of a call that nobody listens to any more
      call.cancel()
    }
  }
}
