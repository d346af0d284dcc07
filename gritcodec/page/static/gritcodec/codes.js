// Codes of the packets of a file, [channels][stages][frames] in Uint16Arrays
import { Damage, Refusal } from './errors.js'

// Codes packed plainly, most significant bit first
export function unpack(b, at, count, bits) {
  const out = new Uint16Array(count)
  let acc = 0, have = 0
  for (let i = 0; i < count; i++) {
    while (have < bits) { acc = ((acc << 8) | b[at++]) & 0xffffff; have += 8 }
    have -= bits
    out[i] = (acc >>> have) & (2 ** bits - 1)
  }
  return out
}

// entropy: null, or what entropy.mjs makes of a model's tables:
//   entropy.begin(channels, frames)                        a packet that decodes on its own begins
//   entropy.stage(b, from, to, s) -> Uint16Array[channels * frames]    range-coded block of stage s, channel by channel
//   entropy.known(s, codes)                                stage s came packed plainly: its codes, for the stages above
//   entropy.chained(b, from, to, {channels, stages, frames, fresh, plain}) -> Uint16Array[channels * stages * frames]; plain: the
//                                                          codes as coding 0 has them, where the block is those
//   entropy.stages, entropy.codes                          the model's
export class Codes {
  constructor(b, file, entropy) {
    this.b = b
    this.h = file.header
    this.entropy = entropy
    this.fresh = true
    this.segment = 0
    this.next = 0
    this.behind = undefined
    this.broken = false
    this.nowhere = false
    this.history = []
  }
  // Call in order, for every item; b: the bytes, where more have come. null for items without codes; throws Damage where a
  // packet has none (its frames are lost).
  of(item, b = this.b) {
    this.b = b
    const behind = this.behind ?? this.h.end
    if (item.position !== this.next || (behind && item.at !== behind)) {
      // What was passed over may have been a pause or a splice.
      this.gap()
      this.nowhere = this.h.firstSegment !== undefined
    }
    this.next = item.position + item.frames
    this.behind = item.end
    if (item.kind === 'pause') this.fresh = true
    if (item.mark === 0x22) { this.fresh = true; this.segment = item.position; this.nowhere = false }
    if (item.kind !== 'packet') return null
    if (this.h.coding === 2 && this.nowhere) throw new Damage('where its segment begins is lost')
    const key = this.fresh || (item.position - this.segment) % (this.h.keyFrames ?? 1) === 0
    this.fresh = false
    if (key) this.broken = false
    if (this.h.coding === 2 && this.broken) throw new Damage('frames before it are lost')
    try {
      const codes = [this.plain, this.independent, this.chained][this.h.coding].call(this, item, key)
      if (this.entropy && codes.some((k) => k >= this.entropy.codes)) throw new Damage('a code that the model does not have')
      return codes
    } catch (e) {
      if (e instanceof Damage) this.gap()
      throw e
    }
  }
  gap() { // frames are lost: packets that look at them are too, plain blocks among them
    this.broken = true
    this.fresh = false
  }
  plain(item) { // stage, channel, frame -> channel, stage, frame
    return this.turn(unpack(this.b, item.body, item.stages * this.h.channels * item.frames, this.h.codeBits), item)
  }
  turn(from, { stages, frames }) {
    const { channels } = this.h, out = new Uint16Array(from.length)
    for (let s = 0; s < stages; s++) for (let c = 0; c < channels; c++) {
      const at = (s * channels + c) * frames
      out.set(from.subarray(at, at + frames), (c * stages + s) * frames)
    }
    return out
  }
  independent(item) {
    const { channels, codeBits } = this.h, count = channels * item.frames
    const all = new Uint16Array(item.stages * count), E = this.entropy
    if (E) E.begin(channels, item.frames)
    for (const [s, block] of item.blocks.entries()) {
      let codes
      if (block.plain) {
        codes = unpack(this.b, block.at, count, codeBits)
        if (E) E.known(s, codes)
      } else {
        if (!E) throw new Refusal('entropy-coded: needs the tables of the model')
        codes = E.stage(this.b, block.at, block.at + block.length, s)
      }
      all.set(codes, s * count)
    }
    return this.turn(all, item)
  }
  chained(item, fresh) {
    if (!this.entropy) throw new Refusal('entropy-coded: needs the tables of the model')
    const { channels, codeBits } = this.h, { stages, frames, chain: { at, length } } = item, count = stages * channels * frames
    const whole = Math.ceil((count * codeBits) / 8)
    if (length > whole) throw new Damage('a block that is longer than its codes')
    const plain = length === whole ? unpack(this.b, at, count, codeBits) : null
    // Several streams may be read side by side with the same tables.
    this.entropy.history = this.history
    const codes = this.entropy.chained(this.b, at, at + length, { channels, stages, frames, fresh, plain })
    this.history = this.entropy.history
    return codes
  }
}
