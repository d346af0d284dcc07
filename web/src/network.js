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

/** What the kernel takes for n channels: it works on eight at a time, and those that are none are zeros everywhere. @param {number} n */
const wide = (n) => (n + 7) & ~7

/** Reads layers into the kernel's memory, where rows are as wide as `wide` says. */
class Layers {
  /** @param {Kernel} kernel @param {Record<string, Tensor>} tensors */
  constructor(kernel, tensors) {
    this.kernel = kernel
    this.tensors = tensors
    // Room for the largest matrix, on its way.
    this.spare = kernel.room(Object.values(tensors).reduce((most, { shape, bytes }) => (shape.length === 2 ? Math.max(most, bytes.length) : most), 0))
  }
  /** @param {string} name @param {number[]} shape that it must have */
  get(name, shape) {
    const tensor = this.tensors[name]
    if (!tensor) throw new ModelError(`no ${name} in the weights`)
    if (`${tensor.shape}` !== `${shape}`) throw new ModelError(`${name} is of shape [${tensor.shape}], and not [${shape}]`)
    return tensor
  }
  /** @param {string} name @param {number[]} shape */
  numbers(name, shape) { return floatsOf(this.get(name, shape), name) }
  /** Floats in groups of `each`, and zeros behind each group. @param {ArrayLike<number>} values @param {number} each */
  put(values, each) {
    const groups = values.length / each, room = wide(each), spread = new Float32Array(groups * room)
    for (let i = 0; i < values.length; i++) spread[Math.floor(i / each) * room + (i % each)] = values[i]
    return this.kernel.putFloats(spread)
  }
  /**
   * One layer of one or more tensors, one's outputs behind the other's; times `scale` where it is given.
   * @param {string[]} names @param {number[]} from inputs: groups of rows, and channels of each group @param {number[]} to outputs of all, likewise @param {string} [scale] @returns {Linear}
   */
  linear(names, [before, channels], [behind, each], scale) {
    const { kernel } = this, count = before * channels, inputs = before * wide(channels), outputs = behind * wide(each), own = (behind * each) / names.length
    const scales = scale ? this.numbers(scale, [behind * each]) : null, by = scales ? kernel.putFloats(scales) : 0
    const at = kernel.room(4 * inputs * outputs), biases = new Float32Array(behind * each)
    kernel.floats(at, inputs * outputs).fill(0)
    names.forEach((name, i) => {
      const first = i * own, tensor = this.get(`${name}.weight`, [own, count])
      biases.set(this.numbers(`${name}.bias`, [own]), first)
      // The kernel takes what is in float16 and needs no zeros between: most of what there is.
      if (tensor.type === 'F16' && count === inputs && (behind === 1 || behind * each === outputs)) {
        kernel.bytes(this.spare, tensor.bytes.length).set(tensor.bytes)
        kernel.run.panels16(this.spare, at, own, inputs, by, first)
        return
      }
      const numbers = floatsOf(tensor, name), panels = kernel.floats(at, inputs * outputs), jump = 8 * (wide(channels) - channels)
      for (let o = first, source = 0; o < first + own; o++) {
        const place = Math.floor(o / each) * wide(each) + (o % each)
        let target = (place >> 3) * inputs * 8 + (place & 7)
        for (let b = 0; b < before; b++, target += jump) for (let c = 0; c < channels; c++, source++, target += 8) panels[target] = numbers[source] * (scales ? scales[o] : 1)
      }
    })
    if (scales) for (let o = 0; o < biases.length; o++) biases[o] *= scales[o]
    return { at, bias: this.put(biases, each), inputs, outputs }
  }
  /** @param {string} name @param {number} count @returns {Affine} */
  affine(name, count) {
    return { weight: this.put(this.numbers(`${name}.weight`, [count]), count), bias: this.put(this.numbers(`${name}.bias`, [count]), count) }
  }
  /** Taps [C, 1, 7] as [7, C]. @param {string} name @param {number} count @returns {Affine} */
  depthwise(name, count) {
    const numbers = this.numbers(`${name}.weight`, [count, 1, TAPS])
    const turned = Float32Array.from(numbers, (_, i) => numbers[(i % count) * TAPS + Math.floor(i / count)])
    return { weight: this.put(turned, count), bias: this.put(this.numbers(`${name}.bias`, [count]), count) }
  }
}

/** A level: a norm and residual blocks. Its past is six rows of each block's input. */
class Level {
  /** @param {Layers} layers @param {string} name @param {number[]} size channels and blocks @param {number} rows at a time @param {number} expansion hidden channels of each channel */
  constructor(layers, name, [real, blocks], rows, expansion) {
    const { kernel } = layers, channels = wide(real), inner = expansion * real
    Object.assign(this, { kernel, channels })
    this.kernel = kernel
    this.real = real
    this.channels = channels // of a row
    this.norm = layers.affine(`${name}.norm`, real)
    const room = () => kernel.room(4 * channels * (PAST + rows))
    /** @type {Block[]} */
    this.blocks = Array.from({ length: blocks }, (_, i) => {
      const own = `${name}.blocks.${i}`
      return { depthwise: layers.depthwise(`${own}.depthwise`, real), norm: layers.affine(`${own}.norm`, real), up: layers.linear([`${own}.up`], [1, real], [1, inner]), down: layers.linear([`${own}.down`], [1, inner], [1, real], `${own}.scale`), past: room() }
    })
    this.result = room() + 4 * channels * PAST
    this.middle = kernel.room(4 * channels * rows)
    this.hidden = kernel.room(4 * wide(inner) * rows)
  }
  /** Numbers of the past of one stream. */
  get size() { return this.blocks.length * PAST * this.channels }

  /** Rows at x -> rows at `result`. @param {number} x @param {number} rows @param {Float32Array} past moved on */
  run(x, rows, past) {
    const { kernel, channels, real } = this, { run } = kernel, own = PAST * channels
    /** @param {number} i */
    const inputOf = (i) => (i < this.blocks.length ? this.blocks[i].past + 4 * own : this.result)
    run.norm(x, rows, real, this.norm.weight, this.norm.bias, inputOf(0))
    this.blocks.forEach((block, i) => {
      const input = inputOf(i), output = inputOf(i + 1)
      kernel.floats(block.past, own).set(past.subarray(i * own, (i + 1) * own))
      run.depthwise(input, rows, channels, block.depthwise.weight, block.depthwise.bias, this.middle)
      run.norm(this.middle, rows, real, block.norm.weight, block.norm.bias, this.middle)
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
/** @param {number} window */
const binsOf = (window) => (window >> 1) + 1

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
    const { dim, coarse: [coarse], fine: [fine], window } = about
    this.bins = binsOf(window)
    this.project = layers.linear(['decoder.project.linear'], [3, dim], [1, coarse])
    this.coarse = new Level(layers, 'decoder.coarse', about.coarse, FRAMES, about.expansion)
    this.up = layers.linear(['decoder.up.linear'], [1, coarse], [steps, fine])
    this.fine = new Level(layers, 'decoder.fine', about.fine, FRAMES * steps, about.expansion)
    this.norm = layers.affine('decoder.head.norm', fine)
    this.head = layers.linear(['decoder.head.magnitude', 'decoder.head.phase'], [1, fine], [1, 2 * this.bins])
    this.codes = kernel.room(2 * about.stages * FRAMES)
    this.latents = kernel.room(4 * books.dim * (FRAMES + 2))
    this.frames = kernel.room(4 * Math.max(this.coarse.channels, this.up.outputs) * FRAMES)
    this.spectrum = kernel.room(4 * this.head.outputs * FRAMES * steps)
    this.sound = kernel.room(4 * wide(window) * FRAMES * steps)
    this.inverse = this.inverseTransform()
    this.loudest = Math.log(about.window / 2)
  }
  /** Rows of real parts and then of imaginary ones to samples under the window, as a layer. @returns {Linear} */
  inverseTransform() {
    const { kernel, bins } = this, { window, step } = this.about, shape = hann(window), outputs = wide(window)
    const squares = Array.from({ length: step }, (_, i) => { let sum = 0; for (let j = i; j < window; j += step) sum += shape[j] ** 2; return sum })
    const matrix = new Float32Array(outputs * 2 * bins) // [sample, part]
    for (let n = 0; n < window; n++) for (let b = 0; b < bins; b++) {
      const alone = b === 0 || 2 * b === window // the others stand for their mirror image too
      const by = ((alone ? 1 : 2) / window) * (shape[n] / squares[n % step]), angle = (2 * Math.PI * ((b * n) % window)) / window
      matrix[n * 2 * bins + b] = by * Math.cos(angle)
      matrix[n * 2 * bins + bins + b] = alone ? 0 : -by * Math.sin(angle)
    }
    const from = kernel.putFloats(matrix), at = kernel.room(4 * matrix.length)
    kernel.run.panels32(from, at, outputs, 2 * bins)
    return { at, bias: kernel.putFloats(new Float32Array(outputs)), inputs: 2 * bins, outputs }
  }
  /** @returns {DecoderState} */
  begin() {
    const { window, step } = this.about
    return { project: new Float32Array(2 * this.books.dim), coarse: new Float32Array(this.coarse.size), fine: new Float32Array(this.fine.size), overlap: new Float32Array(window - step) }
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
    const { kernel, books, steps, project, up, head, inverse } = this, { run } = kernel, { dim } = books, rows = frames * steps
    const two = 2 * dim
    kernel.floats(this.latents, two).set(state.project)
    run.latents(this.codes, stages, frames, books.size, dim, books.at, this.latents + 4 * two)
    state.project.set(kernel.floats(this.latents + 4 * dim * frames, two))
    run.linear(this.latents, 4 * dim, frames, project.at, project.bias, project.inputs, project.outputs, this.frames, 4 * project.outputs, 0)
    const seen = this.coarse.run(this.frames, frames, state.coarse)
    run.linear(seen, 4 * up.inputs, frames, up.at, up.bias, up.inputs, up.outputs, this.frames, 4 * up.outputs, 0)
    const found = this.fine.run(this.frames, rows, state.fine)
    run.norm(found, rows, this.fine.real, this.norm.weight, this.norm.bias, found)
    run.linear(found, 4 * head.inputs, rows, head.at, head.bias, head.inputs, head.outputs, this.spectrum, 4 * head.outputs, 0)
    this.polar(rows)
    run.linear(this.spectrum, 4 * head.outputs, rows, inverse.at, inverse.bias, inverse.inputs, inverse.outputs, this.sound, 4 * inverse.outputs, 0)
    this.overlap(rows, state.overlap, out)
  }
  /** Log-magnitudes and phases to real and imaginary parts, in their place. @param {number} rows */
  polar(rows) {
    const { bins } = this, { outputs } = this.head, x = this.kernel.floats(this.spectrum, rows * outputs)
    for (let r = 0; r < rows; r++) for (let a = r * outputs, p = a + bins, end = p; a < end; a++, p++) {
      const magnitude = Math.exp(Math.min(x[a], this.loudest)), phase = x[p]
      x[a] = magnitude * Math.cos(phase)
      x[p] = magnitude * Math.sin(phase)
    }
  }
  /** @param {number} rows @param {Float32Array} past what earlier steps gave beyond their own samples; moved on @param {Float32Array} out */
  overlap(rows, past, out) {
    const { window, step } = this.about, { outputs } = this.inverse, sound = this.kernel.floats(this.sound, rows * outputs), rest = window - step
    for (let r = 0; r < rows; r++) {
      const from = r * outputs, to = r * step
      for (let n = 0; n < step; n++) out[to + n] = past[n] + sound[from + n]
      for (let n = step; n < rest; n++) past[n - step] = past[n] + sound[from + n]
      for (let n = rest; n < window; n++) past[n - step] = sound[from + n]
    }
  }
  /** What the last frames go on to sound like when nothing follows. @param {DecoderState} state */
  fade(state) { return state.overlap.slice() }
}

/** Codebooks, as the decoder adds them up: f32 [stages][size][dim] in the kernel's memory, both filled up with zeros to whole eights. */
export class Books {
  /** @param {Kernel} kernel @param {Record<string, Tensor>} tensors @param {About} about */
  constructor(kernel, tensors, about) {
    const { stages } = about, base = tensors['quantizer.base'], shape = [stages, about.size, about.dim]
    if (!base) throw new ModelError('no quantizer.base in the weights')
    if (`${base.shape}` !== `${shape}`) throw new ModelError(`quantizer.base is of shape [${base.shape}], and not [${shape}]`)
    Object.assign(this, { kernel })
    this.kernel = kernel
    this.stages = stages
    this.codes = about.size // of a stage
    this.size = wide(about.size)
    this.dim = wide(about.dim)
    this.scale = floatsOf(tensors['quantizer.stage_scale'], 'quantizer.stage_scale')
    const numbers = floatsOf(base, 'quantizer.base'), held = new Float32Array(stages * this.size * this.dim)
    for (let s = 0, from = 0; s < stages; s++) for (let k = 0; k < this.codes; k++) for (let d = 0, to = (s * this.size + k) * this.dim; d < about.dim; d++) held[to + d] = numbers[from++] * this.scale[s]
    this.at = kernel.putFloats(held)
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
    const { dim, encoderCoarse: [coarse], encoderFine: [fine] } = about
    this.bins = binsOf(about.window)
    this.embed = layers.linear(['encoder.embed'], [1, (about.logMagnitudes ? 3 : 2) * this.bins], [1, fine])
    this.fine = new Level(layers, 'encoder.fine', about.encoderFine, FRAMES * steps, about.expansion)
    this.down = layers.linear(['encoder.down.linear'], [steps, fine], [1, coarse])
    this.coarse = new Level(layers, 'encoder.coarse', about.encoderCoarse, FRAMES, about.expansion)
    this.norm = layers.affine('encoder.norm', coarse)
    this.project = layers.linear(['encoder.project'], [1, coarse], [1, dim])
    this.offset = layers.numbers('quantizer.offset', [dim])
    this.spread = layers.numbers('quantizer.spread', [])[0]
    this.features = kernel.putFloats(new Float32Array(this.embed.inputs * FRAMES * steps)) // what lies behind a row's features stays zero
    this.rows = kernel.room(4 * this.embed.outputs * FRAMES * steps)
    this.frames = kernel.room(4 * this.down.outputs * FRAMES)
    this.latents = kernel.room(4 * books.dim * FRAMES)
    this.found = kernel.room(2 * about.stages * FRAMES)
    this.tables = this.searchTables(layers.numbers('quantizer.usage', [about.stages, about.size]))
    this.scratch = kernel.room(kernel.run.searchBytes(FRAMES, about.stages, books.size, books.dim, about.beam))
    const { window } = about
    this.window = hann(window)
    this.cosines = Float64Array.from({ length: window }, (_, i) => Math.cos((2 * Math.PI * i) / window))
    this.even = new Float64Array(this.bins)
    this.odd = new Float64Array(this.bins)
    this.transform = this.transformTable()
  }
  /** Cosines and sines of bin after bin, half a window each: the window folded, which halves the work. */
  transformTable() {
    const { bins } = this, { window } = this.about, table = new Float64Array(2 * bins ** 2)
    for (let b = 0, at = 0; b < bins; b++) for (let n = 0; n < bins; n++, at += 2) {
      table[at] = this.cosines[(b * n) % window]
      table[at + 1] = Math.sin((2 * Math.PI * ((b * n) % window)) / window)
    }
    return table
  }
  /** What the search knows of the codebooks, as gritcodec/engine/search.py works it out. @param {Float32Array} usage */
  searchTables(usage) {
    const { kernel, about } = this, { stages, codes, size, dim } = this.books, f = Math.fround
    const numbers = kernel.floats(this.books.at, stages * size * dim).slice()
    const energy = this.books.scale.map((v) => v * v), last = stages > 1 ? f(energy[stages - 1] * f(energy[stages - 1] / energy[stages - 2])) : energy[0]
    const units = Float32Array.from({ length: stages }, (_, s) => f((s + 1 < stages ? energy[s + 1] : last) * about.dim))
    const prices = new Float32Array(stages * size), ratios = new Float32Array(stages * size), minus = new Float32Array(stages * size)
    for (let s = 0; s < stages; s++) {
      const shares = usage.subarray(s * codes, (s + 1) * codes), all = f(shares.reduce((sum, v) => sum + v, 0))
      for (let i = 0, k = s * size; i < codes; i++, k++) {
        const share = Math.max(f(shares[i] / all), f(0.1 / codes))
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
    const { kernel, about, embed, down, project } = this, { run } = kernel, rows = frames * this.steps
    this.analyse(samples, rows, state)
    run.linear(this.features, 4 * embed.inputs, rows, embed.at, embed.bias, embed.inputs, embed.outputs, this.rows, 4 * embed.outputs, 0)
    const seen = this.fine.run(this.rows, rows, state.fine)
    run.linear(seen, 4 * down.inputs, frames, down.at, down.bias, down.inputs, down.outputs, this.frames, 4 * down.outputs, 0)
    const found = this.coarse.run(this.frames, frames, state.coarse)
    run.norm(found, frames, this.coarse.real, this.norm.weight, this.norm.bias, found)
    run.linear(found, 4 * project.inputs, frames, project.at, project.bias, project.inputs, project.outputs, this.latents, 4 * project.outputs, 0)
    const z = kernel.floats(this.latents, frames * project.outputs)
    for (let f = 0; f < z.length; f += project.outputs) for (let d = 0; d < about.dim; d++) z[f + d] = Math.fround(z[f + d] - this.offset[d]) / this.spread
  }
  /** Features of steps: the spectrum, its magnitude to the power of 0.3, and the magnitudes' logarithms where the network takes them. @param {Float32Array} samples @param {number} rows @param {EncoderState} state */
  analyse(samples, rows, state) {
    const { bins, even, odd, transform } = this, { window, step, logMagnitudes } = this.about
    const x = new Float32Array(window - step + samples.length)
    x.set(state.samples)
    x.set(samples, window - step)
    state.samples.set(x.subarray(x.length - (window - step)))
    const { inputs } = this.embed, out = this.kernel.floats(this.features, rows * inputs)
    for (let r = 0; r < rows; r++) {
      const from = r * step, shape = this.window
      /** @param {number} n */
      const at = (n) => Math.fround(x[from + n] * Math.fround(shape[n]))
      even[0] = at(0)
      for (let n = 1; n < bins; n++) {
        const a = at(n), b = 2 * n < window ? at(window - n) : 0
        even[n] = a + b
        odd[n] = a - b
      }
      for (let b = 0, i = 0, to = r * inputs, level = to + 2 * bins; b < bins; b++, to += 2) {
        let re = 0, im = 0
        for (let n = 0; n < bins; n++, i += 2) {
          re += even[n] * transform[i]
          im -= odd[n] * transform[i + 1]
        }
        const power = re * re + im * im + 1e-8, gain = power ** -0.35
        out[to] = re * gain
        out[to + 1] = im * gain
        if (logMagnitudes) out[level + b] = 0.5 + 0.09 * Math.log(power)
      }
    }
  }
  /** @param {number} frames @param {number} stages */
  search(frames, stages) {
    const { about, books, tables } = this
    this.kernel.run.search(this.latents, frames, stages, books.stages, books.codes, books.size, books.dim, books.at, tables.panels, tables.minus, tables.prices, tables.ratios, tables.units, about.beam, this.scratch, this.found)
  }
}
