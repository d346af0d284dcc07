// Sound into a live stream: a packet as soon as its last frame is there, within the bitrate at every moment from 10 s on
import { toUtf8, varint, joined } from './bytes.js'
import { chainedBlock, Framer, packetOf } from './framer.js'
import { LiveWriter, neededStages } from './plan.js'

/** @typedef {import('./codec.js').Codec} Codec */

const KEY_FRAMES = 50, SHORT = 16
// Of what a stage plainly packed takes, before anything is known; and how fast that is learnt.
const GUESS = 0.85, LEARNING = 0.05

/** Pieces which, one behind the other, are a .grit file. */
export class Sender {
  /**
   * @param {Codec} codec @param {number} sampleRate Hz @param {number} channels
   * @param {{bitrate?: number, packetFrames?: number, chain?: boolean, tags?: [string, string][], startTime?: bigint}} [options] packetFrames: 1 to 64, of
   *   20 ms; chain: packets of less than 16 frames are entropy-coded with a look at those before them: better at the same bitrate, and a lost one costs up to a second
   */
  constructor(codec, sampleRate, channels, { bitrate = 3, packetFrames = 1, chain = false, tags = [], startTime } = {}) {
    if (!(Number.isInteger(packetFrames) && packetFrames >= 1 && packetFrames <= 64)) throw new RangeError(`a packet has 1 to 64 frames, not ${packetFrames}`)
    this.codec = codec
    codec.bitrateOf(bitrate)
    this.kbps = codec.bitrates.filter((rate) => rate <= bitrate + 1e-6).at(-1)
    const header = { ...codec.header(sampleRate, channels, tags), samples: /** @type {number | null} */ (null), encoder: codec.about.name, packetFrames, keyFrames: /** @type {number | undefined} */ (undefined) }
    if (startTime !== undefined) header.startTime = startTime
    if (packetFrames < SHORT) {
      header.coding = chain && header.coding ? 2 : 0
      if (header.coding === 2) header.keyFrames = Math.ceil(KEY_FRAMES / packetFrames) * packetFrames
    }
    header.stages = Math.min(neededStages(header, this.kbps, true), header.stages)
    this.header = header
    this.writer = new LiveWriter(header, this.kbps)
    this.framer = new Framer(codec, sampleRate, channels, header.stages, packetFrames)
    this.stageBytes = (GUESS * Math.ceil((8 * channels * packetFrames * header.codeBits) / 8)) / 8
    this.fresh = false
    this.begun = this.over = false
    /** @type {Int16Array[][]} */
    this.history = []
  }
  /** Feed samples: the pieces that are ready, the header first. @param {Float32Array[]} block a channel each @returns {Uint8Array[]} */
  push(block) {
    if (this.over) throw new Error('the stream has ended')
    return [...this.begin(), ...this.pieces(this.framer.push(block))]
  }
  /** End the stream: the pieces that remain, the file's end last. @returns {Uint8Array[]} */
  finish() {
    if (this.over) return []
    const rest = [...this.begin(), ...this.pieces(this.framer.finish())]
    this.over = true
    return [...rest, this.writer.finish(this.framer.samples)]
  }
  /** A piece that marks the sample which is fed next. @param {string} name @returns {Uint8Array} */
  mark(name) {
    if (!this.begun || this.over) throw new Error('a mark stands between the first packet of a stream and its end')
    return this.writer.add({ kind: 'chunk', mark: 0x21, payload: joined([varint(this.framer.samples), toUtf8(name)]) })
  }
  begin() {
    if (this.begun) return []
    this.begun = true
    return [this.writer.begin()]
  }
  /** @param {ReturnType<Framer['push']>} parts */
  pieces(parts) {
    const out = []
    for (const part of parts) {
      if (part.kind === 'quiet') {
        out.push(this.writer.add({ kind: 'pause', frames: part.frames, noise: [] }))
        this.fresh = true
      } else out.push(this.writer.add(this.header.coding === 2 ? this.chained(part) : packetOf(this.codec, this.header, part)))
    }
    return out
  }
  /** A packet with the stages that there is room for, by what stages took before. @param {import('./framer.js').Coded} part @returns {import('./write.js').PacketPart} */
  chained(part) {
    const { frames } = part, { packetFrames, keyFrames } = this.header, { entropy } = this.codec
    const room = this.writer.room(frames) - 1, share = (this.stageBytes * frames) / packetFrames, stages = Math.min(Math.max(Math.trunc(room / share), 1), part.stages)
    entropy.history = this.history
    const block = chainedBlock(this.codec, this.header, part, stages, this.fresh || this.writer.index.frames % keyFrames === 0)
    this.history = entropy.history
    this.fresh = false
    if (frames === packetFrames) this.stageBytes += LEARNING * (block.length / stages - this.stageBytes)
    return { kind: 'packet', stages, frames, body: joined([varint(block.length), block]) }
  }
}
