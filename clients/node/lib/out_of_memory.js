/** How errors say that memory ran out: V8's heap, the host or the accelerator. As bo_client/out_of_memory.py does. */

const CLASS_NAMES = /(?:OutOfMemory|ResourceExhausted|ArrayMemory|ArrowMemory|Memory)Error$/
/** Other resources that may be exhausted. */
const NOT_MEMORY = /no space left on device|disk quota|quota exceeded|too many open files/i
/** Nothing else is meant by these, whatever the error's class. */
const SPECIFIC = new RegExp([
  String.raw`\b(?:cuda|hip|mps|xpu|rocm|gpu|metal|device)\b[^\n]{0,60}\bout of memory\b(?! (?:bounds?|map|range|access))`,
  String.raw`\b(?:CUDA|CU|HIP|VK|ZE|UR|CL)[A-Z_]*_OUT_OF_(?:DEVICE_|HOST_)?MEMORY\b`,
  String.raw`\b(?:cuda|hip)Error(?:MemoryAllocation|OutOfMemory)\b`,
  String.raw`\b[A-Z]+_(?:STATUS_)?(?:MEMORY_)?ALLOC(?:ATION)?_FAILED\b`,
  String.raw`resource[_ ]exhausted: [^\n]*(?:\bmemory\b|\ballocat|\bOOM\b|\breserve\b|\d ?[KMGT]i?B\b)`,
  String.raw`\bOOM when allocating\b`,
  String.raw`\bbad_alloc(?:ation)?\b`,
  String.raw`\bcannot allocate memory\b`,
  String.raw`\b(?:array buffer|typed array|wasm|WebAssembly)[^\n]{0,40}\ballocation failed\b`,
  String.raw`\bcould not allocate (?:memory|array buffer)\b`,
  String.raw`\bfailed to allocate (?:[^\n]{0,40}?\bmemory\b|[^\n]{0,40}?\d ?(?:[KMGT]i?)?(?:B|bytes)?\b)`,
  String.raw`\bmemory allocation of \d+ bytes failed`,
  String.raw`\bOutOfMemoryError\b`,
  String.raw`\bERR_(?:WORKER_OUT_OF_MEMORY|MEMORY_ALLOCATION_FAILED)\b`,
  String.raw`\bran out of (?:\w+ )?memory\b`,
  String.raw`\bheap out of memory\b`,
  String.raw`\boom[-_ ]kill`,
].join('|'), 'i')
/** Meant so, except where a programming error quotes it. */
const GENERIC =
  /\bout of memory\b(?=\s*(?:$|[\].,:;!?)('"/]|\b(?:while|when|trying|allocating|on|at|error)\b))|\b(?:not enough|insufficient) (?:\w+ )?memory\b/im
/** Classes whose text may speak of memory without having run out of it. */
const PROGRAMMING_ERRORS = ['AssertionError', 'ReferenceError', 'SyntaxError', 'TypeError', 'URIError']

/**
 * Whether the error, or one of its causes or members, says that memory ran out.
 * @param {unknown} thrown
 */
export function isOutOfMemory(thrown) {
  const seen = new Set()
  const waiting = [thrown]
  while (waiting.length) {
    const part = /** @type {any} */ (waiting.shift())
    if (part === undefined || part === null || seen.has(part)) continue
    seen.add(part)
    if (saysSo(part)) return true
    if (part instanceof Error) waiting.push(part.cause)
    if (part instanceof AggregateError) waiting.push(...part.errors)
  }
  return false
}

/** @param {any} part */
function saysSo(part) {
  if (['ENOMEM', 'ERR_WORKER_OUT_OF_MEMORY', 'ERR_MEMORY_ALLOCATION_FAILED'].includes(part.code)) return true
  const text = part instanceof Error ? part.message : String(part)
  const name = part instanceof Error ? part.name : ''
  const kind = part instanceof Error ? part.constructor.name : ''
  if (NOT_MEMORY.test(text) && !/out of memory/i.test(text)) return false
  if (CLASS_NAMES.test(name) || CLASS_NAMES.test(kind)) return true
  return SPECIFIC.test(text) || (!PROGRAMMING_ERRORS.includes(name) && GENERIC.test(text))
}
