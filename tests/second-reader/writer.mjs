// Writes .grit files for tests, by docs/bitstream.md; shares nothing with the reader
export function crc(bytes) { // bit by bit, from the polynomial as it is printed
  let reg = 0xffffffff
  for (const byte of bytes) for (let i = 0; i < 8; i++) {
    const bit = (reg ^ (byte >> i)) & 1
    reg >>>= 1
    if (bit) reg = (reg ^ 0x82f63b78) >>> 0 // 0x1EDC6F41, reflected
  }
  return (reg ^ 0xffffffff) >>> 0
}
export const le = (v, n = 4) => { const out = []; let u = BigInt.asUintN(8 * n, BigInt(v)); for (let i = 0; i < n; i++) { out.push(Number(u & 255n)); u >>= 8n } return out }
export function varint(v) {
  const out = []
  for (; v >= 128; v = Math.floor(v / 128)) out.push((v % 128) + 128)
  return [...out, v]
}
export const zigzag = (v) => (v < 0 ? -2 * v - 1 : 2 * v)
export const ascii = (s) => [...Buffer.from(s, 'utf8')]
export const MAGIC = [0xf5, 0x47, 0x52, 0x49, 0x54, 0x0d, 0x0a]

export const field = (key, bytes) => [...varint(key), ...varint(bytes.length), ...bytes]
export const FIELDS = {
  startTime: (v) => field(2, le(v, 8)), tag: (s) => field(4, ascii(s)), keyFrames: (v) => field(5, varint(v)), startTrim: (v) => field(6, varint(v)), firstSegment: (v) => field(10, varint(v)),
  encoder: (s) => field(8, ascii(s)), bare: () => field(9, []), channelMask: (v) => field(12, le(v)), gain: (v) => field(16, le(v, 2)),
}
export function header(o) {
  const { version = 1, fingerprint = '0123456789abcdef', rate = 16000, channels = 1, samples = null, coding = 0, bits = 10, stages = 6, packetFrames = 64, frameRate = 5000, fields = [] } = o
  const body = [...MAGIC, version, ...Buffer.from(fingerprint, 'hex'), ...varint(rate), ...varint(channels), ...varint(samples === null ? 0 : samples + 1),
    coding * 16 + bits - 1, ...varint(stages), ...varint(packetFrames), ...varint(frameRate), ...varint(fields.flat().length), ...fields.flat()]
  return [...body, ...le(crc(body))]
}
export function checked(bytes, position) { return [...bytes, ...le(crc([...bytes, ...le(position % 2 ** 32)]))] }

function pack(codes, bits) { // most significant first
  const out = new Array(Math.ceil((codes.length * bits) / 8)).fill(0)
  codes.forEach((k, i) => { for (let j = 0; j < bits; j++) if ((k >> (bits - 1 - j)) & 1) out[(i * bits + j) >> 3] |= 128 >> ((i * bits + j) & 7) })
  return out
}
// In half bytes; long: not only where it must be
export function savings(list, whole, long = false) {
  const halves = []
  let last = Math.floor(whole / 3)
  for (const saving of list) {
    const by = saving - last
    last = saving
    if (by >= -7 && by <= 7 && !long) { halves.push(by + 7); continue }
    halves.push(15)
    let z = zigzag(by)
    for (; z > 7; z = Math.floor(z / 8)) halves.push((z % 8) + 8)
    halves.push(z)
  }
  if (halves.length % 2) halves.push(0)
  return Array.from({ length: halves.length / 2 }, (_, i) => halves[2 * i] * 16 + halves[2 * i + 1])
}
// codes[stage][channel][frame] of a packet
export function body(codes, o) {
  const { coding = 0, bits = 10 } = o
  if (coding === 0) return pack(codes.flat(2), bits)
  if (coding === 1) return [...savings(codes.map(() => 0), Math.ceil((codes[0].flat().length * bits) / 8)), ...codes.flatMap((stage) => pack(stage.flat(), bits))]
  const block = o.block ?? [1, 2, 3] // not decodable without tables
  return [...varint(block.length), ...block]
}
export const splice = (samples, trim) => [0x22, ...chunkBody([...varint(samples), ...varint(trim)])]
export const chapter = (sample, name) => [0x21, ...chunkBody([...varint(sample), ...ascii(name)])]
export const chunkBody = (payload) => [...varint(payload.length), ...payload]

// Codes that are a fixed function of everything
export const codesAt = (seed, stages, channels, frames, bits) => Array.from({ length: stages }, (_, s) => Array.from({ length: channels }, (_, c) => Array.from({ length: frames }, (_, t) => ((seed + 1) * 40503 + s * 2053 + c * 977 + t * 31 + ((t * t * 7) ^ (s * 91))) % 2 ** bits)))

export class Writer {
  constructor(o = {}) {
    this.o = { channels: 1, bits: 10, stages: 6, packetFrames: 64, coding: 0, ...o }
    this.parts = [header(this.o)]
    this.at = this.parts[0].length
    this.position = 0
    this.packets = [] // {at, position, bytes, frames, codes}
    this.items = [] // {at, bytes}
    this.splices = 0
    this.chunks = 0
  }
  put(bytes, frames) {
    const whole = checked(bytes, this.position)
    this.items.push({ at: this.at, bytes: whole.length, position: this.position, frames })
    this.parts.push(whole)
    this.at += whole.length
    this.position += frames
    return this
  }
  packet(frames = this.o.packetFrames, stages = this.o.stages, more = {}) {
    const { channels, bits, packetFrames } = this.o
    const codes = codesAt(this.packets.length, stages, channels, frames, bits), own = frames !== packetFrames || more.own
    this.packets.push({ at: this.at, position: this.position, frames, codes })
    return this.put([(own ? 0xc0 : 0x40) + stages, ...(own ? varint(frames) : []), ...(more.body ?? body(codes, { ...this.o, ...more }))], frames)
  }
  pause(frames, noise = []) { return this.put([0x81, ...varint(frames), ...varint(noise.length), ...noise], frames) }
  chunk(mark, payload) { this.chunks++; return this.put([mark, ...chunkBody(payload)], 0) }
  chapter(sample, name) { this.chunks++; return this.put(chapter(sample, name), 0) }
  splice(samples, trim) { this.splices++; this.chunks++; return this.put(splice(samples, trim), 0) }
  end(o = {}) {
    const samples = o.samples ?? this.o.samples
    const copy = header({ ...this.o, samples, ...o.header })
    const steps = []
    for (let i = 8; i < this.packets.length; i += 8) {
      const p = this.packets[i], q = i > 8 ? this.packets[i - 8] : { at: this.parts[0].length, position: 0 }
      steps.push(...varint(p.at - q.at), ...varint(zigzag(p.position - q.position - 8 * this.o.packetFrames)))
    }
    const first = [0x80, ...copy, ...varint(o.before ?? this.at), ...varint(o.frames ?? this.position), ...varint(o.packets ?? this.packets.length), ...varint(o.chunks ?? this.chunks), ...varint(o.splices ?? this.splices), ...(o.steps ?? steps)]
    const bytes = [...first, ...le(first.length + 8)]
    this.endAt = this.at
    this.parts.push([...bytes, ...le(crc(bytes))])
    return this
  }
  bytes() { return Uint8Array.from(this.parts.flat()) }
}

// ---------------------------------------------------------------- range-coded blocks
// As a coder of entropy.mjs: it knows the codes and asks for frequencies only. The order of symbols is the page's, told anew here.
export class RangeEncoder {
  constructor(symbols) { Object.assign(this, { symbols, at: 0, low: 0n, size: 2n ** 64n - 1n, bits: 64 }) }
  symbol(f, N) {
    const k = this.symbols[this.at++], unit = (this.size / 2n ** 24n) * 256n
    let total = 0, below = 0
    for (let i = 0; i < N; i++) { if (!(f[i] >= 1)) throw new Error('a frequency below 1'); if (i < k) below += f[i]; total += f[i] }
    if (total !== 65536) throw new Error(`frequencies make ${total}`)
    this.low += unit * BigInt(below)
    this.size = unit * BigInt(f[k])
    if (this.size < 2n ** 32n) { this.size *= 2n ** 32n; this.low *= 2n ** 32n; this.bits += 32 }
    return k
  }
  bytes() { // the shortest, with zeros behind it, that lies from low to low + size
    const all = BigInt(this.bits)
    for (let n = 0n; n * 8n <= all; n++) {
      const unit = 2n ** (all - 8n * n), first = ((this.low + unit - 1n) / unit) * unit
      if (first < this.low + this.size) return n ? [...Buffer.from((first / unit).toString(16).padStart(Number(2n * n), '0'), 'hex')] : []
    }
    throw new Error('no bytes')
  }
}
// Groups and places of codes[stage][channel][frame], stages from .. to - 1, in the order in which they are read
export function symbolsOf(codes, from, to, { order, G, P }) {
  const out = [], where = order.map((row) => { const w = []; row.forEach((k, i) => { w[k] = i }); return w })
  const pass = (s, frames) => {
    for (const part of [(i) => Math.floor(i / P), (i) => i % P]) for (const channel of codes[s]) for (const t of frames) out.push(part(where[s][channel[t]]))
  }
  for (let s = from; s < to; s++) {
    const all = codes[s][0].map((_, t) => t)
    if (s === 0) for (const t of all) pass(s, [t])
    else if (s === 1) { pass(s, all.filter((t) => t % 2 === 0)); pass(s, all.filter((t) => t % 2)) } else pass(s, all)
  }
  return out
}
// Bodies by the tables of entropy (fromTensors). In coding 2 it is the writer's own, and keeps the frames before.
export function independentBody(codes, entropy, tables, bits) {
  const channels = codes[0].length, frames = codes[0][0].length, whole = Math.ceil((channels * frames * bits) / 8), blocks = []
  entropy.begin(channels, frames)
  codes.forEach((stage, s) => {
    const coder = new RangeEncoder(symbolsOf(codes, s, s + 1, tables))
    entropy.read(coder, s)
    const block = coder.bytes()
    blocks.push(block.length < whole ? block : pack(stage.flat(), bits))
  })
  return [...savings(blocks.map((b) => whole - b.length), whole), ...blocks.flat()]
}
export function chainedBody(codes, entropy, tables, bits, fresh) {
  const channels = codes[0].length, frames = codes[0][0].length, stages = codes.length, whole = Math.ceil((stages * channels * frames * bits) / 8)
  const coder = new RangeEncoder(symbolsOf(codes, 0, stages, tables))
  entropy.chained(null, 0, 0, { channels, stages, frames, fresh }, coder)
  let block = coder.bytes()
  if (!block.length) block = [0]
  if (block.length >= whole) block = pack(codes.flat(2), bits)
  return [...varint(block.length), ...block]
}
// Tables that are valid and mean nothing: {tensors, order, G, P}
export function randomTables(random, { S = 3, G = 4, P = 8, D = 4, E = 3, H = 6, M = 5 } = {}) {
  const I = 3 * D + 6 * E + 9, K = G * P, size = (shape) => shape.reduce((a, b) => a * b, 1), tensors = {}
  const put = (name, type, Kind, shape, make) => { const data = Kind.from({ length: size(shape) }, make); tensors[`contexts.${name}`] = { type, shape, data, raw: new Uint8Array(data.buffer) } }
  const order = Array.from({ length: S }, () => { const row = Array.from({ length: K }, (_, k) => k); for (let i = K - 1; i; i--) { const j = random(i + 1); [row[i], row[j]] = [row[j], row[i]] } return row })
  put('order', 'uint16', Uint16Array, [S, K], (_, i) => order[Math.floor(i / K)][i % K])
  const matrix = (name, shape) => put(name, 'int8', Int8Array, shape, () => random(256) - 128)
  const shift = (name, low, high) => put(`${name}_shift`, 'uint8', Uint8Array, [S], () => low + random(high - low + 1))
  const bias = (name, shape) => put(`${name}_bias`, 'int32', Int32Array, shape, () => random(200001) - 100000)
  matrix('vectors', [S, K, D]); shift('vector', 0, 3); matrix('narrow', [S, K, E]); shift('narrow', 0, 3)
  matrix('hidden', [S, I, H]); bias('hidden', [S, H]); shift('hidden', 8, 12)
  matrix('group', [S, H, G]); bias('group', [S, G]); shift('group', 8, 11)
  matrix('middle', [S, H, M]); bias('middle', [S, M]); shift('middle', 6, 9)
  matrix('place', [S, G, P, M]); bias('place', [S, G, P]); shift('place', 8, 11)
  return { tensors, order, G, P, S, K }
}
