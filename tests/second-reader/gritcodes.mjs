// Reads .grit files, format version 1, from docs/bitstream.md and docs/entropy-coding.md alone. Node 20, no dependencies.
//   node gritcodes.mjs FILE ... [--weights weights.safetensors | --tables tables.safetensors] [--model-dims R,H,D] [--codes OUT] [--seek FRAME]
//   node gritcodes.mjs FILE --weights weights.safetensors --samples OUT.f32
// One JSON object a line for each file, and each one chained to it; --codes: uint16, lowest byte first, [channels][stages][frames]
// packet by packet; --samples: float32, lowest byte first, channel after channel, at the model's rate, which the file must have.
// --tables: only what codes are read with; --weights holds the file to the model as well. --model-dims: 16000,320,240 with --weights.
// Exit codes: 0, 1 refused, 3 damaged or more behind it.
import fs from 'node:fs'
import crypto from 'node:crypto'
import { pathToFileURL } from 'node:url'
import { Damage, Refusal } from '../../web/src/errors.js'
import { channelMask } from '../../web/src/header.js'
import { endByLength } from '../../web/src/items.js'
import { readAll as readChain, readFile } from '../../web/src/reader.js'
import { seekFrame } from './seek.mjs'
import { Codes } from '../../web/src/codes.js'
import { readSafetensors, codebooks, fingerprint, segments, refusedBy } from './model.mjs'
import { fromTensors } from './entropy.mjs'
import { samplesOf, littleFloats } from './samples.mjs'

const sha256 = (codes) => crypto.createHash('sha256').update(littleEndian(codes)).digest('hex')
function littleEndian(codes) {
  const b = Buffer.alloc(codes.length * 2)
  codes.forEach((v, i) => b.writeUInt16LE(v, 2 * i))
  return b
}
const hex = (v) => v.toString(16).padStart(2, '0')

export function showHeader(h) {
  const out = {}
  for (const name of ['at', 'version', 'fingerprint', 'sampleRate', 'channels', 'samples', 'coding', 'codeBits', 'stages', 'packetFrames', 'frameRate', 'extra', 'tags', 'startTrim', 'firstSegment', 'encoder', 'keyFrames', 'bare', 'gain', 'repaired', 'fromEnd']) if (h[name] !== undefined) out[name] = h[name]
  if (h.startTime !== undefined) out.startTime = Number.isSafeInteger(Number(h.startTime)) ? Number(h.startTime) : String(h.startTime)
  if (h.channelMask !== undefined) out.channelMask = channelMask(h)
  return { ...out, bytes: h.bytes.length, itemsAt: h.end, unknown: h.unknown.map(({ data, ...rest }) => rest), passedOver: h.passedOver }
}
function showItem(b, item, codes) {
  const out = { kind: item.kind, at: item.at, bytes: item.end - item.at, position: item.position }
  if (item.kind === 'packet') {
    Object.assign(out, { frames: item.frames, stages: item.stages })
    if (item.short) out.ownLength = true
    if (item.blocks) out.blocks = item.blocks.map((x) => (x.plain ? -x.length : x.length)) // below zero: packed plainly
    try {
      out.codes = sha256(codes.of(item))
    } catch (e) {
      if (!(e instanceof Damage) && !(e instanceof Refusal)) throw e
      out[e instanceof Damage ? 'lost' : 'noCodes'] = e.message
    }
    return out
  }
  codes.of(item)
  if (item.kind === 'pause') return { ...out, frames: item.frames, noise: item.noise }
  return { ...out, mark: hex(item.mark), known: item.known, safeToCopy: item.safeToCopy, payload: Buffer.from(item.payload).toString('hex'), ...(item.known ? { value: item.value } : {}) }
}
export function showFile(b, file, { dims, model, entropy } = {}) {
  const out = { at: file.at }
  if (file.header) out.header = showHeader(file.header)
  if (model && file.header) file.refused ??= refusedBy(model, file.header)
  if (file.opened) {
    const codes = new Codes(b, file, entropy)
    out.items = file.items.map((item) => showItem(b, item, codes))
    out.damage = file.damage
    for (const i of out.items) if (i.lost) out.damage.push({ kind: 'lost', from: i.position, to: i.position + i.frames, at: i.at, bytes: i.bytes, why: i.lost })
    const e = file.end
    out.end = e && { at: e.at, before: e.before, frames: e.frames, packets: e.packets, chunks: e.chunks, splices: e.splices, steps: e.steps.map((s) => [s.bytes, s.frames]), length: e.length }
    Object.assign(out, { frames: file.frames, samples: file.samples ?? null, next: file.next })
    try { out.segments = segments(file, dims) } catch (e) { if (!(e instanceof Refusal)) throw e; if (!file.refused) file.refused = out.contradicts = e.message }
  } else out.damage = file.damage
  if (file.refused) out.refused = file.refused
  return out
}
// All that the command prints: a list of objects, one for each chained file
export function report(b, options = {}) {
  return readChain(b).map((file) => showFile(b, file, options))
}
export function reportSeek(b, frame, entropy) {
  const file = readFile(b)
  if (file.refused) return { refused: file.refused }
  const found = seekFrame(b, file.header, endByLength(b), frame)
  if (!found) return { frame, found: false }
  const codes = new Codes(b, file, entropy)
  Object.assign(codes, { next: found.item.position, behind: found.item.at, fresh: found.item.position === 0 }) // nothing is known of what lies before it
  return { frame, found: true, stepsUsed: found.index, itemsPassed: found.passed, indexWrong: !!found.indexWrong, item: showItem(b, found.item, codes) }
}

function allCodes(b, entropy) { // of every packet that has some
  const parts = []
  for (const file of readChain(b).filter((f) => f.header)) {
    const codes = new Codes(b, file, entropy)
    for (const item of file.items) {
      try { const c = codes.of(item); if (c) parts.push(littleEndian(c)) } catch (e) { if (!(e instanceof Damage)) throw e }
    }
  }
  return parts
}
const SPEECH = [16000, 320, 240] // rate, hop and delay of speech-16k

async function main(argv) {
  const option = (name, has = true) => {
    const i = argv.indexOf(name)
    return i < 0 ? null : argv.splice(i, has ? 2 : 1)[has ? 1 : 0]
  }
  option('--json', false) // always
  const weights = option('--weights'), tables = option('--tables'), out = option('--codes'), frame = option('--seek'), sound = option('--samples')
  const dims = option('--model-dims')?.split(',').map(Number) ?? (weights ? SPEECH : undefined)
  const read = (name) => new Uint8Array(fs.readFileSync(name === '-' ? 0 : name))
  let model, entropy = null
  if (weights) {
    const tensors = readSafetensors(read(weights)), { S, K } = codebooks(tensors)
    entropy = fromTensors(tensors)
    model = { fingerprint: fingerprint(tensors, dims), stages: S, codes: K, tables: entropy !== null }
  } else if (tables) entropy = fromTensors(readSafetensors(read(tables)))
  const names = argv.length ? argv : ['-'], files = []
  for (const name of names) {
    const b = read(name), about = { file: name, ...(model ? { model: model.fingerprint } : {}) }
    if (frame !== null) { console.log(JSON.stringify({ ...about, ...reportSeek(b, Number(frame), entropy) })); continue }
    const found = report(b, { dims, model, entropy })
    for (const f of found) console.log(JSON.stringify({ ...about, ...f }))
    files.push(...found)
    if (out) fs.writeFileSync(out, Buffer.concat(allCodes(b, entropy)))
    if (sound && !found.some((f) => f.refused)) fs.writeFileSync(sound, littleFloats(samplesOf(readChain(b), (file) => new Codes(b, file, entropy), dims, read(weights))))
  }
  return files.some((f) => f.refused) ? 1 : files.some((f) => f.damage.length) ? 3 : 0
}
if (process.argv[1] && import.meta.url === pathToFileURL(fs.realpathSync(process.argv[1])).href) {
  process.exitCode = await main(process.argv.slice(2)).catch((e) => {
    if (!(e instanceof Refusal)) throw e
    console.log(JSON.stringify({ refused: e.message }))
    return 1
  })
}
