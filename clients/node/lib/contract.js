/** The contract, loaded from the proto files: the package's own, or those of the repository that this lies in. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { loadPackageDefinition } from '@grpc/grpc-js'
import protoLoader from '@grpc/proto-loader'

const own = fileURLToPath(new URL('../proto', import.meta.url))
const repository = fileURLToPath(new URL('../../../proto', import.meta.url))
const root = existsSync(`${own}/bo_api`) ? own : repository

// The contract's whole numbers stay below 2^53, but for seeds, which this client sends and never computes with.
const options = { longs: Number, enums: String, defaults: true, arrays: true, objects: true, oneofs: true }

const contract = protoLoader.loadSync('bo_api/v1/optimization_service.proto', { ...options, includeDirs: [root] })
const details = protoLoader.loadSync(fileURLToPath(new URL('status.proto', import.meta.url)), {
  ...options,
  keepCase: false,
})

/** @type {any} */
const loaded = loadPackageDefinition(contract)
/** @type {import('@grpc/grpc-js').ServiceClientConstructor} */
export const OptimizationService = loaded.bo_api.v1.OptimizationService

/**
 * @param {string} name
 * @returns {(bytes: Buffer) => any}
 */
function decoder(name) {
  const found = /** @type {any} */ (details[`google.rpc.${name}`])
  return (bytes) => found.deserialize(bytes)
}

/** @type {(bytes: Buffer) => { details: { typeUrl: string, value: Buffer }[] }} */
export const decodeStatus = decoder('Status')
/** @type {(bytes: Buffer) => { reason: string, metadata: Record<string, string> }} */
export const decodeErrorInfo = (bytes) => {
  const { reason, metadata } = decoder('ErrorInfo')(bytes)
  return { reason, metadata: { ...metadata } }
}
/** @type {(bytes: Buffer) => { fieldViolations: { field: string, description: string }[] }} */
export const decodeBadRequest = (bytes) => decoder('BadRequest')(bytes)
/** @type {(bytes: Buffer) => { retryDelay: { seconds: number, nanos: number } | null }} */
export const decodeRetryInfo = (bytes) => decoder('RetryInfo')(bytes)
