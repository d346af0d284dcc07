// A safetensors file: tensors by their names, and what the package wrote about the model
import { ModelError } from './errors.js'

/**
 * @typedef {object} Tensor
 * @property {string} type as safetensors names it
 * @property {number[]} shape
 * @property {Uint8Array} bytes
 */

/**
 * @typedef {object} About what a model is, beside its weights
 * @property {string} name
 * @property {string} fingerprint 16 hexadecimal digits
 * @property {number} rate samples a second
 * @property {number} hop samples of a frame
 * @property {number} step samples of a step
 * @property {number} window samples of the transforms' windows
 * @property {number} stages
 * @property {number} size codes of a stage
 * @property {number} dim
 * @property {number[]} coarse channels and blocks of the decoder's level at frames
 * @property {number[]} fine the same at steps
 * @property {number[]} encoderCoarse
 * @property {number[]} encoderFine
 * @property {number} expansion
 * @property {boolean} [logMagnitudes] whether the encoder is given the logarithm of the magnitudes too
 * @property {number} beam paths of the search
 * @property {number[]} rateWeight of each stage
 */

/** Weights as they are, or packed by gzip: a tenth less to fetch. Servers may have unpacked them. @param {Uint8Array<ArrayBuffer>} b */
export async function unpacked(b) {
  // No safetensors file begins so: the length of its head, a multiple of eight, would be odd.
  if (b[0] !== 0x1f || b[1] !== 0x8b || b[2] !== 8) return b
  try {
    return new Uint8Array(await new Response(new Blob([b]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer())
  } catch (error) {
    throw new ModelError(`the weights cannot be unpacked: ${error instanceof Error ? error.message : error}`)
  }
}

/** The file's tensors, which share its bytes, and its metadata. @param {Uint8Array} b */
export function readTensors(b) {
  try {
    const view = new DataView(b.buffer, b.byteOffset, b.byteLength)
    const start = 8 + Number(view.getBigUint64(0, true))
    const head = JSON.parse(new TextDecoder().decode(b.subarray(8, start)))
    /** @type {Record<string, Tensor>} */
    const tensors = {}
    let end = start
    for (const [name, entry] of Object.entries(head)) {
      if (name === '__metadata__') continue
      const [from, to] = entry.data_offsets
      tensors[name] = { type: entry.dtype, shape: entry.shape, bytes: b.subarray(start + from, start + to) }
      end = Math.max(end, start + to)
    }
    if (end !== b.length) throw new Error(`${b.length} bytes, and not ${end}`)
    return { tensors, metadata: /** @type {Record<string, string>} */ (head.__metadata__ ?? {}) }
  } catch (error) {
    throw new ModelError(`the weights cannot be read: ${error instanceof Error ? error.message : error}`)
  }
}

/** @param {Record<string, string>} metadata @returns {About} */
export function aboutOf(metadata) {
  if (!metadata.gritcodec) throw new ModelError('these weights do not say what model they are of: take those that `gritcodec page` writes')
  return JSON.parse(metadata.gritcodec)
}

/** Numbers of a tensor as float32. @param {Tensor | undefined} tensor @param {string} name */
export function floatsOf(tensor, name) {
  if (!tensor) throw new ModelError(`no ${name} in the weights`)
  const b = tensor.bytes.slice()
  if (tensor.type === 'F32') return new Float32Array(b.buffer)
  if (tensor.type === 'F16') return Float32Array.from(new Uint16Array(b.buffer), half)
  throw new ModelError(`${name} is of type ${tensor.type}`)
}
/** @param {number} u bits of a float16 */
function half(u) {
  const sign = u & 0x8000 ? -1 : 1, exponent = (u >> 10) & 31, fraction = u & 1023
  return exponent ? sign * (1 + fraction / 1024) * 2 ** (exponent - 15) : sign * fraction * 2 ** -24
}
