// Sound out of a .grit stream, while its bytes come: pauses, splices, lost frames, any rate
import { asBytes } from './bytes.js'
import { Codes } from './codes.js'
import { Damage, Refusal } from './errors.js'
import { comfortNoise } from './noise.js'
import { Reader } from './reader.js'
import { describe, describeJunk, grouped, isHurt, lose, plainly } from './report.js'
import { Resampler } from './resample.js'

/** @typedef {import('./codec.js').Codec} Codec */
/** @typedef {import('./types.js').Item} Item */
/** @typedef {import('./types.js').File} File */
/** @typedef {Float32Array[]} Block a channel each */

const FADE_HOPS = 3, RETURN_PARTS = 4, SLICE = 64

/** ceil(samples * to / from), exactly. @param {number} samples @param {number} from @param {number} to */
export const rescaled = (samples, from, to) => (from === to ? samples : Number((BigInt(samples) * BigInt(to) + BigInt(from) - 1n) / BigInt(from)))

/** One signal: codes in, blocks at its rate out. */
class Signal {
  /** @param {Codec} codec @param {number} rate @param {number} channels @param {number | null} samples null: not known yet */
  constructor(codec, rate, channels, samples) {
    const { about } = codec
    /** @type {Codec} */
    this.codec = codec
    this.hop = about.hop
    this.delay = about.window - about.step
    this.rate = rate
    this.channels = channels
    this.late = this.delay
    this.known = samples !== null
    this.wanted = this.known ? rescaled(samples, rate, about.rate) : 0
    this.left = samples ?? 0
    /** @type {Block} */
    this.held = this.empty()
    this.given = this.fed = 0
    this.resamplers = Array.from({ length: channels }, () => new Resampler(about.rate, rate))
    this.states = this.fresh()
    /** @type {Block} */
    this.under = this.empty() // noise that goes on under what comes after a pause
    /** @type {Uint16Array} */
    this.last = new Uint16Array(channels)
    this.lastStages = 1
    this.silent = this.began = false
    this.concealed = 0 // frames in a row
  }
  fresh() { return Array.from({ length: this.channels }, () => this.codec.decoder.begin()) }
  empty() { return Array.from({ length: this.channels }, () => new Float32Array(0)) }
  /** Codes [channels][stages][frames]. @param {Uint16Array} codes @param {number} stages @param {number} frames */
  push(codes, stages, frames) {
    const sound = this.decode(codes, stages, frames)
    if (this.silent) for (const x of sound) ramp(x, Math.min(Math.floor(this.hop / RETURN_PARTS), x.length), 0, 1)
    this.last = Uint16Array.from({ length: this.channels * stages }, (_, i) => codes[i * frames + frames - 1])
    this.lastStages = stages
    this.silent = false
    this.began = true
    this.concealed = 0
    return this.take(this.withNoise(sound))
  }
  /** @param {Uint16Array} codes @param {number} stages @param {number} frames */
  decode(codes, stages, frames) {
    const { decoder } = this.codec, n = stages * frames
    return this.states.map((state, c) => decoder.decode(codes.subarray(c * n, (c + 1) * n), stages, frames, state))
  }
  /** @param {number} frames @param {ArrayLike<number>} noise @param {number} start its first frame */
  pause(frames, noise, start) {
    /** @type {Block} */
    let sound = this.states.map((state) => {
      const x = new Float32Array(frames * this.hop), rest = this.codec.decoder.fade(state)
      if (!this.silent) x.set(rest.subarray(0, Math.min(rest.length, x.length)))
      return x
    })
    sound = this.withNoise(sound)
    if (noise.length) {
      const tail = this.delay, count = frames * this.hop
      this.under = sound.map((x, c) => {
        const found = comfortNoise(noise, start * 256 + c, count + tail)
        // The squares of the two slopes add up to one: noise that overlaps keeps its level.
        for (let n = 0; n < tail; n++) {
          const slope = Math.sin(((Math.PI / 2) * n) / (tail - 1))
          found[n] *= slope
          found[count + tail - 1 - n] *= slope
        }
        for (let n = 0; n < count; n++) x[n] += found[n]
        return found.slice(count)
      })
    }
    this.states = this.fresh()
    this.silent = this.began = false
    this.concealed = 0
    return this.take(sound)
  }
  /** @param {Block} sound */
  withNoise(sound) {
    sound.forEach((x, c) => {
      const rest = this.under[c], count = Math.min(rest.length, x.length)
      for (let n = 0; n < count; n++) x[n] += rest[n]
      this.under[c] = rest.subarray(count)
    })
    return sound
  }
  /** Stand in for a packet's lost frames, a slice at most: the last one again, fading within them; then silence. @param {number} frames */
  conceal(frames) {
    const stages = this.lastStages
    // What is silent needs no network, but for the past of what comes behind, which is no longer than a slice.
    if (this.concealed >= SLICE) return this.take(this.withNoise(this.states.map(() => new Float32Array(frames * this.hop))))
    const codes = Uint16Array.from({ length: this.channels * stages * frames }, (_, i) => this.last[Math.floor(i / frames)])
    const sound = this.decode(codes, stages, frames)
    for (const x of sound) {
      const count = this.silent || !this.began ? 0 : Math.min(FADE_HOPS * this.hop, x.length)
      ramp(x, count, 1, 0)
      x.fill(0, count)
    }
    this.silent = true
    this.concealed += frames
    return this.take(this.withNoise(sound))
  }
  /** The rest. @param {number} [samples] of the signal, where that was not known, or it ended early */
  finish(samples) {
    if (samples !== undefined) {
      this.wanted = Math.max(rescaled(samples, this.rate, this.codec.about.rate) - this.fed, 0)
      this.left = Math.max(samples - this.given, 0)
      this.known = true
    }
    const first = this.give(this.certain(this.empty()).map((x, c) => this.resamplers[c].push(x)))
    const total = this.given + this.left
    const rest = this.give(this.resamplers.map((r) => r.finish(total)))
    return first.map((x, c) => both(x, rest[c]))
  }
  /** @param {Block} sound */
  take(sound) {
    const dropped = Math.min(this.late, sound[0].length)
    this.late -= dropped
    return this.give(this.certain(sound.map((x) => x.subarray(dropped))).map((x, c) => this.resamplers[c].push(x)))
  }
  /** What belongs to the signal for sure. @param {Block} sound */
  certain(sound) {
    let all = sound.map((x, c) => both(this.held[c], x))
    if (this.known) {
      all = all.map((x) => x.subarray(0, this.wanted))
      this.held = this.empty()
      this.wanted -= all[0].length
    } else {
      const sure = Math.max(all[0].length - this.hop, 0)
      this.held = all.map((x) => x.slice(sure))
      all = all.map((x) => x.subarray(0, sure))
    }
    this.fed += all[0].length
    return all
  }
  /** @param {Block} sound */
  give(sound) {
    if (this.known) {
      sound = sound.map((x) => x.subarray(0, this.left))
      this.left -= sound[0].length
    }
    this.given += sound[0].length
    return sound
  }
}
/** @param {Float32Array} x @param {number} count @param {number} from @param {number} to */
function ramp(x, count, from, to) {
  for (let n = 0; n < count; n++) x[n] *= count > 1 ? from + ((to - from) * n) / (count - 1) : from
}
/** @param {Float32Array} a @param {Float32Array} b */
function both(a, b) {
  if (!a.length) return b
  const out = new Float32Array(a.length + b.length)
  out.set(a)
  out.set(b, a.length)
  return out
}

/**
 * Bytes of a .grit in, sound out: feed `push` with what comes, and call `finish` at the end. What it gives does not depend
 * on how the bytes are cut.
 */
export class Player {
  /** @param {Codec} codec @param {{stages?: number, onPacket?: (packet: {position: number, stages: number, frames: number, codes: Uint16Array | null}) => void}} [options] */
  constructor(codec, options = {}) {
    this.codec = codec
    this.reader = new Reader()
    this.stages = options.stages ?? Infinity
    if (!(this.stages === Infinity || (Number.isInteger(this.stages) && this.stages >= 1))) throw new RangeError(`stages is a whole number from 1 on, not ${this.stages}`)
    this.onPacket = options.onPacket
    /** @type {File | null} */
    this.file = null
    /** @type {File[]} */
    this.files = []
    /** Lines that tell what was wrong. @type {string[]} */
    this.report = []
    this.over = false // what follows is not played
  }
  /** Of the first file, once it is known. */
  get header() { return this.files[0]?.header ?? null }
  /** Blocks that are ready. @param {Uint8Array | ArrayBuffer} piece @returns {Block[]} @throws {Refusal} */
  push(piece) { return [...this.blocks(asBytes(piece))] }
  /** There are no more bytes: the rest. @returns {Block[]} @throws {Refusal} */
  finish() { return [...this.blocks(null)] }

  /** The blocks of `push`, or of `finish` for null, one by one: few bytes may stand for hours of pauses. @param {Uint8Array | ArrayBuffer | null} piece @returns {Generator<Block>} */
  *blocks(piece) {
    for (const event of this.reader.events(piece)) {
      if (this.over) continue
      if (event.kind === 'file') this.begin(event.file)
      else if (event.kind === 'more') this.more(event.file, event.other)
      else for (const block of event.kind === 'item' ? this.item(event.item) : this.end()) if (block[0]?.length) yield block
    }
  }
  /** What follows a file and is not played. @param {File} file @param {File | null} other */
  more(file, other) {
    const { header } = file
    if (!other) { this.report.push(describeJunk(file, file.frames, this.codec.about, this.files.length)); return }
    let why = other.refused && plainly(other, this.reader.bytes.length)
    if (!why && (other.header.sampleRate !== header.sampleRate || other.header.channels !== header.channels)) why = `it has ${other.header.channels} x ${grouped(other.header.sampleRate)} Hz`
    try { if (!why) this.codec.check(other.header) } catch (e) { why = /** @type {Error} */ (e).message }
    this.report.push(`another .grit file follows, and is not played: ${why}`)
  }
  /** @param {File} file */
  begin(file) {
    if (file.refused) throw new Refusal(plainly(file, this.reader.bytes.length))
    if (this.file) { // one that is chained to it
      try { this.codec.check(file.header) } catch { this.over = true; this.more(this.file, file); return }
    } else this.codec.check(file.header)
    const h = file.header
    this.file = file
    this.files.push(file)
    this.codes = new Codes(this.reader.bytes, file, this.codec.entropy)
    this.received = 0
    this.next = 0
    this.segment = { frame: 0, sample: 0, samples: h.firstSegment ?? h.samples, trim: h.startTrim ?? 0 }
    this.open()
  }
  open() {
    const { header } = /** @type {File} */ (this.file), { samples, trim } = this.segment
    this.signal = new Signal(this.codec, header.sampleRate, header.channels, samples === null ? null : samples + trim)
    this.drop = trim
  }
  /** Frames that the segment needs, where its samples are known. */
  expected() {
    const { samples, trim } = this.segment
    return samples === null ? null : this.codec.framesOf(samples + trim, this.file.header.sampleRate)
  }
  /** @param {Item} item @returns {Generator<Block>} */
  *item(item) {
    const { codes, segment } = this
    let found = null
    try {
      found = codes.of(item, this.reader.bytes)
    } catch (e) {
      if (!(e instanceof Damage)) throw e
      lose(this.file, item, e.message)
    }
    if (item.position > this.next) {
      const expected = this.expected()
      let frames = item.position - this.next
      if (expected !== null) frames = Math.max(Math.min(frames, expected - (this.next - segment.frame)), 0)
      yield* this.conceal(frames)
    }
    this.next = item.position + item.frames
    if (item.kind === 'chunk') {
      if (item.mark === 0x22) {
        if (!item.value) throw new Refusal('the file is damaged: a splice is none')
        if (this.file.header.firstSegment === undefined) throw new Refusal('a splice, and no first segment (field 10)')
        yield this.splice(item.position, item.value.samples, item.value.startTrim)
      }
      return
    }
    const expected = this.expected()
    if (expected !== null && item.position - segment.frame >= expected) {
      if (!isHurt(this.file)) throw this.contradiction(item.position + item.frames - segment.frame)
      // A splice was lost, and what follows is another segment.
      const ended = segment.sample + (segment.samples ?? 0)
      yield this.splice(item.position, Math.max((this.total() ?? 0) - ended, 0), 0)
    }
    this.received++
    if (item.kind === 'pause') {
      for (let first = 0; first < item.frames; first += SLICE) yield this.trimmed(this.signal.pause(Math.min(SLICE, item.frames - first), item.noise, item.position + first))
    } else if (found) {
      const stages = Math.min(item.stages, this.stages)
      this.onPacket?.({ position: item.position, stages: item.stages, frames: item.frames, codes: found })
      yield this.trimmed(this.signal.push(fewer(found, this.file.header.channels, item.stages, item.frames, stages), stages, item.frames))
    } else yield* this.conceal(item.frames, item.frames)
  }
  /** Packets that did not come are taken for ordinary ones. @param {number} frames @param {number} packet its frames, at most @returns {Generator<Block>} */
  *conceal(frames, packet = this.file.header.packetFrames) {
    let size = Math.min(packet, SLICE)
    for (let first = 0; first < frames; first += size, size = SLICE) yield this.trimmed(this.signal.conceal(Math.min(size, frames - first))) // behind the first one all is silent
  }
  /** The number of samples, as far as it is known by now. */
  total() { return this.file.header.samples ?? this.file.end?.header.samples ?? null }
  /** @returns {Generator<Block>} */
  *end() {
    const file = /** @type {File} */ (this.file), total = this.total(), sound = !isHurt(file)
    if (file.refused) throw new Refusal(plainly(file, this.reader.bytes.length))
    const { segment } = this
    if (segment.samples === null && total !== null) segment.samples = total - segment.sample
    if (file.end && sound && segment.sample + (segment.samples ?? 0) !== total) throw new Refusal('the file is damaged: its parts are not as long as the whole')
    const expected = this.expected()
    if (!this.received && !sound && expected !== 0) throw new Refusal('the file is damaged beyond use: none of its packets is whole')
    if (file.end && file.frames > this.next) {
      const missing = file.frames - this.next
      yield* this.conceal(expected === null ? missing : Math.max(Math.min(missing, expected - (this.next - segment.frame)), 0))
      this.next = file.frames
    }
    const frames = this.next - segment.frame
    const whole = expected !== null && frames >= expected
    if (whole) yield this.endSegment()
    else {
      if (file.end && sound) throw this.contradiction(frames)
      const { about } = this.codec
      let samples = Math.floor((Math.max(frames * about.hop - this.signal.delay, 0) * file.header.sampleRate) / about.rate)
      if (segment.samples !== null) samples = Math.min(samples, segment.samples + segment.trim)
      yield this.trimmed(this.signal.finish(samples))
    }
    this.report.push(...describe(file, this.codec.about, this.files.length, whole))
  }
  endSegment() { return this.trimmed(this.signal.finish((this.segment.samples ?? 0) + this.segment.trim)) }
  /** @param {number} frame @param {number} samples @param {number} trim @returns {Block} */
  splice(frame, samples, trim) {
    const rest = this.endSegment(), before = this.segment.sample + (this.segment.samples ?? 0)
    this.segment = { frame, sample: before, samples, trim }
    this.open()
    return rest
  }
  /** @param {number} frames */
  contradiction(frames) { return new Refusal(`the file contradicts the model: ${grouped(this.total() ?? 0)} samples at ${grouped(this.file.header.sampleRate)} Hz in ${grouped(frames)} frames`) }
  /** @param {Block} block */
  trimmed(block) {
    const dropped = Math.min(this.drop, block[0].length)
    this.drop -= dropped
    return block.map((x) => x.subarray(dropped))
  }
}
/** The first stages of codes. @param {Uint16Array} codes @param {number} channels @param {number} stages @param {number} frames @param {number} keep */
function fewer(codes, channels, stages, frames, keep) {
  if (keep >= stages) return codes
  const out = new Uint16Array(channels * keep * frames)
  for (let c = 0; c < channels; c++) out.set(codes.subarray(c * stages * frames, (c * stages + keep) * frames), c * keep * frames)
  return out
}
