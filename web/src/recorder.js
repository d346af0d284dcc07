// Sound into a .grit file: codes while it comes, the file at the end, within its bitrate
import { Framer, LONGEST_PAUSE, packetOf } from './framer.js'
import { assembleWithin, neededStages } from './plan.js'

/** @typedef {import('./codec.js').Codec} Codec */
/** @typedef {import('./write.js').Part} Part */

const LEAST_SECONDS = 10

/** Gathers codes of a signal that comes block by block. */
export class Recorder {
  /**
   * @param {Codec} codec @param {number} sampleRate Hz @param {number} channels
   * @param {{bitrate?: number, tags?: [string, string][], startTime?: bigint}} [options] bitrate: kbps a channel of the whole file
   */
  constructor(codec, sampleRate, channels, { bitrate = 3, tags = [], startTime } = {}) {
    this.codec = codec
    this.bitrate = codec.bitrateOf(bitrate)
    this.header = codec.header(sampleRate, channels, tags)
    if (startTime !== undefined) this.header.startTime = startTime
    this.framer = new Framer(codec, sampleRate, channels, Math.min(neededStages(this.header, this.bitrate, false), codec.about.stages), this.header.packetFrames)
    /** @type {Part[]} */
    this.parts = []
    this.over = false
  }
  /** Seconds so far. */
  get seconds() { return this.framer.samples / this.framer.sampleRate }
  /** Feed samples, nominally -1 to 1. @param {Float32Array[]} block a channel each */
  push(block) {
    if (this.over) throw new Error('the recording has ended')
    this.keep(this.framer.push(block))
  }
  /** End the recording: the file. @returns {Uint8Array} */
  finish() {
    if (this.over) throw new Error('the recording has ended')
    this.keep(this.framer.finish())
    this.over = true
    const { samples } = this.framer
    // The name stands in a file twice: in a short one it would cost a few percent.
    return assembleWithin({ ...this.header, samples, encoder: samples < LEAST_SECONDS * this.header.sampleRate ? undefined : this.codec.about.name }, merged(this.parts), this.bitrate)
  }
  /** @param {ReturnType<Framer['push']>} found */
  keep(found) {
    for (const part of found) this.parts.push(part.kind === 'codes' ? packetOf(this.codec, this.header, part) : { kind: 'pause', frames: part.frames, noise: [] })
  }
}
/** Parts in which pauses that follow each other are one, or several of 4096 frames. @param {Part[]} parts @returns {Part[]} */
function merged(parts) {
  /** @type {Part[]} */
  const out = []
  let silent = 0
  const flush = () => { for (; silent > 0; silent -= LONGEST_PAUSE) out.push({ kind: 'pause', frames: Math.min(silent, LONGEST_PAUSE), noise: [] }) }
  for (const part of parts) {
    if (part.kind === 'pause') { silent += part.frames; continue }
    flush()
    out.push(part)
  }
  flush()
  return out
}
