// How many stages each packet keeps, so that a file stays within its bitrate: what the package does, byte for byte
import { blockBytes } from './header.js'
import { headerBytes, Index, partBytes, savingsBytes, assemble, Writer } from './write.js'
import { asBytes, joined } from './bytes.js'
import { Refusal } from './errors.js'

/** @typedef {import('./write.js').Part} Part */
/** @typedef {import('./write.js').PacketPart} PacketPart */
/** @typedef {Omit<import('./types.js').Header, 'at' | 'end' | 'bytes' | 'start' | 'passedOver'>} Header */

const LEAST_SECONDS = 10, LIVE_SECONDS = 9, SLACK = 1e-6, USUAL_FRAMES = 64

/** Stages whose codes alone do not exceed a bitrate. @param {Header} h @param {number} kbps a channel */
export const nominalStages = (h, kbps) => Math.floor(((kbps + SLACK) * 1000) / (h.codeBits * h.frameRate))
/** kbps of one stage. @param {{codeBits: number, frameRate: number}} h */
export const stageKbps = (h) => (h.codeBits * h.frameRate) / 1000
/** @param {Header} h */
const isShort = (h) => (h.samples ?? 0) < LEAST_SECONDS * h.sampleRate
/** The most stages that any packet can have. @param {Header} h @param {number} kbps @param {boolean} short */
export function neededStages(h, kbps, short) {
  const stages = nominalStages(h, kbps), more = !short && kbps - stages * stageKbps(h) > SLACK ? 1 : 0
  return Math.max(stages + more, 1) * (h.coding ? 2 : 1)
}

/** Blocks of a body of coding 1: where they begin, and their lengths. @param {PacketPart} part @param {Header} h */
function blocksOf({ body, stages, frames }, h) {
  const plain = blockBytes(h, frames), lengths = []
  let half = 0, last = Math.floor(plain / 3)
  const next = () => { const byte = body[half >> 1]; return half++ % 2 ? byte & 15 : byte >> 4 }
  for (let s = 0; s < stages; s++) {
    let x = next()
    if (x < 15) last += x - 7
    else {
      let value = 0, i = 0
      do { x = next(); value += (x & 7) * 8 ** i++ } while (x & 8)
      last += value % 2 ? -(value + 1) / 2 : value / 2
    }
    lengths.push(plain - last)
  }
  return { at: (half + 1) >> 1, lengths, plain }
}
/** Bytes of a body with 1, 2, ... stages. @param {PacketPart} part @param {Header} h */
export function sizes(part, h) {
  if (h.coding === 0) return Array.from({ length: part.stages }, (_, s) => Math.ceil(((s + 1) * h.channels * part.frames * h.codeBits) / 8))
  const { lengths, plain } = blocksOf(part, h), told = lengths.map((n) => plain - n)
  let total = 0
  return lengths.map((n, s) => { total += n; return savingsBytes(told.slice(0, s + 1), plain).length + total })
}
/** A packet with its first stages. @param {PacketPart} part @param {number} keep @param {Header} h @returns {PacketPart} */
export function cut(part, keep, h) {
  if (keep >= part.stages) return part
  if (h.coding === 0) {
    const bits = keep * h.channels * part.frames * h.codeBits, body = part.body.slice(0, Math.ceil(bits / 8))
    if (bits % 8) body[body.length - 1] &= 0xff00 >> bits % 8
    return { ...part, stages: keep, body }
  }
  const { at, lengths, plain } = blocksOf(part, h), kept = lengths.slice(0, keep)
  const head = savingsBytes(kept.map((n) => plain - n), plain), length = kept.reduce((a, b) => a + b, 0), body = new Uint8Array(head.length + length)
  body.set(head)
  body.set(part.body.subarray(at, at + length), head.length)
  return { ...part, stages: keep, body }
}
/** The place of every packet in the order in which packets get one stage more. @param {number} count */
function spread(count) {
  const keys = Array.from({ length: count }, (_, n) => { let k = 0; for (let i = 0; i < 32; i++) if ((n >>> i) & 1) k += 2 ** (31 - i); return k })
  const order = keys.map((_, n) => n).sort((a, b) => keys[a] - keys[b]), place = new Array(count)
  order.forEach((n, i) => { place[n] = i })
  return place
}

/**
 * Bytes that the bodies of a short recording's packets may have: shorter ones than usual pay for what is beside them.
 * @param {Header} h @param {number[]} frames @param {number} stages
 */
function shortBudget(h, frames, stages) {
  if (h.packetFrames >= USUAL_FRAMES) return frames.reduce((n, count) => n + stages * blockBytes(h, count), 0)
  const total = frames.reduce((a, b) => a + b, 0), usual = Math.floor(total / USUAL_FRAMES), rest = total % USUAL_FRAMES
  const bodies = stages * (usual * blockBytes(h, USUAL_FRAMES) + blockBytes(h, rest))
  const beside = frames.reduce((n, count) => n + overheadOf(h, count), 0)
  return bodies - Math.max(beside - (usual + (rest ? 1 : 0)) * overheadOf(h, h.packetFrames), 0)
}
/** Bytes of a packet beside its body. @param {Header} h @param {number} frames */
const overheadOf = (h, frames) => (frames === h.packetFrames ? 5 : frames < 128 ? 6 : 7)

/**
 * A whole file that keeps to a bitrate, by leaving out stages of some packets.
 * @param {Header} h with the number of samples @param {Part[]} parts @param {number} kbps a channel
 */
export function assembleWithin(h, parts, kbps) {
  const packets = /** @type {PacketPart[]} */ (parts.filter((p) => p.kind === 'packet')), short = isShort(h)
  const most = neededStages(h, kbps, short), tables = packets.map((p) => sizes(p, h).slice(0, most)), order = spread(packets.length)
  /** @param {number} total */
  const stagesOf = (total) => packets.map((_, i) => Math.min(Math.floor(total / packets.length) + (order[i] < total % packets.length ? 1 : 0), tables[i].length))
  const limit = short
    ? shortBudget(h, packets.map((p) => p.frames), Math.max(nominalStages(h, kbps), 1))
    : Math.floor((Math.floor(kbps * 1000 + 1000 * SLACK) * h.channels * (h.samples ?? 0)) / (8 * h.sampleRate))
  const others = parts.map((p) => (p.kind === 'packet' ? 0 : partBytes(p, 0, h.packetFrames).length)), head = headerBytes(h)
  const overhead = packets.map((p) => overheadOf(h, p.frames))
  /** @param {number[]} chosen */
  const size = (chosen) => {
    if (short) return chosen.reduce((n, k, i) => n + tables[i][k - 1], 0)
    const index = new Index()
    let next = 0
    parts.forEach((p, i) => {
      if (p.kind !== 'packet') return index.add(p, others[i])
      index.add(p, tables[next][chosen[next] - 1] + overhead[next])
      next++
    })
    return head.length + index.size + index.ending(head, head.length, h.packetFrames).length
  }
  let low = packets.length, high = tables.reduce((n, t) => n + t.length, 0)
  while (low < high) {
    const middle = Math.floor((low + high + 1) / 2)
    if (size(stagesOf(middle)) <= limit) low = middle
    else high = middle - 1
  }
  const chosen = stagesOf(low)
  let next = 0
  return assemble(h, parts.map((p) => (p.kind === 'packet' ? cut(p, chosen[next++], h) : p)))
}

/** A file whose length nobody knows yet, within its bitrate at every moment from 10 s on. */
export class LiveWriter extends Writer {
  /** @param {Header} header its stages are the most that a packet may have @param {number} kbps a channel */
  constructor(header, kbps) {
    super(header)
    this.kbps = kbps
    this.spent = 0
  }
  /** Bytes that the body of a packet may have next. @param {number} frames */
  room(frames) {
    const h = this.header, { index, head } = this, total = index.frames + frames, seconds = total / h.frameRate
    // Header, end with its copy, the last packet's filling up, and a block for what the decoder's delay costs.
    const fixed = 2 * (head.length + 8) + 28 + h.channels + blockBytes(h, h.packetFrames), table = ((index.packets + 1) * 6) / 8
    return ((this.kbps + SLACK) * 125 * h.channels * total) / h.frameRate - fixed * Math.min(seconds / LIVE_SECONDS, 1) - table - 5 - this.spent
  }
  /** A packet gets as many stages as there is room for, but for chained ones, which were made so. @param {Part} part */
  add(part) {
    if (part.kind === 'packet' && this.header.coding !== 2) {
      const room = this.room(part.frames), keep = sizes(part, this.header).slice(0, this.header.stages).filter((size) => size <= room).length
      part = cut(part, Math.max(keep, 1), this.header)
    }
    const bytes = super.add(part)
    this.spent += bytes.length
    return bytes
  }
}

/**
 * The file that compressing at a lower bitrate would have given, by leaving out bytes: no model is needed.
 * @param {Uint8Array | ArrayBuffer} bytes of a sound file @param {import('./types.js').File} file as it was read @param {number} kbps a channel
 */
export function peel(bytes, file, kbps) {
  if (!Number.isFinite(kbps)) throw new RangeError(`a bitrate is a number of kbps, not ${kbps}`)
  if (file.refused || file.damage.length || !file.end) throw new Refusal('only a file that is whole can be peeled')
  if (file.header.coding === 2) throw new Refusal('the packets of this live stream depend on each other: stages cannot be left out')
  const h = { ...file.header, samples: file.samples, unknown: file.header.unknown.filter((f) => f.safeToCopy) }
  const stages = nominalStages(h, kbps)
  if (stages < 1 || stages > h.stages) throw new Refusal(`the file can be peeled to ${stageKbps(h)} ... ${h.stages * stageKbps(h)} kbps, not to ${kbps}`)
  const parts = partsOf(asBytes(bytes), file)
  if (file.header.samples !== null) return assembleWithin(h, parts, kbps)
  // A live stream's header names the most stages that its packets could have, not those that they came to have.
  const writer = new LiveWriter({ ...h, samples: null, stages: Math.min(neededStages(h, kbps, true), h.stages) }, stages * stageKbps(h))
  return joined([writer.begin(), ...parts.map((p) => writer.add(p)), writer.finish(h.samples)])
}
/** What a writer takes. @param {Uint8Array} b @param {import('./types.js').File} file @returns {Part[]} */
export function partsOf(b, file) {
  return file.items.flatMap((item) => /** @type {Part[]} */ (
    item.kind === 'packet' ? [{ kind: 'packet', stages: item.stages, frames: item.frames, body: b.slice(bodyAt(item), item.checkAt) }]
      : item.kind === 'pause' ? [{ kind: 'pause', frames: item.frames, noise: item.noise }]
        : item.known || item.safeToCopy ? [{ kind: 'chunk', mark: item.mark, payload: item.payload }] : []))
}
/** @param {import('./types.js').Item} item */
const bodyAt = (item) => item.at + 1 + (item.short ? (item.frames < 128 ? 1 : 2) : 0)
