// Items (packet, pause, chunk) and the end, each as it stands at a place: parsed or null
import { positionOf, crc32c, u32, utf8, unzigzag, equal, Cursor } from './bytes.js'
import { Cut, Damage, Refusal } from './errors.js'
import { parseHeader, blockBytes, isMagic, MOST } from './header.js'

// There are too few bytes to tell
export const CUT = Symbol('cut')

// What the bytes at pos would be, without a look at the check: {kind, at, checkAt, end, frames, ...}, null for nothing, or CUT
export function layout(b, pos, h) {
  const c = new Cursor(b, pos, b.length)
  try {
    const mark = c.byte('mark')
    let item
    if (mark & 0x40) item = packet(c, mark, h)
    else if (mark === 0x81) {
      item = { kind: 'pause', frames: c.varint('frames') }
      const size = c.varint('size')
      if (item.frames < 1 || item.frames > 4096 || size > 32) return null
      item.noise = [...c.bytes(size, 'noise')]
    } else if (mark !== 0x80 && mark & 0xbf) {
      const length = c.varint('length')
      if (length > 65535) return null
      item = { kind: 'chunk', frames: 0, mark, required: mark >= 0x82, safeToCopy: !(mark & 0x20), payload: c.bytes(length, 'payload') }
      item.known = mark === 0x21 || mark === 0x22
    }
    if (!item) return null
    item.at = pos
    item.checkAt = c.pos
    c.bytes(4, 'check')
    item.end = c.pos
    return item
  } catch (e) {
    if (e instanceof Damage) return e instanceof Cut ? CUT : null
    throw e
  }
}
function packet(c, mark, h) {
  const stages = mark & 63, short = (mark & 0x80) !== 0
  if (!stages || stages > h.stages) return null
  const frames = short ? c.varint('frames') : h.packetFrames
  if (frames < 1 || frames > h.packetFrames) return null
  const plain = blockBytes(h, frames)
  const p = { kind: 'packet', stages, frames, short }
  if (h.coding === 0) {
    p.body = c.pos
    c.bytes(Math.ceil((stages * h.channels * frames * h.codeBits) / 8), 'body')
  } else if (h.coding === 1) {
    p.blocks = savings(c, stages, plain)
    if (!p.blocks) return null
    for (const block of p.blocks) { block.at = c.pos; c.bytes(block.length, 'block') }
  } else {
    const length = c.varint('length')
    if (length < 1 || length > Math.ceil((stages * h.channels * frames * h.codeBits) / 8)) return null
    p.chain = { at: c.pos, length }
    c.bytes(length, 'block')
  }
  return p
}
// Half bytes: for each stage the difference of its saving and the last one's
function savings(c, stages, plain) {
  const blocks = []
  let rest = -1, last = Math.floor(plain / 3)
  const half = () => {
    if (rest >= 0) { const low = rest; rest = -1; return low }
    const byte = c.byte('savings')
    rest = byte & 15
    return byte >> 4
  }
  for (let s = 0; s < stages; s++) {
    let x = half()
    if (x < 15) last += x - 7
    else {
      let value = 0, i = 0
      do {
        if (i === 8) return null
        x = half()
        value += (x & 7) * 8 ** i++
      } while (x & 8)
      last += unzigzag(value)
    }
    if (last < 0 || last > plain) return null
    blocks.push({ plain: last === 0, length: plain - last })
  }
  return blocks
}
export function parseItem(b, pos, h) {
  const item = layout(b, pos, h)
  if (item && item !== CUT) item.position = positionOf(b, pos, item.checkAt)
  return item
}
// The payload of a chunk that is known; null if it is malformed
export function chunkValue(item) {
  const c = new Cursor(item.payload, 0, item.payload.length)
  try {
    if (item.mark === 0x21) return { sample: c.varint('sample'), name: utf8(item.payload.subarray(c.pos)) }
    const value = { samples: c.varint('samples'), startTrim: c.varint('start trim'), more: item.payload.length - c.pos }
    return value.samples > MOST || value.startTrim > MOST ? null : value
  } catch (e) {
    if (e instanceof Damage) return null
    throw e
  }
}

// The end at pos, null for none, or CUT
export function parseEnd(b, pos) {
  if (pos >= b.length) return CUT
  if (b[pos] !== 0x80) return null
  if (!isMagic(b, pos + 1)) return isMagic(b, pos + 1, b.length - pos - 1) ? CUT : null
  try {
    const header = parseHeader(b, pos + 1)
    if (header.samples === null) return null
    const c = new Cursor(b, header.end, b.length)
    const end = { at: pos, header, steps: [] }
    for (const name of ['before', 'frames', 'packets', 'chunks', 'splices']) end[name] = c.varint(name)
    const steps = Math.floor(Math.max(end.packets - 1, 0) / 8)
    for (let i = 0; i < steps; i++) {
      const bytes = c.varint('step')
      end.steps.push({ bytes, frames: 8 * header.packetFrames + unzigzag(c.varint('step')) })
    }
    end.end = c.pos + 8
    if (end.end > b.length) return CUT
    end.length = u32(b, c.pos)
    if (end.length !== end.end - pos) return null
    return crc32c(b, pos, c.pos + 4) === u32(b, c.pos + 4) ? end : null
  } catch (e) {
    if (e instanceof Damage || e instanceof Refusal) return e instanceof Cut ? CUT : null
    throw e
  }
}
// Has an end the index of the file whose header begins at pos, as far as its place tells
export const indexes = (end, pos) => end.before === end.at - pos
// By the length that stands 8 to 5 bytes before the end of the bytes
export function endByLength(b) {
  if (b.length < 8) return null
  const at = b.length - u32(b, b.length - 8)
  const end = at >= 0 ? parseEnd(b, at) : null
  return end && end !== CUT && end.end === b.length ? end : null
}
// The first one that is right, wherever it stands
export function firstEnd(b, from) {
  for (let p = b.indexOf(0x80, from); p >= 0; p = b.indexOf(0x80, p + 1)) {
    const end = parseEnd(b, p)
    if (end && end !== CUT) return end
  }
  return null
}
// Is a copy of the header in an end this header? Only the number of samples may differ, and only where the header's is unknown.
export function sameHeader(h, copy) {
  if (h.fromEnd) return equal(h.bytes, copy.bytes)
  if (h.samples !== null) return equal(h.bytes, copy.bytes)
  const rest = (x) => JSON.stringify([x.fingerprint, x.sampleRate, x.channels, x.coding, x.codeBits, x.stages, x.packetFrames, x.frameRate])
  return rest(h) === rest(copy) && equal(h.bytes.subarray(h.start, h.start + h.extra), copy.bytes.subarray(copy.start, copy.start + copy.extra))
}
