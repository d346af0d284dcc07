// The WebAssembly kernel, and the memory that it works in
import { ModelError } from './errors.js'
import { KERNEL } from './kernel-bytes.js'

const PAGE = 65536, MOST = 2 ** 31

/**
 * @typedef {object} Exports what kernel/index.ts exports
 * @property {(from: number, to: number, outputs: number, inputs: number, scale: number, first: number) => void} panels16
 * @property {(from: number, to: number, outputs: number, inputs: number) => void} panels32
 * @property {(x: number, stride: number, rows: number, w: number, bias: number, inputs: number, outputs: number, y: number, step: number, add: number) => void} linear
 * @property {(x: number, rows: number, n: number, weight: number, bias: number, y: number) => void} norm
 * @property {(x: number, rows: number, n: number, weight: number, bias: number, y: number) => void} depthwise
 * @property {(x: number, count: number) => void} gelu
 * @property {(codes: number, stages: number, frames: number, size: number, dim: number, books: number, z: number) => void} latents
 * @property {(z: number, frames: number, stages: number, all: number, codes: number, size: number, dim: number, books: number, panels: number, minus: number, prices: number, ratios: number, units: number, width: number, scratch: number, out: number) => void} search
 * @property {(frames: number, all: number, size: number, dim: number, width: number) => number} searchBytes
 * @property {(x: number, w: number, bias: number, pairs: number, outputs: number, y: number) => void} products
 * @property {(from: number, to: number, count: number, shift: number, low: number, high: number) => void} squeeze
 * @property {(a: number, n: number, shift: number, powers: number, f: number) => void} frequencies
 * @property {(from: number, to: number) => void} begin
 * @property {(f: number) => number} symbol
 */

/** One instance of the kernel. Memory is handed out and never taken back: it lives as long as its model. */
export class Kernel {
  /** @param {WebAssembly.Instance} instance @param {WebAssembly.Memory} memory */
  constructor(instance, memory) {
    this.memory = memory
    this.run = /** @type {Exports} */ (/** @type {unknown} */ (instance.exports))
    this.top = 1024
  }

  static async load() {
    const bytes = Uint8Array.from(atob(KERNEL), (c) => c.charCodeAt(0))
    // All but SIMD is in every browser that has modules.
    if (typeof WebAssembly === 'undefined' || !WebAssembly.validate(bytes)) throw new Error('this browser is too old: WebAssembly SIMD is needed')
    const memory = new WebAssembly.Memory({ initial: 16 })
    const abort = () => { throw new Error('the kernel stopped') }
    const { instance } = await WebAssembly.instantiate(bytes, { env: { memory, abort } })
    return new Kernel(instance, memory)
  }

  /** Where so many bytes begin, at a multiple of 16. @param {number} bytes @throws {ModelError} there are not so many */
  room(bytes) {
    const at = this.top, top = 16 * Math.ceil((at + bytes) / 16), missing = top - this.memory.buffer.byteLength
    try {
      if (top > MOST) throw new RangeError('more than 2 GiB')
      if (missing > 0) this.memory.grow(Math.ceil(missing / PAGE))
    } catch (error) {
      throw new ModelError(`there is no memory for a model of this size: ${error instanceof Error ? error.message : error}`)
    }
    this.top = top
    return at
  }

  /** Views: valid until the next `room`. @param {number} at @param {number} count */
  floats(at, count) { return new Float32Array(this.memory.buffer, at, count) }
  /** @param {number} at @param {number} count */
  ints(at, count) { return new Int32Array(this.memory.buffer, at, count) }
  /** @param {number} at @param {number} count */
  shorts(at, count) { return new Int16Array(this.memory.buffer, at, count) }
  /** @param {number} at @param {number} count */
  words(at, count) { return new Uint16Array(this.memory.buffer, at, count) }
  /** @param {number} at @param {number} count */
  bytes(at, count) { return new Uint8Array(this.memory.buffer, at, count) }

  /** Put floats into memory of their own. @param {ArrayLike<number>} values @param {number} [size] filled up with zeros */
  putFloats(values, size = values.length) {
    const at = this.room(4 * size)
    const view = this.floats(at, size)
    view.fill(0)
    view.set(values)
    return at
  }
}
