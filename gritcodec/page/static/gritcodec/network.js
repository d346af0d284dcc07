// The network: codes to samples and samples to codes, as docs/speech-16k.md describes it, on the kernel
import { ModelError } from './errors.js'
import { floatsOf } from './weights.js'

/** @typedef {import('./kernel.js').Kernel} Kernel */
/** @typedef {import('./weights.js').Tensor} Tensor */
/** @typedef {import('./weights.js').About} About */
/** @typedef {{at: number, bias: number, inputs: number, outputs: number}} Linear weights in the kernel's memory */
/** @typedef {{weight: number, bias: number}} Affine */
/** @typedef {{depthwise: Affine, norm: Affine, up: Linear, down: Linear, past: number}} Block past: its input, with 6 rows before it */

const TAPS = 7, PAST = TAPS - 1
export const FRAMES = 16 // at a time

/** Reads layers into the kernel's memory. */
class Layers {
  /** @param {Kernel} kernel @param {Record<string, Tensor>} tensors */
  constructor(kernel, tensors) {
    this.kernel = kernel
    this.tensors = tensors
    this.spare = kernel.room(2 << 20)
  }
  /** @param {string} name */
  get(name) {
    const tensor = this.tensors[name]
    if (!tensor) throw new ModelError(`no ${name} in the weights`)
    return tensor
  }
  /** @param {string} name */
  numbers(name) { return floatsOf(this.tensors[name], name) }
  /** One layer of one or more tensors, one's outputs behind the other's; times `scale` where it is given. @param {string[]} names @param {string} [scale] @returns {Linear} */
  linear(names, scale) {
    const { kernel } = this, by = scale ? kernel.putFloats(this.numbers(scale)) : 0
    const shapes = names.map((name) => this.get(`${name}.weight`).shape), inputs = shapes[0][1]
    const wanted = shapes.reduce((n, s) => n + s[0], 0), outputs = (wanted + 7) & ~7
    const at = kernel.room(4 * inputs * outputs), bias = kernel.room(4 * outputs)
    kernel.floats(at, inputs * outputs).fill(0)
    kernel.floats(bias, outputs).fill(0)
    let first = 0
    names.forEach((name, i) => {
      const { bytes, type } = this.get(`${name}.weight`)
      if (type !== 'F16') throw new ModelError(`${name} is of type ${type}`)
      kernel.bytes(this.spare, bytes.length).set(bytes)
      kernel.run.panels16(this.spare, at, shapes[i][0], inputs, by, first)
      const numbers = this.numbers(`${name}.bias`), scales = scale ? this.numbers(scale) : null
      kernel.floats(bias + 4 * first, numbers.length).set(scales ? numbers.map((v, o) => v * scales[o]) : numbers)
      first += shapes[i][0]
    })
    return { at, bias, inputs, outputs }
  }
  /** @param {string} name @returns {Affine} */
  affine(name) {
    return { weight: this.kernel.putFloats(this.numbers(`${name}.weight`)), bias: this.kernel.putFloats(this.numbers(`${name}.bias`)) }
  }
  /** Taps [C, 1, 7] as [7, C]. @param {string} name @returns {Affine} */
  depthwise(name) {
    const numbers = this.numbers(`${name}.weight`), count = numbers.length / TAPS
    const turned = Float32Array.from(numbers, (_, i) => numbers[(i % count) * TAPS + Math.floor(i / count)])
    return { weight: this.kernel.putFloats(turned), bias: this.kernel.putFloats(this.numbers(`${name}.bias`)) }
  }
}

/** A level: a norm and residual blocks. Its past is six rows of each block's input. */
class Level {
  /** @param {Layers} layers @param {string} name @param {number[]} size channels and blocks @param {number} rows at a time @param {number} wide hidden channels at most */
  constructor(layers, name, [channels, blocks], rows, wide) {
    const { kernel } = layers
    if (channels % 8) throw new ModelError(`${channels} channels`)
    Object.assign(this, { kernel, channels })
    this.kernel = kernel
    this.channels = channels
    this.norm = layers.affine(`${name}.norm`)
    const room = () => kernel.room(4 * channels * (PAST + rows))
    /** @type {Block[]} */
    this.blocks = Array.from({ length: blocks }, (_, i) => {
      const own = `${name}.blocks.${i}`
      return { depthwise: layers.depthwise(`${own}.depthwise`), norm: layers.affine(`${own}.norm`), up: layers.linear([`${own}.up`]), down: layers.linear([`${own}.down`], `${own}.scale`), past: room() }
    })
    this.result = room() + 4 * channels * PAST
    this.middle = kernel.room(4 * channels * rows)
    this.hidden = kernel.room(4 * wide * rows)
  }
  /** Numbers of the past of one stream. */
  get size() { return this.blocks.length * PAST * this.channels }

  /** Rows at x -> rows at `result`. @param {number} x @param {number} rows @param {Float32Array} past moved on */
  run(x, rows, past) {
    const { kernel, channels } = this, { run } = kernel, own = PAST * channels
    /** @param {number} i */
    const inputOf = (i) => (i < this.blocks.length ? this.blocks[i].past + 4 * own : this.result)
    run.norm(x, rows, channels, this.norm.weight, this.norm.bias, inputOf(0))
    this.blocks.forEach((block, i) => {
      const input = inputOf(i), output = inputOf(i + 1)
      kernel.floats(block.past, own).set(past.subarray(i * own, (i + 1) * own))
      run.depthwise(input, rows, channels, block.depthwise.weight, block.depthwise.bias, this.middle)
      run.norm(this.middle, rows, channels, block.norm.weight, block.norm.bias, this.middle)
      run.linear(this.middle, 4 * channels, rows, block.up.at, block.up.bias, channels, block.up.outputs, this.hidden, 4 * block.up.outputs, 0)
      run.gelu(this.hidden, rows * block.up.outputs)
      kernel.floats(output, rows * channels).set(kernel.floats(input, rows * channels))
      run.linear(this.hidden, 4 * block.up.outputs, rows, block.down.at, block.down.bias, block.up.outputs, channels, output, 4 * channels, 1)
      past.set(kernel.floats(input + 4 * (rows - PAST) * channels, own), i * own)
    })
    return this.result
  }
}

/** @param {number} n */
const hann = (n) => Float64Array.from({ length: n }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / n))

/** @typedef {{project: Float32Array, coarse: Float32Array, fine: Float32Array, overlap: Float32Array}} DecoderState */

/** Codes to samples. */
export class Decoder {
  /** @param {Kernel} kernel @param {Record<string, Tensor>} tensors @param {About} about @param {Books} books */
  constructor(kernel, tensors, about, books) {
    const layers = new Layers(kernel, tensors), steps = about.hop / about.step
    this.kernel = kernel
    this.about = about
    this.books = books
    this.steps = steps
    const wide = about.expansion * Math.max(about.coarse[0], steps * about.fine[0])
    this.project = layers.linear(['decoder.project.linear'])
    this.coarse = new Level(layers, 'decoder.coarse', about.coarse, FRAMES, wide)
    this.up = layers.linear(['decoder.up.linear'])
    this.fine = new Level(layers, 'decoder.fine', about.fine, FRAMES * steps, about.expansion * about.fine[0])
    this.norm = layers.affine('decoder.head.norm')
    this.head = layers.linear(['decoder.head.magnitude', 'decoder.head.phase'])
    this.codes = kernel.room(2 * 64 * FRAMES)
    this.latents = kernel.room(4 * about.dim * (FRAMES + 2))
    this.frames = kernel.room(4 * Math.max(about.coarse[0], this.up.outputs) * FRAMES)
    this.spectrum = kernel.room(4 * this.head.outputs * FRAMES * steps)
    this.sound = kernel.room(4 * about.window * FRAMES * steps)
    this.inverse = this.inverseTransform()
    this.loudest = Math.log(about.window / 2)
  }
  /** Rows of real parts and then of imaginary ones to samples under the window, as a layer. @returns {Linear} */
  inverseTransform() {
    const { window, step } = this.about, bins = window / 2 + 1, shape = hann(window)
    const squares = Array.from({ length: step }, (_, i) => { let sum = 0; for (let j = i; j < window; j += step) sum += shape[j] ** 2; return sum })
    const matrix = new Float32Array(window * 2 * bins) // [sample, part]
    for (let n = 0; n < window; n++) for (let b = 0; b < bins; b++) {
      const by = ((b === 0 || b === bins - 1 ? 1 : 2) / window) * (shape[n] / squares[n % step]), angle = (2 * Math.PI * ((b * n) % window)) / window
      matrix[n * 2 * bins + b] = by * Math.cos(angle)
      matrix[n * 2 * bins + bins + b] = b === 0 || b === bins - 1 ? 0 : -by * Math.sin(angle)
    }
    const { kernel } = this, from = kernel.putFloats(matrix), at = kernel.room(4 * matrix.length)
    kernel.run.panels32(from, at, window, 2 * bins)
    return { at, bias: kernel.putFloats(new Float32Array(window)), inputs: 2 * bins, outputs: window }
  }
  /** @returns {DecoderState} */
  begin() {
    const { dim, window, step } = this.about
    return { project: new Float32Array(2 * dim), coarse: new Float32Array(this.coarse.size), fine: new Float32Array(this.fine.size), overlap: new Float32Array(window - step) }
  }
  /**
   * The next frames of a stream, late by window - step samples.
   * @param {Uint16Array} codes [stages][frames] @param {number} stages @param {number} frames @param {DecoderState} state moved on
   */
  decode(codes, stages, frames, state) {
    const out = new Float32Array(frames * this.about.hop)
    for (let from = 0; from < frames; from += FRAMES) {
      const count = Math.min(FRAMES, frames - from), part = this.kernel.words(this.codes, stages * count)
      for (let s = 0; s < stages; s++) part.set(codes.subarray(s * frames + from, s * frames + from + count), s * count)
      this.block(stages, count, state, out.subarray(from * this.about.hop, (from + count) * this.about.hop))
    }
    return out
  }
  /** @param {number} stages @param {number} frames @param {DecoderState} state @param {Float32Array} out */
  block(stages, frames, state, out) {
    const { kernel, books, about, steps } = this, { run } = kernel, { dim } = about, rows = frames * steps
    const two = 2 * dim
    kernel.floats(this.latents, two).set(state.project)
    run.latents(this.codes, stages, frames, books.size, dim, books.at, this.latents + 4 * two)
    state.project.set(kernel.floats(this.latents + 4 * dim * frames, two))
    const coarse = about.coarse[0], fine = about.fine[0]
    run.linear(this.latents, 4 * dim, frames, this.project.at, this.project.bias, 3 * dim, coarse, this.frames, 4 * coarse, 0)
    const seen = this.coarse.run(this.frames, frames, state.coarse)
    run.linear(seen, 4 * coarse, frames, this.up.at, this.up.bias, coarse, this.up.outputs, this.frames, 4 * this.up.outputs, 0)
    const found = this.fine.run(this.frames, rows, state.fine)
    run.norm(found, rows, fine, this.norm.weight, this.norm.bias, found)
    run.linear(found, 4 * fine, rows, this.head.at, this.head.bias, fine, this.head.outputs, this.spectrum, 4 * this.head.outputs, 0)
    this.polar(rows)
    run.linear(this.spectrum, 4 * this.head.outputs, rows, this.inverse.at, this.inverse.bias, this.inverse.inputs, about.window, this.sound, 4 * about.window, 0)
    this.overlap(rows, state.overlap, out)
  }
  /** Log-magnitudes and phases to real and imaginary parts, in their place. @param {number} rows */
  polar(rows) {
    const bins = this.about.window / 2 + 1, { outputs } = this.head, x = this.kernel.floats(this.spectrum, rows * outputs)
    for (let r = 0; r < rows; r++) for (let a = r * outputs, p = a + bins, end = p; a < end; a++, p++) {
      const magnitude = Math.exp(Math.min(x[a], this.loudest)), phase = x[p]
      x[a] = magnitude * Math.cos(phase)
      x[p] = magnitude * Math.sin(phase)
    }
  }
  /** @param {number} rows @param {Float32Array} past what earlier steps gave beyond their own samples; moved on @param {Float32Array} out */
  overlap(rows, past, out) {
    const { window, step } = this.about, sound = this.kernel.floats(this.sound, rows * window), rest = window - step
    for (let r = 0; r < rows; r++) {
      const from = r * window, to = r * step
      for (let n = 0; n < step; n++) out[to + n] = past[n] + sound[from + n]
      for (let n = step; n < rest; n++) past[n - step] = past[n] + sound[from + n]
      for (let n = rest; n < window; n++) past[n - step] = sound[from + n]
    }
  }
  /** What the last frames go on to sound like when nothing follows. @param {DecoderState} state */
  fade(state) { return state.overlap.slice() }
}

/** Codebooks, as the decoder adds them up: f32 [stages][size][dim] in the kernel's memory. */
export class Books {
  /** @param {Kernel} kernel @param {Record<string, Tensor>} tensors */
  constructor(kernel, tensors) {
    const base = tensors['quantizer.base']
    if (!base) throw new ModelError('no quantizer.base in the weights')
    const [stages, size, dim] = base.shape
    Object.assign(this, { kernel })
    this.kernel = kernel
    this.stages = stages
    this.size = size
    this.dim = dim
    this.scale = floatsOf(tensors['quantizer.stage_scale'], 'quantizer.stage_scale')
    const numbers = floatsOf(base, 'quantizer.base'), one = size * dim
    for (let i = 0; i < numbers.length; i++) numbers[i] *= this.scale[Math.floor(i / one)]
    this.at = kernel.putFloats(numbers)
  }
}

/** @typedef {{samples: Float32Array, fine: Float32Array, coarse: Float32Array}} EncoderState */

/** Samples to codes. */
export class Encoder {
  /** @param {Kernel} kernel @param {Record<string, Tensor>} tensors the encoder's, and the quantizer's @param {About} about @param {Books} books */
  constructor(kernel, tensors, about, books) {
    const layers = new Layers(kernel, tensors), steps = about.hop / about.step
    this.kernel = kernel
    this.about = about
    this.books = books
    this.steps = steps
    this.embed = layers.linear(['encoder.embed'])
    this.fine = new Level(layers, 'encoder.fine', about.encoderFine, FRAMES * steps, about.expansion * about.encoderFine[0])
    this.down = layers.linear(['encoder.down.linear'])
    this.coarse = new Level(layers, 'encoder.coarse', about.encoderCoarse, FRAMES, about.expansion * about.encoderCoarse[0])
    this.norm = layers.affine('encoder.norm')
    this.project = layers.linear(['encoder.project'])
    this.offset = layers.numbers('quantizer.offset')
    this.spread = layers.numbers('quantizer.spread')[0]
    this.features = kernel.room(4 * this.embed.inputs * FRAMES * steps)
    this.rows = kernel.room(4 * about.encoderFine[0] * FRAMES * steps)
    this.frames = kernel.room(4 * about.encoderCoarse[0] * FRAMES)
    this.latents = kernel.room(4 * about.dim * FRAMES)
    this.found = kernel.room(2 * about.stages * FRAMES)
    this.tables = this.searchTables(layers.numbers('quantizer.usage'))
    this.scratch = kernel.room(kernel.run.searchBytes(FRAMES, about.stages, about.size, about.dim, about.beam))
    const { window } = about
    this.window = hann(window)
    this.cosines = Float64Array.from({ length: window }, (_, i) => Math.cos((2 * Math.PI * i) / window))
    this.even = new Float64Array(window / 2 + 1)
    this.odd = new Float64Array(window / 2 + 1)
    this.transform = this.transformTable()
  }
  /** Cosines and sines of bin after bin, half a window each: the window folded, which halves the work. */
  transformTable() {
    const { window } = this.about, half = window / 2, table = new Float64Array(2 * (half + 1) ** 2)
    for (let b = 0, at = 0; b <= half; b++) for (let n = 0; n <= half; n++, at += 2) {
      table[at] = this.cosines[(b * n) % window]
      table[at + 1] = Math.sin((2 * Math.PI * ((b * n) % window)) / window)
    }
    return table
  }
  /** What the search knows of the codebooks, as gritcodec/engine/search.py works it out. @param {Float32Array} usage */
  searchTables(usage) {
    const { kernel, about } = this, { stages, size, dim } = this.books, f = Math.fround
    const numbers = kernel.floats(this.books.at, stages * size * dim).slice()
    const energy = this.books.scale.map((v) => v * v), last = stages > 1 ? f(energy[stages - 1] * f(energy[stages - 1] / energy[stages - 2])) : energy[0]
    const units = Float32Array.from({ length: stages }, (_, s) => f((s + 1 < stages ? energy[s + 1] : last) * dim))
    const prices = new Float32Array(stages * size), ratios = new Float32Array(stages * size), minus = new Float32Array(stages * size)
    for (let s = 0; s < stages; s++) {
      let all = 0
      for (let k = 0; k < size; k++) all += usage[s * size + k]
      for (let k = s * size, end = k + size; k < end; k++) {
        const share = Math.max(f(usage[k] / f(all)), f(0.1 / size))
        prices[k] = f(f(-f(Math.log2(share))) * f(about.rateWeight[s])) * units[s]
        ratios[k] = prices[k] / units[s]
        let square = 0
        for (let d = k * dim, to = d + dim; d < to; d++) square += numbers[d] * numbers[d]
        minus[k] = -f(f(f(square) + prices[k]) / 2)
      }
    }
    const panels = kernel.room(4 * numbers.length)
    for (let s = 0; s < stages; s++) kernel.run.panels32(this.books.at + 4 * s * size * dim, panels + 4 * s * size * dim, size, dim)
    return { panels, minus: kernel.putFloats(minus), prices: kernel.putFloats(prices), ratios: kernel.putFloats(ratios), units: kernel.putFloats(units) }
  }
  /** @returns {EncoderState} */
  begin() {
    const { window, step } = this.about
    return { samples: new Float32Array(window - step), fine: new Float32Array(this.fine.size), coarse: new Float32Array(this.coarse.size) }
  }
  /**
   * Codes [frames][stages] of whole frames of samples.
   * @param {Float32Array} samples @param {number} stages @param {EncoderState} state moved on
   */
  encode(samples, stages, state) {
    const { hop } = this.about, frames = samples.length / hop, out = new Uint16Array(frames * stages)
    for (let from = 0; from < frames; from += FRAMES) {
      const count = Math.min(FRAMES, frames - from)
      this.block(samples.subarray(from * hop, (from + count) * hop), count, state)
      this.search(count, stages)
      out.set(this.kernel.words(this.found, count * stages), from * stages)
    }
    return out
  }
  /** Latents of frames. @param {Float32Array} samples @param {number} frames @param {EncoderState} state */
  block(samples, frames, state) {
    const { kernel, about } = this, { run } = kernel, rows = frames * this.steps, fine = about.encoderFine[0], coarse = about.encoderCoarse[0]
    this.analyse(samples, rows, state)
    run.linear(this.features, 4 * this.embed.inputs, rows, this.embed.at, this.embed.bias, this.embed.inputs, fine, this.rows, 4 * fine, 0)
    const seen = this.fine.run(this.rows, rows, state.fine)
    run.linear(seen, 4 * fine * this.steps, frames, this.down.at, this.down.bias, fine * this.steps, coarse, this.frames, 4 * coarse, 0)
    const found = this.coarse.run(this.frames, frames, state.coarse)
    run.norm(found, frames, coarse, this.norm.weight, this.norm.bias, found)
    run.linear(found, 4 * coarse, frames, this.project.at, this.project.bias, coarse, about.dim, this.latents, 4 * about.dim, 0)
    const z = kernel.floats(this.latents, frames * about.dim)
    for (let i = 0; i < z.length; i++) z[i] = Math.fround(z[i] - this.offset[i % about.dim]) / this.spread
  }
  /** Features of steps: the spectrum, its magnitude to the power of 0.3. @param {Float32Array} samples @param {number} rows @param {EncoderState} state */
  analyse(samples, rows, state) {
    const { window, step } = this.about, half = window / 2, { even, odd, transform } = this
    const x = new Float32Array(window - step + samples.length)
    x.set(state.samples)
    x.set(samples, window - step)
    state.samples.set(x.subarray(x.length - (window - step)))
    const out = this.kernel.floats(this.features, rows * (window + 2))
    for (let r = 0, to = 0; r < rows; r++) {
      const from = r * step, shape = this.window
      /** @param {number} n */
      const at = (n) => Math.fround(x[from + n] * Math.fround(shape[n]))
      even[0] = at(0)
      even[half] = at(half)
      for (let n = 1; n < half; n++) {
        const a = at(n), b = at(window - n)
        even[n] = a + b
        odd[n] = a - b
      }
      for (let b = 0, i = 0; b <= half; b++, to += 2) {
        let re = 0, im = 0
        for (let n = 0; n <= half; n++, i += 2) {
          re += even[n] * transform[i]
          im -= odd[n] * transform[i + 1]
        }
        const gain = (re * re + im * im + 1e-8) ** -0.35
        out[to] = re * gain
        out[to + 1] = im * gain
      }
    }
  }
  /** @param {number} frames @param {number} stages */
  search(frames, stages) {
    const { about, books, tables } = this
    this.kernel.run.search(this.latents, frames, stages, books.stages, books.size, books.dim, books.at, tables.panels, tables.minus, tables.prices, tables.ratios, tables.units, about.beam, this.scratch, this.found)
  }
}
