// Sound that comes block by block to packets of codes and pauses: the same for files and for live streams
import { joined } from './bytes.js'
import { blockBytes } from './header.js'
import { rescaled } from './player.js'
import { Resampler } from './resample.js'
import { pack, savingsBytes } from './write.js'

/** @typedef {import('./codec.js').Codec} Codec */
/** @typedef {import('./write.js').Part} Part */
/** @typedef {import('./plan.js').Header} Header */
/** @typedef {{kind: 'codes', stages: number, frames: number, codes: Uint16Array}} Coded codes [channels][stages][frames] */
/** @typedef {{kind: 'quiet', frames: number}} Quiet */

const LEAST = 16, SILENCE = 2 ** -16, PAST = 16
export const LONGEST_PAUSE = 4096

/** Makes frames of samples, and packets of frames. */
export class Framer {
  /** @param {Codec} codec @param {number} sampleRate @param {number} channels @param {number} stages @param {number} size frames of a packet */
  constructor(codec, sampleRate, channels, stages, size) {
    const { about, encoder } = codec
    this.codec = codec
    this.sampleRate = sampleRate
    this.channels = channels
    this.stages = stages
    this.size = size
    this.samples = 0 // in, of each channel
    this.frames = 0
    this.resamplers = Array.from({ length: channels }, () => new Resampler(sampleRate, about.rate))
    this.states = Array.from({ length: channels }, () => encoder.begin())
    this.pending = Array.from({ length: channels }, () => new Float32Array(0))
    /** @type {boolean[]} of the last frames, as many as one depends on */
    this.loud = new Array(Math.ceil(about.window / about.hop)).fill(false)
    /** @type {{codes: Uint16Array[], quiet: boolean}[]} frames that wait, codes [stages] of each channel */
    this.waiting = []
    this.pausing = false
    this.silent = 0 // frames in a row that were taken
  }
  /** @param {Float32Array[]} block a channel each @returns {(Coded | Quiet)[]} */
  push(block) {
    if (block.length !== this.channels) throw new RangeError(`${block.length} channels, and not ${this.channels}`)
    for (const x of block) if (!/^\[object Float(32|64)Array\]$/.test(Object.prototype.toString.call(x))) throw new TypeError('sound is a Float32Array for each channel, of samples from -1 to 1')
    if (block.some((x) => x.length !== block[0].length)) throw new RangeError('channels of unequal lengths')
    for (const x of block) for (const v of x) if (!Number.isFinite(v)) throw new RangeError('a sample that is no number')
    this.samples += block[0].length
    return this.feed(block.map((x, c) => this.resamplers[c].push(x)), false)
  }
  /** The packets that remain. */
  finish() {
    const { about } = this.codec, total = rescaled(this.samples, this.sampleRate, about.rate)
    const first = this.feed(this.resamplers.map((r) => r.finish(total)), false)
    const missing = (this.codec.framesOf(this.samples, this.sampleRate) - this.frames) * about.hop - this.pending[0].length
    return [...first, ...this.feed(this.resamplers.map(() => new Float32Array(Math.max(missing, 0))), true)]
  }
  /** @param {Float32Array[]} block at the model's rate @param {boolean} last @returns {(Coded | Quiet)[]} */
  feed(block, last) {
    const { hop } = this.codec.about
    this.pending = this.pending.map((x, c) => { const out = new Float32Array(x.length + block[c].length); out.set(x); out.set(block[c], x.length); return out })
    const count = Math.floor(this.pending[0].length / hop)
    if (count) {
      const found = this.pending.map((x, c) => this.codec.encoder.encode(x.subarray(0, count * hop), this.stages, this.states[c]))
      for (let f = 0; f < count; f++) {
        // A frame needs no codes if no sample that it depends on is heard.
        const loud = this.pending.some((x) => { for (let n = f * hop; n < (f + 1) * hop; n++) if (Math.abs(x[n]) >= SILENCE) return true; return false })
        const quiet = !loud && !this.loud.includes(true)
        this.loud = [...this.loud.slice(1), loud]
        this.waiting.push({ codes: found.map((all) => all.slice(f * this.stages, (f + 1) * this.stages)), quiet })
      }
      this.frames += count
      this.pending = this.pending.map((x) => x.slice(count * hop))
    }
    const out = []
    while (this.waiting.length >= this.size || (last && this.waiting.length)) out.push(this.next(Math.min(this.waiting.length, this.size)))
    return out
  }
  /** What the next frames, of `count` that are there, become. @param {number} count @returns {Coded | Quiet} */
  next(count) {
    const run = (/** @type {number} */ from) => { let n = from; while (n < count && this.waiting[n].quiet) n++; return n - from }
    const silent = run(0)
    if (this.size < PAST) return silent === count && this.silent >= LEAST ? this.quiet(count) : this.coded(count)
    if (silent >= LEAST || (this.pausing && silent)) return this.quiet(silent)
    for (let start = 1; start <= count - LEAST; start++) if (run(start) >= LEAST) return this.coded(start)
    return this.coded(count)
  }
  /** @param {number} count */
  take(count) {
    const frames = this.waiting.splice(0, count)
    for (const { quiet } of frames) this.silent = quiet ? this.silent + 1 : 0
    return frames
  }
  /** @param {number} count @returns {Quiet} */
  quiet(count) {
    this.take(count)
    this.pausing = true
    return { kind: 'quiet', frames: count }
  }
  /** @param {number} count @returns {Coded} */
  coded(count) {
    const frames = this.take(count), { channels, stages } = this, codes = new Uint16Array(channels * stages * count)
    this.pausing = false
    for (let c = 0; c < channels; c++) for (let s = 0; s < stages; s++) for (let t = 0; t < count; t++) codes[(c * stages + s) * count + t] = frames[t].codes[c][s]
    return { kind: 'codes', stages, frames: count, codes }
  }
}

/** Codes in the order of coding 0: stage by stage. @param {Uint16Array} codes [channels][stages][frames] @param {number} channels @param {number} all @param {number} frames @param {number} stages the first ones */
function byStage(codes, channels, all, frames, stages) {
  const out = new Uint16Array(stages * channels * frames)
  for (let s = 0; s < stages; s++) for (let c = 0; c < channels; c++) out.set(codes.subarray((c * all + s) * frames, (c * all + s + 1) * frames), (s * channels + c) * frames)
  return out
}
/** A packet in coding 0 or 1. @param {Codec} codec @param {Header} header @param {Coded} part @returns {import('./write.js').PacketPart} */
export function packetOf(codec, header, { stages, frames, codes }) {
  const { channels, codeBits } = header, turned = byStage(codes, channels, stages, frames, stages), one = channels * frames
  if (header.coding === 0) return { kind: 'packet', stages, frames, body: pack(turned, codeBits) }
  const plain = blockBytes(header, frames)
  const blocks = codec.entropy.blocks(codes, channels, stages, frames).map((b, s) => (b.length >= plain ? pack(turned.subarray(s * one, (s + 1) * one), codeBits) : b))
  return { kind: 'packet', stages, frames, body: joined([savingsBytes(blocks.map((b) => plain - b.length), plain), ...blocks]) }
}
/** The block of a chained packet with its first stages. @param {Codec} codec @param {Header} header @param {Coded} part @param {number} stages @param {boolean} fresh */
export function chainedBlock(codec, header, part, stages, fresh) {
  const turned = byStage(part.codes, header.channels, part.stages, part.frames, stages), block = codec.entropy.chain(turned, header.channels, stages, part.frames, fresh)
  return block.length < Math.ceil((turned.length * header.codeBits) / 8) ? block : pack(turned, header.codeBits)
}
