// CRC32C forwards and backwards, varints, text
import { Cut, Damage } from './errors.js'

const TABLE = new Int32Array(256)
const BACK = new Uint8Array(256) // which table entry has this top byte
for (let i = 0; i < 256; i++) {
  let c = i
  for (let j = 0; j < 8; j++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1
  TABLE[i] = c
}
for (let i = 0; i < 256; i++) BACK[TABLE[i] >>> 24] = i

/** The CRC register, before the final XOR. @param {ArrayLike<number>} b @param {number} from @param {number} to */
export function register(b, from, to, reg = -1) {
  for (let i = from; i < to; i++) reg = TABLE[(reg ^ b[i]) & 255] ^ (reg >>> 8)
  return reg
}
/** The register before b[from] of the one after b[to - 1]. @param {ArrayLike<number>} b @param {number} from @param {number} to @param {number} reg */
export function backwards(b, from, to, reg) {
  for (let i = to - 1; i >= from; i--) {
    const index = BACK[reg >>> 24]
    reg = ((reg ^ TABLE[index]) << 8) | (index ^ b[i])
  }
  return reg
}
/** The byte that leads from one register to the other, or -1. @param {number} before @param {number} after */
export function between(before, after) {
  const index = BACK[(after ^ (before >>> 8)) >>> 24]
  return (TABLE[index] ^ (before >>> 8)) === (after | 0) ? (index ^ before) & 255 : -1
}
/** @param {ArrayLike<number>} b */
export const crc32c = (b, from = 0, to = b.length) => ~register(b, from, to) >>> 0
/** @param {ArrayLike<number>} b @param {number} p */
export const u32 = (b, p) => (b[p] | (b[p + 1] << 8) | (b[p + 2] << 16) | (b[p + 3] << 24)) >>> 0

const FOUR = new Uint8Array(4)
/** The position (modulo 2^32) for which the check at `at` is that of the bytes from `from` up to it. @param {Uint8Array} b @param {number} from @param {number} at */
export const positionOf = (b, from, at) => (backwards(FOUR, 0, 4, ~u32(b, at)) ^ register(b, from, at)) >>> 0

/** Reads fields one after the other; throws Damage, and Cut where the bytes end too soon. */
export class Cursor {
  /** @param {Uint8Array} b @param {number} pos @param {number} end */
  constructor(b, pos, end) {
    this.b = b
    this.pos = pos
    this.end = end
  }
  /** @param {string} what */
  byte(what) {
    if (this.pos >= this.end) throw new Cut(`${what} cut`)
    return this.b[this.pos++]
  }
  /** @param {number} n @param {string} what */
  bytes(n, what) {
    if (this.pos + n > this.end) throw new Cut(`${what} cut`)
    this.pos += n
    return this.b.subarray(this.pos - n, this.pos)
  }
  /** @param {string} what */
  varint(what) {
    let value = 0, scale = 1
    for (let i = 0; i < 7; i++, scale *= 128) {
      const byte = this.byte(what)
      value += (byte & 127) * scale
      if (byte < 128) {
        if (!byte && i) throw new Damage(`${what}: varint with a zero last byte`)
        return value
      }
    }
    throw new Damage(`${what}: varint of more than 7 bytes`)
  }
}
/** @param {number} u */
export const unzigzag = (u) => (u % 2 ? -(u + 1) / 2 : u / 2)
/** @param {number} v */
export const zigzag = (v) => (v < 0 ? -2 * v - 1 : 2 * v)
/** @param {number} v */
export function varint(v) {
  const out = []
  for (; v >= 128; v = Math.floor(v / 128)) out.push((v % 128) + 128)
  out.push(v)
  return out
}
/** An integer of four bytes, lowest first. @param {number} v */
export const le32 = (v) => [v & 255, (v >>> 8) & 255, (v >>> 16) & 255, (v >>> 24) & 255]
const decoder = new TextDecoder('utf-8', { ignoreBOM: true }), encoder = new TextEncoder()
/** @param {Uint8Array} b */
export const utf8 = (b) => decoder.decode(b)
/** @param {string} text */
export const toUtf8 = (text) => encoder.encode(text)
/** @param {ArrayLike<number>} b */
export const hex = (b) => Array.from(b, (v) => v.toString(16).padStart(2, '0')).join('')
/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
export function equal(a, b) {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
/** @param {ArrayLike<number>[]} parts */
export function joined(parts) {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0))
  let at = 0
  for (const p of parts) { out.set(p, at); at += p.length }
  return out
}

/** Bytes of any buffer or view, as a plain Uint8Array of the same memory: `slice` of a Buffer of Node would not copy. @param {ArrayBuffer | ArrayBufferView} source */
export function asBytes(source) {
  if (source instanceof ArrayBuffer) return new Uint8Array(source)
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
  throw new TypeError('bytes are a Uint8Array or an ArrayBuffer')
}
