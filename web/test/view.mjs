// What this package sees in a file, in the words of tests/vectors/vectors.json
import crypto from 'node:crypto'
import fs from 'node:fs'
import { Codes } from '../src/codes.js'
import { Damage } from '../src/errors.js'
import { channelMask } from '../src/header.js'
import { hex } from '../src/bytes.js'
import { load, Reader } from '../src/index.js'

const WEIGHTS = process.env.GRIT_WEIGHTS ?? new URL('../weights/', import.meta.url).pathname
export const bytesOf = (path) => new Uint8Array(fs.readFileSync(path))
export const codec = await load(bytesOf(`${WEIGHTS}/player.safetensors`), { encoder: bytesOf(`${WEIGHTS}/encoder.safetensors`) })

const NAMES = { fingerprint: 'fingerprint', sampleRate: 'sample_rate', channels: 'channels', coding: 'coding', codeBits: 'code_bits', stages: 'stages', packetFrames: 'packet_frames', tags: 'tags', startTrim: 'start_trim', firstSegment: 'first_segment', keyFrames: 'key_frames', startTime: 'start_time', encoder: 'encoder', gain: 'gain', fromEnd: 'from_end' }
function headerOf(h, samples) {
  const out = { samples, start_trim: 0 }
  for (const [name, theirs] of Object.entries(NAMES)) if (h[name] !== undefined && !(Array.isArray(h[name]) && !h[name].length)) out[theirs] = typeof h[name] === 'bigint' ? Number(h[name]) : h[name]
  const mask = channelMask(h)
  if (mask !== null) out.channel_mask = mask
  return out
}
export function digest(codes) {
  const b = Buffer.alloc(2 * codes.length)
  codes.forEach((k, i) => b.writeUInt16LE(k, 2 * i))
  return crypto.createHash('sha256').update(b).digest('hex').slice(0, 16)
}
function merged(pieces) {
  const out = []
  for (const [from, to] of pieces.filter(([a, b]) => a < b).sort((a, b) => a[0] - b[0])) {
    if (out.length && out.at(-1)[1] >= from) out.at(-1)[1] = Math.max(out.at(-1)[1], to)
    else out.push([from, to])
  }
  return out
}
function contradicts(file) {
  const splices = file.items.filter((i) => i.mark === 0x22)
  if (splices.some((s) => !s.value)) return true
  return (file.header.firstSegment ?? file.samples) + splices.reduce((n, s) => n + s.value.samples, 0) !== file.samples
}
/** Pieces: the file's bytes, cut anywhere. */
export function viewOf(pieces, entropy = codec.entropy) {
  const reader = new Reader(), views = []
  let view, codes
  const take = (events) => {
    for (const event of events) {
      if (event.kind === 'file') {
        if (!event.file.header || !event.file.opened) { views.push(view = { refused: true }); continue }
        views.push(view = { refused: false, header: null, items: [], lost: [], ended: false, sound: true })
        codes = new Codes(reader.bytes, event.file, entropy)
      } else if (event.kind === 'item') {
        const { item } = event
        try {
          const found = codes.of(item, reader.bytes), size = item.end - item.at
          if (item.kind === 'packet') view.items.push(['packet', item.position, item.frames, item.stages, size, digest(found)])
          else if (item.kind === 'pause') view.items.push(['pause', item.position, item.frames, hex(item.noise), size])
          else view.items.push(['chunk', item.position, item.mark, hex(item.payload), size])
        } catch (e) {
          if (!(e instanceof Damage)) throw e
          event.file.damage.push({ kind: 'lost', from: item.position, to: item.position + item.frames })
        }
      } else if (event.kind === 'end' && view.items) view.file = event.file
    }
  }
  for (const piece of pieces) take(reader.push(piece))
  take(reader.finish())
  return views.map(({ file, ...v }) => {
    if (!file) return v
    const damage = file.damage.filter((d) => !['other file', 'index wrong'].includes(d.kind))
    return { refused: Boolean(file.refused) || (Boolean(file.end) && !file.damage.length && contradicts(file)), header: headerOf(file.header, file.samples), items: v.items, lost: merged(file.damage.filter((d) => d.kind === 'lost').map((d) => [d.from, d.to])), ended: file.end !== null, sound: !damage.length }
  })
}
/** The samples of a 16-bit WAV file as the package writes it, [channel][sample]. */
export function wavOf(b) {
  const view = new DataView(b.buffer, b.byteOffset), channels = view.getUint16(22, true), count = (b.length - 44) / 2 / channels
  return Array.from({ length: channels }, (_, c) => Float32Array.from({ length: count }, (_, n) => view.getInt16(44 + 2 * (n * channels + c), true) / 32767))
}
/** A file in pieces of a few bytes, cut at places that follow from `seed`. */
export function* pieces(b, seed, most = 97) {
  for (let at = 0, x = seed; at < b.length; ) {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0
    const size = 1 + ((x >>> 16) % most)
    yield b.slice(at, at + size)
    at += size
  }
}
