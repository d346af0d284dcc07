// The network of speech-16k, codes to samples, as docs/speech-16k.md describes it. Node 20, no dependencies.
//
//   node net.mjs WEIGHTS.safetensors CODES.json OUT.f32
//
// CODES is [channels][stages][frames], -1 where a frame has no such stage. OUT gets float32, lowest byte first: channel
// after channel, 320 samples a frame, late by 240 samples, which are still there.
import fs from 'node:fs'
import { pathToFileURL } from 'node:url'

export const HOP = 320, STEP = 80, WINDOW = 320, DELAY = WINDOW - STEP
const STEPS = HOP / STEP, BINS = WINDOW / 2 + 1, TAPS = 7

// ---------------------------------------------------------------- weights
function half(u) { // bits of a float16 to a number
  const sign = u & 0x8000 ? -1 : 1, exponent = (u >> 10) & 31, fraction = u & 1023
  if (exponent === 31) return fraction ? NaN : sign * Infinity
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

// The tensors that a decoder needs: { name: { shape, data: Float32Array } }
export function readWeights(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const start = 8 + Number(view.getBigUint64(0, true))
  const entries = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)))
  const tensors = {}
  for (const [name, entry] of Object.entries(entries)) {
    if (!name.startsWith('decoder.') && name !== 'quantizer.base' && name !== 'quantizer.stage_scale') continue
    const [from, to] = entry.data_offsets
    const width = { F16: 2, F32: 4 }[entry.dtype]
    const data = new Float32Array((to - from) / width)
    for (let i = 0, at = start + from; i < data.length; i++, at += width) {
      data[i] = width === 2 ? half(view.getUint16(at, true)) : view.getFloat32(at, true)
    }
    tensors[name] = { shape: entry.shape, data }
  }
  return tensors
}

const gelu = (v) => 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v * v * v)))

// ---------------------------------------------------------------- layers: [time][channel], one row after the other
export class Network {
  constructor(tensors) {
    this.tensors = tensors
  }

  data(name) {
    if (!this.tensors[name]) throw new Error(`no tensor ${name}`)
    return this.tensors[name].data
  }

  linear(name, x) {
    const [out, inputs] = this.tensors[`${name}.weight`].shape
    const weight = this.data(`${name}.weight`), bias = this.data(`${name}.bias`)
    const times = x.length / inputs, y = new Float32Array(times * out)
    // Four times at once: each weight is fetched once for them.
    for (let t = 0; t < times; t += 4) {
      const last = times - 1
      const [p, q, r, s] = [t, Math.min(t + 1, last), Math.min(t + 2, last), Math.min(t + 3, last)].map((u) => u * inputs)
      for (let o = 0; o < out; o++) {
        let a = bias[o], b = a, c = a, d = a
        for (let i = 0, at = o * inputs; i < inputs; i++, at++) {
          const w = weight[at]
          a += w * x[p + i]; b += w * x[q + i]; c += w * x[r + i]; d += w * x[s + i]
        }
        y[p / inputs * out + o] = a; y[q / inputs * out + o] = b; y[r / inputs * out + o] = c; y[s / inputs * out + o] = d
      }
    }
    return y
  }

  norm(name, x) {
    const weight = this.data(`${name}.weight`), bias = this.data(`${name}.bias`)
    const n = weight.length, y = new Float32Array(x.length)
    for (let from = 0; from < x.length; from += n) {
      let mean = 0, variance = 0
      for (let c = 0; c < n; c++) mean += x[from + c] / n
      for (let c = 0; c < n; c++) variance += (x[from + c] - mean) ** 2 / n
      const scale = 1 / Math.sqrt(variance + 1e-5)
      for (let c = 0; c < n; c++) y[from + c] = (x[from + c] - mean) * scale * weight[c] + bias[c]
    }
    return y
  }

  depthwise(name, x) {
    const weight = this.data(`${name}.weight`), bias = this.data(`${name}.bias`)
    const n = bias.length, y = new Float32Array(x.length)
    for (let t = 0; t < x.length / n; t++) {
      for (let c = 0; c < n; c++) {
        let sum = bias[c]
        for (let k = 0; k < TAPS; k++) {
          const past = t - (TAPS - 1) + k
          if (past >= 0) sum += weight[c * TAPS + k] * x[past * n + c]
        }
        y[t * n + c] = sum
      }
    }
    return y
  }

  block(name, x) {
    const hidden = this.linear(`${name}.up`, this.norm(`${name}.norm`, this.depthwise(`${name}.depthwise`, x)))
    const y = this.linear(`${name}.down`, hidden.map(gelu)), scale = this.data(`${name}.scale`)
    for (let i = 0; i < y.length; i++) y[i] = x[i] + scale[i % scale.length] * y[i]
    return y
  }

  level(name, x) {
    x = this.norm(`${name}.norm`, x)
    for (let i = 0; this.tensors[`${name}.blocks.${i}.scale`]; i++) x = this.block(`${name}.blocks.${i}`, x)
    return x
  }

  // ---------------------------------------------------------------- codes to samples
  latents(codes) {
    const [, size, dim] = this.tensors['quantizer.base'].shape, frames = codes[0].length, z = new Float32Array(frames * dim)
    const base = this.data('quantizer.base'), scale = this.data('quantizer.stage_scale')
    codes.forEach((row, stage) => row.forEach((code, frame) => {
      if (code < 0) return
      for (let d = 0, at = (stage * size + code) * dim; d < dim; d++, at++) z[frame * dim + d] += Math.fround(base[at] * scale[stage])
    }))
    return z
  }

  project(z) { // each frame with the two before it, oldest first
    const dim = this.tensors['quantizer.base'].shape[2], frames = z.length / dim, three = new Float32Array(frames * 3 * dim)
    for (let f = 0; f < frames; f++) {
      const from = Math.max(f - 2, 0), seen = z.subarray(from * dim, (f + 1) * dim)
      three.set(seen, (f + 1) * 3 * dim - seen.length)
    }
    return this.linear('decoder.project.linear', three)
  }

  // Codes [stages][frames] to Float32Array [frames * 320 + 240]: the output, and the tail that a pause begins with
  decode(codes) {
    const coarse = this.level('decoder.coarse', this.project(this.latents(codes)))
    // The channels of a frame are those of its four steps, one step after the other: nothing has to move.
    const fine = this.level('decoder.fine', this.linear('decoder.up.linear', coarse))
    const seen = this.norm('decoder.head.norm', fine)
    return overlap(this.linear('decoder.head.magnitude', seen), this.linear('decoder.head.phase', seen))
  }
}

// Log-magnitudes and phases [steps][161] to samples
function overlap(magnitudes, phases) {
  const steps = magnitudes.length / BINS, output = new Float32Array((steps - 1) * STEP + WINDOW)
  const angles = Array.from({ length: WINDOW }, (_, n) => 2 * Math.PI * n / WINDOW)
  const cosines = angles.map(Math.cos), sines = angles.map(Math.sin)
  const real = new Float64Array(BINS), imaginary = new Float64Array(BINS)
  for (let j = 0; j < steps; j++) {
    for (let b = 0; b < BINS; b++) {
      const magnitude = Math.exp(Math.min(magnitudes[j * BINS + b], Math.log(WINDOW / 2))), phase = phases[j * BINS + b]
      real[b] = magnitude * Math.cos(phase)
      imaginary[b] = magnitude * Math.sin(phase)
    }
    for (let n = 0; n < WINDOW; n++) {
      let sum = real[0] + (n % 2 ? -1 : 1) * real[BINS - 1]
      for (let b = 1, at = n; b < BINS - 1; b++, at = (at + n) % WINDOW) sum += 2 * (real[b] * cosines[at] - imaginary[b] * sines[at])
      output[j * STEP + n] += sum / WINDOW * (0.5 - 0.5 * cosines[n]) / 1.5
    }
  }
  return output
}

function main([weights, codes, out]) {
  const network = new Network(readWeights(fs.readFileSync(weights)))
  const channels = JSON.parse(fs.readFileSync(codes, 'utf8'))
  const bytes = channels.map((rows) => {
    const samples = network.decode(rows).subarray(0, rows[0].length * HOP)
    const view = new DataView(new ArrayBuffer(samples.length * 4))
    samples.forEach((sample, i) => view.setFloat32(i * 4, sample, true))
    return Buffer.from(view.buffer)
  })
  fs.writeFileSync(out, Buffer.concat(bytes))
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main(process.argv.slice(2))
