// The header: its fixed part and its optional fields
import { crc32c, u32, utf8, hex, Cursor } from './bytes.js'
import { Cut, Damage, Refusal } from './errors.js'

export const MAGIC = Uint8Array.of(0xf5, 0x47, 0x52, 0x49, 0x54, 0x0d, 0x0a)
// Do the first `count` bytes of the magic stand at pos
export const isMagic = (b, pos, count = 7) => { for (let i = 0; i < Math.min(count, 7); i++) if (b[pos + i] !== MAGIC[i]) return false; return true }
const LIMITS = Object.entries({ sampleRate: [1, 768000], channels: [1, 255], samples: [0, 2 ** 42 - 1], stages: [1, 63], packetFrames: [1, 512], frameRate: [1, 16383], extra: [0, 65535] })
export const MOST = 2 ** 42 - 2 // samples

export const blockBytes = (h, frames) => Math.ceil((h.channels * frames * h.codeBits) / 8)

// The fixed part as it stands, limits unchecked
export function fixedPart(b, pos, end) {
  if (!isMagic(b, pos)) throw new Damage('not the magic')
  const c = new Cursor(b, pos + 8, end)
  const h = { at: pos, version: b[pos + 7], fingerprint: c.bytes(8, 'fingerprint') }
  for (const name of ['sampleRate', 'channels', 'samples']) h[name] = c.varint(name)
  const byte = c.byte('coding')
  h.coding = byte >> 4
  h.codeBits = (byte & 15) + 1
  for (const name of ['stages', 'packetFrames', 'frameRate', 'extra']) h[name] = c.varint(name)
  h.crcAt = c.pos + h.extra
  return h
}
export function outside(h) { // what is out of its limits, or null
  for (const [name, [low, high]] of LIMITS) if (h[name] < low || h[name] > high) return `${name} is ${h[name]}`
  if (blockBytes(h, h.packetFrames) * h.stages > 2 ** 20) return 'a packet may take more than 2^20 bytes'
  return null
}

// Damage: the bytes are wrong. Refusal: the CRC is right, so somebody meant it.
export function parseHeader(b, pos = 0, end = b.length) {
  const h = fixedPart(b, pos, end)
  if (h.crcAt + 4 > end) throw new Cut('header cut')
  if (crc32c(b, pos, h.crcAt) !== u32(b, h.crcAt)) throw new Damage(h.version === 1 ? 'header CRC' : `version ${h.version}`)
  if (h.version !== 1) throw new Refusal(`version ${h.version}`)
  const wrong = outside(h)
  if (wrong) throw new Refusal(`header: ${wrong}`)
  return finish(h, b.slice(pos, h.crcAt + 4))
}
function finish(h, bytes) {
  h.bytes = bytes
  h.fingerprint = hex(h.fingerprint)
  h.samples = h.samples ? h.samples - 1 : null
  h.frameRate /= 100
  h.end = h.at + bytes.length
  h.start = bytes.length - 4 - h.extra // of the fields, in its own bytes
  Object.assign(h, parseFields(bytes.subarray(h.start, h.start + h.extra)))
  return h
}
// Why a reader refuses a file with this header, or null
export function whyRefused(h) {
  if (h.coding > 2) return `coding ${h.coding} is not known`
  const odd = h.unknown.find((f) => f.required)
  if (odd) return `field ${odd.key} is required and not known`
  if (h.malformed) return h.malformed
  if (h.startTrim > MOST) return `startTrim is ${h.startTrim}`
  if (h.bare) return 'packets without a check (field 9) do not stand in a file'
  return null
}

const bits = (v) => { let n = 0; for (; v; v = (v & (v - 1)) >>> 0) n++; return n }
function parseFields(b) {
  const out = { tags: [], unknown: [], passedOver: [] }
  const seen = (name) => out[name] !== undefined
  const whole = (data) => { const c = new Cursor(data, 0, data.length), v = c.varint('field'); if (c.pos < data.length) throw new Damage('field too long'); return v }
  const samples = (data) => { const v = whole(data); if (v > 2 ** 42 - 2) throw new Refusal(`header: ${v} samples`); return v }
  const view = (data) => new DataView(data.buffer, data.byteOffset, data.length)
  const fixed = (n, read) => (data) => { if (data.length !== n) throw new Damage('length'); return read(view(data)) }
  const KNOWN = {
    2: ['startTime', fixed(8, (v) => v.getBigInt64(0, true))],
    5: ['keyFrames', (d) => whole(d) || (() => { throw new Damage('0') })()],
    6: ['startTrim', samples],
    10: ['firstSegment', samples],
    8: ['encoder', utf8],
    9: ['bare', fixed(0, () => true)],
    12: ['channelMask', fixed(4, (v) => v.getUint32(0, true))],
    16: ['gain', fixed(2, (v) => v.getInt16(0, true))],
  }
  const c = new Cursor(b, 0, b.length)
  while (c.pos < b.length) {
    let key, data
    try {
      key = c.varint('key')
      data = c.bytes(c.varint('length'), 'field')
    } catch (e) {
      if (!(e instanceof Damage)) throw e
      out.malformed = `optional fields: ${e.message}`
      break
    }
    if (key === 4) {
      const text = utf8(data), eq = text.indexOf('=')
      out.tags.push(eq < 0 ? [text, ''] : [text.slice(0, eq), text.slice(eq + 1)])
    } else if (KNOWN[key]) {
      const [name, read] = KNOWN[key]
      try {
        const value = read(data)
        if (seen(name)) out.passedOver.push({ key, why: 'not the first' })
        else out[name] = value
      } catch (e) {
        if (!(e instanceof Damage)) throw e
        if (key & 1) out.malformed ??= `field ${key} is required and malformed`
        out.passedOver.push({ key, why: e.message })
      }
    } else out.unknown.push({ key, length: data.length, data, required: !!(key & 1), safeToCopy: !(key & 2) })
  }
  return out
}
// The mask, if its bits are as many as the channels
export const channelMask = (h) => (h.channelMask !== undefined && bits(h.channelMask) === h.channels ? h.channelMask : null)

