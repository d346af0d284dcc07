// Headers, items and ends into bytes
import { crc32c, joined, le32, register, toUtf8, varint, zigzag } from './bytes.js'
import { MAGIC } from './header.js'

/** @typedef {import('./types.js').Header} Header */

const STEP = 8
/** @typedef {{kind: 'packet', stages: number, frames: number, body: Uint8Array}} PacketPart */
/** @typedef {{kind: 'pause', frames: number, noise: ArrayLike<number>}} PausePart */
/** @typedef {{kind: 'chunk', mark: number, payload: Uint8Array}} ChunkPart */
/** @typedef {PacketPart | PausePart | ChunkPart} Part what a file is made of */

/** Fields of a header, by their keys. @param {Partial<Header>} h @returns {[number, ArrayLike<number>][]} */
function fields(h) {
  /** @type {[number, ArrayLike<number>][]} */
  const found = (h.tags ?? []).map(([name, value]) => [4, toUtf8(`${name}=${value}`)])
  if (h.startTime !== undefined) found.push([2, new Uint8Array(BigInt64Array.of(h.startTime).buffer)])
  if (h.keyFrames) found.push([5, varint(h.keyFrames)])
  if (h.startTrim) found.push([6, varint(h.startTrim)])
  if (h.encoder !== undefined) found.push([8, toUtf8(h.encoder)])
  if (h.firstSegment !== undefined) found.push([10, varint(h.firstSegment)])
  if (h.channelMask !== undefined) found.push([12, le32(h.channelMask)])
  if (h.gain !== undefined) found.push([16, [h.gain & 255, (h.gain >> 8) & 255]])
  for (const { key, data } of h.unknown ?? []) found.push([key, data])
  return found.map((f, i) => ({ f, i })).sort((a, b) => a.f[0] - b.f[0] || a.i - b.i).map(({ f }) => f)
}
/** A header's bytes. @param {Omit<Header, 'at' | 'end' | 'bytes' | 'start' | 'passedOver'>} h */
export function headerBytes(h) {
  const extra = fields(h).flatMap(([key, data]) => [...varint(key), ...varint(data.length), ...Array.from(data)])
  const fingerprint = Array.from({ length: 8 }, (_, i) => parseInt(h.fingerprint.slice(2 * i, 2 * i + 2), 16))
  const head = [...MAGIC, 1, ...fingerprint, ...varint(h.sampleRate), ...varint(h.channels), ...varint(h.samples === null ? 0 : h.samples + 1),
    (h.coding << 4) | (h.codeBits - 1), ...varint(h.stages), ...varint(h.packetFrames), ...varint(Math.round(100 * h.frameRate)), ...varint(extra.length), ...extra]
  return Uint8Array.from([...head, ...le32(crc32c(head))])
}
/** @param {ArrayLike<number>} bytes @param {number} position */
function sealed(bytes, position) {
  const place = le32(position % 2 ** 32), check = ~register(place, 0, 4, register(bytes, 0, bytes.length)) >>> 0
  return joined([bytes, le32(check)])
}
/** @param {Part} part @param {number} position @param {number} packetFrames */
export function partBytes(part, position, packetFrames) {
  if (part.kind === 'pause') return sealed([0x81, ...varint(part.frames), ...varint(part.noise.length), ...Array.from(part.noise)], position)
  if (part.kind === 'chunk') return sealed(joined([[part.mark], varint(part.payload.length), part.payload]), position)
  const full = part.frames === packetFrames
  return sealed(joined([full ? [0x40 | part.stages] : [0xc0 | part.stages, ...varint(part.frames)], part.body]), position)
}

/** Counts what the end of a file tells. */
export class Index {
  constructor() {
    this.frames = this.packets = this.chunks = this.splices = this.size = 0
    /** @type {[number, number][]} */
    this.places = [[0, 0]]
  }
  /** @param {Part} part @param {number} size */
  add(part, size) {
    if (part.kind === 'packet') {
      if (this.packets && this.packets % STEP === 0) this.places.push([this.size, this.frames])
      this.packets++
    } else if (part.kind === 'chunk') {
      this.chunks++
      if (part.mark === 0x22) this.splices++
    }
    this.size += size
    this.frames += part.kind === 'chunk' ? 0 : part.frames
  }
  /** @param {Uint8Array} header with the number of samples @param {number} before bytes of the header in front @param {number} packetFrames */
  ending(header, before, packetFrames) {
    const steps = this.places.slice(1).flatMap(([size, frames], i) => [...varint(size - this.places[i][0]), ...varint(zigzag(frames - this.places[i][1] - STEP * packetFrames))])
    const first = joined([[0x80], header, [before + this.size, this.frames, this.packets, this.chunks, this.splices].flatMap(varint), steps])
    const told = joined([first, le32(first.length + 8)])
    return joined([told, le32(crc32c(told))])
  }
}

/** The bytes of one file, in order: `begin`, `add` for every part, `finish`. */
export class Writer {
  /** @param {Omit<Header, 'at' | 'end' | 'bytes' | 'start' | 'passedOver'>} header samples null: not known yet */
  constructor(header) {
    this.header = header
    this.index = new Index()
    this.head = headerBytes(header)
  }
  begin() { return this.head }
  /** @param {Part} part */
  add(part) {
    const bytes = partBytes(part, this.index.frames, this.header.packetFrames)
    this.index.add(part, bytes.length)
    return bytes
  }
  /** @param {number} samples */
  finish(samples) { return this.index.ending(headerBytes({ ...this.header, samples }), this.head.length, this.header.packetFrames) }
}
/** A whole file with all stages of all packets. @param {Omit<Header, 'at' | 'end' | 'bytes' | 'start' | 'passedOver'>} header @param {Part[]} parts */
export function assemble(header, parts) {
  const stages = Math.max(1, ...parts.map((p) => (p.kind === 'packet' ? p.stages : 0)))
  const writer = new Writer({ ...header, stages })
  return joined([writer.begin(), ...parts.map((p) => writer.add(p)), writer.finish(/** @type {number} */ (header.samples))])
}

/** Codes packed plainly, most significant bit first. @param {ArrayLike<number>} codes @param {number} bits */
export function pack(codes, bits) {
  const out = new Uint8Array(Math.ceil((codes.length * bits) / 8))
  let acc = 0, have = 0, at = 0
  for (let i = 0; i < codes.length; i++) {
    acc = ((acc << bits) | codes[i]) & 0xffffff
    have += bits
    while (have >= 8) { have -= 8; out[at++] = acc >>> have }
  }
  if (have) out[at] = acc << (8 - have)
  return out
}
/** Savings in half bytes. @param {number[]} list @param {number} plain bytes of a block that is plain */
export function savingsBytes(list, plain) {
  const halves = []
  let last = Math.floor(plain / 3)
  for (const saving of list) {
    const by = saving - last
    last = saving
    if (by >= -7 && by <= 7) { halves.push(by + 7); continue }
    halves.push(15)
    let z = zigzag(by)
    for (; z > 7; z >>= 3) halves.push((z & 7) | 8)
    halves.push(z)
  }
  if (halves.length % 2) halves.push(0)
  return Uint8Array.from({ length: halves.length / 2 }, (_, i) => halves[2 * i] * 16 + halves[2 * i + 1])
}
