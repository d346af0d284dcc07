// A model, ready to play and to record
import { asBytes } from './bytes.js'
import { Entropy } from './entropy.js'
import { ModelError, Refusal, WrongModel } from './errors.js'
import { Kernel } from './kernel.js'
import { Books, Decoder, Encoder } from './network.js'
import { Player, rescaled } from './player.js'
import { Recorder } from './recorder.js'
import { Sender } from './sender.js'
import { aboutOf, readTensors, unpacked } from './weights.js'

/** @typedef {import('./types.js').Header} Header */
/** @typedef {import('./types.js').Source} Source */
/** @typedef {import('./types.js').Sound} Sound */

const HIGHEST_RATE = 768_000, MOST_CHANNELS = 255

/** Frames a second as headers have them, in hundredths; a half goes to the even number, as in Python. @param {number} rate */
function hundredths(rate) {
  const low = Math.floor(100 * rate), rest = 100 * rate - low
  return rest > 0.5 || (rest === 0.5 && low % 2) ? low + 1 : low
}

/** Bytes, or what an address gives. @param {Source} source @param {(received: number, total: number) => void} [progress] */
export async function bytesOf(source, progress) {
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return asBytes(source)
  if (String(source).startsWith('file:')) { // in Node; a name that no bundler looks for
    const name = 'node:fs/promises'
    return new Uint8Array(await (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)).readFile(new URL(source)))
  }
  const answer = await fetch(source)
  if (!answer.ok || !answer.body) throw new ModelError(`${source}: ${answer.status} ${answer.statusText}`)
  return bodyOf(answer, progress)
}

/** All bytes of an answer that has some. @param {Response} answer @param {(received: number, total: number) => void} [progress] */
export async function bodyOf(answer, progress) {
  const total = Number(answer.headers.get('content-length') ?? 0), parts = []
  let size = 0
  for (const reader = answer.body.getReader(); ;) {
    const { done, value } = await reader.read()
    if (done) break
    parts.push(value)
    size += value.length
    progress?.(size, total)
  }
  const out = new Uint8Array(size)
  let at = 0
  for (const part of parts) { out.set(part, at); at += part.length }
  return out
}

/** Tensors and metadata of weights, packed or not. @param {Source} source @param {(received: number, total: number) => void} [progress] */
const weightsOf = async (source, progress) => readTensors(await unpacked(await bytesOf(source, progress)))

/**
 * Make a model ready.
 * @param {Source} player bytes or address of player.safetensors, or of the same packed by gzip
 * @param {{encoder?: Source, progress?: (received: number, total: number) => void}} [options] encoder: of encoder.safetensors, packed or not, which only recording needs
 * @returns {Promise<Codec>}
 */
export async function load(player, { encoder, progress } = {}) {
  const { tensors, metadata } = await weightsOf(player, progress)
  const codec = new Codec(await Kernel.load(), tensors, aboutOf(metadata))
  if (encoder) await codec.loadEncoder(encoder)
  return codec
}

/** One model. It keeps no state between calls; players and recorders that it makes have their own. */
export class Codec {
  /** @param {Kernel} kernel @param {Record<string, import('./weights.js').Tensor>} tensors @param {import('./weights.js').About} about */
  constructor(kernel, tensors, about) {
    this.kernel = kernel
    this.about = about
    this.books = new Books(kernel, tensors, about)
    this.decoder = new Decoder(kernel, tensors, about, this.books)
    this.entropy = tensors['contexts.order'] ? new Entropy(kernel, tensors) : null
    /** @type {Encoder | null} */
    this.coder = null
  }
  /** 16 hexadecimal digits that name what the model's codes mean. */
  get fingerprint() { return this.about.fingerprint }
  /** Hz of the network; sound of any rate goes in and comes out. */
  get sampleRate() { return this.about.rate }
  get frameRate() { return this.about.rate / this.about.hop }
  get codeBits() { return Math.round(Math.log2(this.about.size)) }
  /** kbps a channel, one for each number of stages. */
  get bitrates() { return Array.from({ length: this.about.stages }, (_, s) => ((s + 1) * this.codeBits * this.frameRate) / 1000) }
  get canRecord() { return this.coder !== null }

  /** What recording needs. @param {Source} source bytes or address of encoder.safetensors @param {(received: number, total: number) => void} [progress] */
  async loadEncoder(source, progress) {
    if (this.coder) return
    const { tensors, metadata } = await weightsOf(source, progress)
    if (aboutOf(metadata).fingerprint !== this.fingerprint) throw new ModelError('the encoder is another model\'s')
    this.coder = new Encoder(this.kernel, tensors, this.about, this.books)
  }
  get encoder() {
    if (!this.coder) throw new ModelError('recording needs the encoder: call loadEncoder first')
    return this.coder
  }
  /** @param {number} bitrate */
  bitrateOf(bitrate) {
    if (!(bitrate >= this.bitrates[0] - 1e-6 && bitrate <= this.bitrates.at(-1) + 1e-6)) throw new RangeError(`there is no bitrate ${bitrate} kbps; there are ${this.bitrates.join(', ')}`)
    return bitrate
  }
  /** Refuse a file that this model does not play. @param {Header} h @throws {Refusal} */
  check(h) {
    const { about } = this
    if (h.fingerprint !== about.fingerprint) throw new WrongModel(`the file was made with model ${h.fingerprint}${h.encoder ? ` (${h.encoder})` : ''}, and this is ${about.name} (${about.fingerprint})`)
    if (h.stages > about.stages || h.codeBits !== this.codeBits || Math.round(100 * h.frameRate) !== hundredths(this.frameRate)) {
      throw new Refusal(`the file contradicts the model: ${h.stages} stages of codes of ${h.codeBits} bits, ${h.frameRate} frames a second`)
    }
    if (h.coding && !this.entropy) throw new WrongModel('the file is entropy-coded, and the model has no tables for that')
  }
  /** Frames of so many samples at `rate` Hz. @param {number} samples @param {number} rate */
  framesOf(samples, rate) {
    const { about } = this
    return samples ? Math.ceil((rescaled(samples, rate, about.rate) + about.window - about.step) / about.hop) : 0
  }
  /** The header of a file of this model. @param {number} sampleRate @param {number} channels @param {[string, string][]} tags */
  header(sampleRate, channels, tags) {
    if (!(Number.isInteger(sampleRate) && sampleRate >= 1 && sampleRate <= HIGHEST_RATE)) throw new RangeError(`a sample rate is a whole number from 1 to ${HIGHEST_RATE} Hz, not ${sampleRate}`)
    if (!(Number.isInteger(channels) && channels >= 1 && channels <= MOST_CHANNELS)) throw new RangeError(`there are ${channels} channels, and not 1 to ${MOST_CHANNELS}: sound is a Float32Array for each`)
    return {
      fingerprint: this.fingerprint, sampleRate, channels, samples: /** @type {number | null} */ (0), coding: this.entropy ? 1 : 0, codeBits: this.codeBits,
      stages: this.about.stages, packetFrames: 64, frameRate: hundredths(this.frameRate) / 100, tags, unknown: /** @type {any[]} */ ([]), startTime: /** @type {bigint | undefined} */ (undefined),
    }
  }

  /** Sound out of bytes as they come. @param {ConstructorParameters<typeof Player>[1]} [options] */
  player(options) { return new Player(this, options) }
  /** A file out of sound as it comes; `loadEncoder` first. @param {number} sampleRate @param {number} [channels] @param {ConstructorParameters<typeof Recorder>[3]} [options] */
  recorder(sampleRate, channels = 1, options = {}) { return new Recorder(this, sampleRate, channels, options) }
  /** A live stream out of sound as it comes; `loadEncoder` first. @param {number} sampleRate @param {number} [channels] @param {ConstructorParameters<typeof Sender>[3]} [options] */
  sender(sampleRate, channels = 1, options = {}) { return new Sender(this, sampleRate, channels, options) }

  /**
   * A whole file, and those chained to it, to sound; damaged parts fade to silence.
   * @param {Uint8Array | ArrayBuffer} bytes @param {ConstructorParameters<typeof Player>[1]} [options]
   * @returns {Sound & {report: string[], header: Header}} report: a line for everything that was wrong
   */
  decompress(bytes, options) {
    const player = this.player(options), blocks = [...player.push(bytes), ...player.finish()], { header } = player
    if (!header) throw new Refusal('not a .grit file')
    const channels = Array.from({ length: header.channels }, (_, c) => {
      const out = new Float32Array(blocks.reduce((n, b) => n + b[0].length, 0))
      let at = 0
      for (const b of blocks) { out.set(b[c], at); at += b[c].length }
      return out
    })
    return { sampleRate: header.sampleRate, channels, report: player.report, header }
  }
  /** Sound to a whole file. @param {Float32Array[]} channels @param {number} sampleRate @param {ConstructorParameters<typeof Recorder>[3]} [options] @returns {Uint8Array} */
  compress(channels, sampleRate, options) {
    const recorder = this.recorder(sampleRate, channels.length, options)
    recorder.push(channels)
    return recorder.finish()
  }
}
