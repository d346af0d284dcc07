// What a model says: its fingerprint from weights.safetensors, and how many frames a number of samples has
import crypto from 'node:crypto'
import { Refusal } from '../../web/src/errors.js'

const TYPES = { I8: ['int8', Int8Array], U8: ['uint8', Uint8Array], I16: ['int16', Int16Array], U16: ['uint16', Uint16Array], I32: ['int32', Int32Array], U32: ['uint32', Uint32Array], I64: ['int64', BigInt64Array], F16: ['float16', Uint16Array], F32: ['float32', Float32Array], F64: ['float64', Float64Array], BOOL: ['bool', Uint8Array] }

export function readSafetensors(b) {
  const size = Number(Buffer.from(b.buffer, b.byteOffset, 8).readBigUInt64LE(0))
  const head = JSON.parse(new TextDecoder().decode(b.subarray(8, 8 + size)))
  const tensors = {}
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(head)) {
    if (name === '__metadata__') continue
    const raw = b.slice(8 + size + from, 8 + size + to), [type, Kind] = TYPES[dtype]
    tensors[name] = { type, shape, raw, data: new Kind(raw.buffer, raw.byteOffset, raw.length / Kind.BYTES_PER_ELEMENT) }
  }
  return tensors
}
function half(u) { // float16 bits to number
  const s = u & 0x8000 ? -1 : 1, e = (u >> 10) & 31, f = u & 1023
  return e === 0 ? s * f * 2 ** -24 : e === 31 ? (f ? NaN : s * Infinity) : s * (1 + f / 1024) * 2 ** (e - 15)
}
const numbers = (t) => (t.type === 'float16' ? Float32Array.from(t.data, half) : t.data)
const byBytes = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))

// speech-16k's codebooks: quantizer.base times quantizer.stage_scale, in float32
export function codebooks(tensors) {
  const base = tensors['quantizer.base'], scale = numbers(tensors['quantizer.stage_scale'])
  const S = scale.length, N = base.shape.at(-1), K = numbers(base).length / S / N
  const out = Float32Array.from(numbers(base))
  for (let s = 0; s < S; s++) for (let i = s * K * N; i < (s + 1) * K * N; i++) out[i] *= scale[s] // float32 times float32, rounded once
  return { S, K, N, data: out }
}
export function fingerprint(tensors, [R, H, D]) {
  const { S, K, N, data } = codebooks(tensors)
  const hash = crypto.createHash('sha256')
  hash.update(`gritcodec codes 1\nrate ${R}\nhop ${H}\ndelay ${D}\nstages ${S}\ncodes ${K}\ndimensions ${N}\n`)
  hash.update(new Uint8Array(data.buffer))
  for (const name of Object.keys(tensors).filter((n) => n.startsWith('contexts.')).sort(byBytes)) {
    const t = tensors[name]
    hash.update(`${[name.slice(9), t.type, ...t.shape].join(' ')}\n`)
    hash.update(t.raw)
  }
  return hash.digest('hex').slice(0, 16)
}

// Frames of n samples at r Hz after a start trim of t
export function framesOf(n, t, r, [R, H, D]) {
  const all = BigInt(n) + BigInt(t)
  if (!all) return 0
  const up = (a, b) => (a + b - 1n) / b
  return Number(up(up(all * BigInt(R), BigInt(r)) + BigInt(D), BigInt(H)))
}
// Segments of a file that was read: where each begins, its frames, samples and start trim; throws Refusal where the numbers of
// samples disagree or the model (dims) is contradicted. samples: null where nobody knows them.
export function segments(file, dims) {
  const { header: h, samples: total, items } = file, pf = h.packetFrames
  const splices = items.filter((i) => i.mark === 0x22), hurt = file.damage.length > 0, bad = splices.find((i) => !i.value)
  if (bad) throw new Refusal(`a malformed splice at byte ${bad.at}, frame ${bad.position}`)
  const most = (s) => (dims && s.samples !== null ? framesOf(s.samples, s.startTrim, h.sampleRate, dims) + pf - 1 : Infinity)
  let given = 0
  const begin = (from, samples, startTrim) => { given += samples ?? 0; return { from, startTrim, samples } }
  const list = [begin(0, h.firstSegment ?? total, h.startTrim ?? 0)]
  if (splices.length && h.firstSegment === undefined) throw new Refusal('a splice, and no first segment (field 10)')
  for (const item of items) {
    if (item.mark === 0x22) list.push(begin(item.position, item.value.samples, item.value.startTrim))
    else if (hurt && total !== null && given < total && item.position + item.frames - list.at(-1).from > most(list.at(-1))) {
      list.push({ ...begin(item.position, total - given, 0), spliceLost: true })
    }
  }
  if (total !== null && (hurt ? given > total : given !== total)) throw new Refusal(`the segments have ${given} samples, and the file ${total}`)
  for (const [i, s] of list.entries()) {
    s.frames = (list[i + 1]?.from ?? file.frames) - s.from
    if (!dims || s.samples === null) continue
    s.framesByModel = framesOf(s.samples, s.startTrim, h.sampleRate, dims)
    if (s.frames > most(s) || (!hurt && s.frames < s.framesByModel)) throw new Refusal(`segment ${i} has ${s.frames} frames, and its samples make ${s.framesByModel}`)
  }
  return list
}
// Why a model refuses a file, or null. model: {fingerprint, stages, codes, tables}
export function refusedBy(model, h) {
  if (model.fingerprint !== h.fingerprint) return `made with another model: ${h.fingerprint}, and this one is ${model.fingerprint}`
  if (h.stages > model.stages) return `${h.stages} stages, and the model has ${model.stages}`
  if (2 ** h.codeBits !== model.codes) return `codes of ${h.codeBits} bits, and the model has ${model.codes}`
  if (h.coding && !model.tables) return 'entropy-coded, and the model has no tables'
  return null
}
