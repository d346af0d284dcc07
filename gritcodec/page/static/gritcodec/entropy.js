// Codings 1 and 2 by docs/entropy-coding.md: rows of inputs here, products and the range decoder in the kernel
import { Damage, ModelError } from './errors.js'

/** @typedef {import('./kernel.js').Kernel} Kernel */
/** @typedef {import('./weights.js').Tensor} Tensor */

const THERE = 256, PAST = 10, LARGEST = 511, HIDDEN = 1023
/** @param {number} v */
const clamp = (v) => (v < -LARGEST ? -LARGEST : v > LARGEST ? LARGEST : v)

const KINDS = { I8: Int8Array, U8: Uint8Array, I16: Int16Array, U16: Uint16Array, I32: Int32Array }
const NAMES = ['order', 'vectors', 'vector_shift', 'narrow', 'narrow_shift', ...['hidden', 'group', 'middle', 'place'].flatMap((n) => [n, `${n}_bias`, `${n}_shift`])]

/** @param {number} n */
const even = (n) => (n + 1) & ~1
/** @param {number} n */
const four = (n) => (n + 3) & ~3

/** Frames of a packet, and those before it, in one channel: frame t at place past + t. */
class Channel {
  /** @param {number} D @param {number} E @param {Int16Array[]} past codes of the frames before, -1 where there is none @param {number} frames */
  constructor(D, E, past, frames) {
    this.before = past
    this.past = past.length
    this.frames = frames
    /** @type {Uint16Array[]} */
    this.codes = []
    const n = past.length + frames
    this.p = new Int32Array(n * D) // sums of the stages so far
    this.q = new Int32Array(n * E)
  }
  /** @param {number} t */
  there(t) { return t >= -this.past && t < this.frames }
  /** @param {number} s @param {number} t */
  code(s, t) { return t < 0 ? this.before[this.past + t][s] : this.codes[s][t] }
}

/** A model's tables, and one packet at a time. */
export class Entropy {
  /** @param {Kernel} kernel @param {Record<string, Tensor>} tensors of a model with tables */
  constructor(kernel, tensors) {
    /** @type {Record<string, any>} */
    const T = {}
    for (const name of NAMES) {
      const tensor = tensors[`contexts.${name}`]
      if (!tensor) throw new ModelError(`no contexts.${name} in the weights`)
      const Kind = KINDS[tensor.type]
      T[name] = new Kind(tensor.bytes.slice().buffer)
      T[`${name} shape`] = tensor.shape
    }
    const [S, K, D] = T['vectors shape'], E = T['narrow shape'][2], H = T['hidden shape'][2], M = T['middle shape'][2], [, G, P] = T['place shape']
    this.kernel = kernel
    this.T = T
    this.size = { S, K, D, E, H, M, G, P, I: 3 * D + 6 * E + 9 }
    this.stages = S
    this.codes = K
    this.tables()
    /** @type {Int16Array[][]} */
    this.history = []
    /** @type {Channel[]} */
    this.channels = []
    this.frames = 0
    /** @type {Uint16Array[]} */
    this.inverse = []
  }
  /** Tables as the kernel takes them: pairs of inputs, outputs in fours. */
  tables() {
    const { kernel, T } = this, { S, H, M, G, P, I } = this.size
    /** @param {string} name @param {number} copies of the matrix in a stage @param {number} inputs @param {number} outputs @param {boolean} turned outputs first */
    const layer = (name, copies, inputs, outputs, turned) => {
      const pairs = even(inputs) / 2, wide = four(outputs), count = pairs * wide * 2
      const at = kernel.room(2 * S * copies * count), bias = kernel.room(4 * S * copies * wide)
      const w = kernel.shorts(at, S * copies * count), b = kernel.ints(bias, S * copies * wide)
      w.fill(0)
      b.fill(0)
      for (let c = 0, from = 0; c < S * copies; c++) for (let first = 0, n = turned ? outputs : inputs; first < n; first++) for (let second = 0, m = turned ? inputs : outputs; second < m; second++, from++) {
        const i = turned ? second : first, o = turned ? first : second
        w[c * count + ((i >> 1) * wide + o) * 2 + (i & 1)] = T[name][from]
      }
      for (let c = 0; c < S * copies; c++) for (let o = 0; o < outputs; o++) b[c * wide + o] = T[`${name}_bias`][c * outputs + o]
      return { at, bias, pairs, wide, bytes: 2 * count }
    }
    this.layers = { hidden: layer('hidden', 1, I, H, false), group: layer('group', 1, H, G, false), middle: layer('middle', 1, H, M, false), place: layer('place', G, M, P, true) }
    this.powers = kernel.room(2048)
    kernel.words(this.powers, 1024).set(Uint16Array.from({ length: 1024 }, (_, d) => Math.round(2 ** 15 * 2 ** (-d / 64))))
    this.x = kernel.room(2 * even(I))
    this.sums = kernel.room(4 * four(Math.max(H, G, M, P)))
    this.m = kernel.room(2 * even(M))
    this.f = kernel.room(4 * four(Math.max(G, P)))
    this.blockBytes = 1 << 17
    this.block = kernel.room(this.blockBytes)
    this.hiddenBytes = 2 * even(H)
    this.rows = 0 // room for hidden rows of a pass
    this.rowsAt = 0
  }
  /** Begin a packet. @param {number} channels @param {number} frames @param {Int16Array[][]} [pasts] of each channel */
  begin(channels, frames, pasts = []) {
    const { D, E } = this.size
    this.channels = Array.from({ length: channels }, (_, c) => new Channel(D, E, pasts[c] ?? [], frames))
    this.frames = frames
    if (channels * frames > this.rows) {
      this.rows = channels * frames
      this.rowsAt = this.kernel.room(this.rows * this.hiddenBytes)
    }
  }
  /** Codes of stage s are known: [channels][frames]. @param {number} s @param {Uint16Array} codes */
  known(s, codes) {
    const { D, E, K } = this.size, { vectors, vector_shift, narrow, narrow_shift } = this.T
    for (const k of codes) if (k >= K) throw new Damage('a code that the model does not have')
    const wide = vector_shift[s], slim = narrow_shift[s]
    for (const [c, ch] of this.channels.entries()) {
      ch.codes[s] = codes.subarray(c * this.frames, (c + 1) * this.frames)
      for (let t = -ch.past; t < ch.frames; t++) {
        const k = ch.code(s, t), at = t + ch.past
        if (k < 0) continue
        for (let d = 0, to = at * D, from = (s * K + k) * D; d < D; d++) ch.p[to + d] += vectors[from + d] << wide
        for (let d = 0, to = at * E, from = (s * K + k) * E; d < E; d++) ch.q[to + d] += narrow[from + d] << slim
      }
    }
  }
  /** Put the inputs of stage s, frame t into x. @param {Channel} ch @param {number} s @param {number} t @param {Int16Array} x */
  row(ch, s, t, x) {
    const { D, E, I, K } = this.size, { vectors, vector_shift, narrow, narrow_shift } = this.T
    let at = 0, flag = I - 9
    x.fill(0)
    /** @param {number} S @param {number} u @param {Int8Array} table @param {number} shift @param {number} N */
    const own = (S, u, table, shift, N) => {
      if (ch.there(u)) {
        const k = ch.code(S, u)
        if (k >= 0) for (let d = 0, from = (S * K + k) * N; d < N; d++) x[at + d] = clamp(table[from + d] << shift)
        x[flag] = THERE
      }
      at += N
      flag++
    }
    /** @param {number} S @param {number} u */
    const wide = (S, u) => own(S, u, vectors, vector_shift[S], D)
    const none = () => { at += D; flag++ }
    /** @param {Int32Array} sums @param {number} u @param {number} N */
    const sum = (sums, u, N) => {
      if (ch.there(u)) {
        for (let d = 0, from = (u + ch.past) * N; d < N; d++) x[at + d] = clamp(sums[from + d])
        x[flag] = THERE
      }
      at += N
      flag++
    }
    /** @param {number} step */
    const mean = (step) => {
      let count = 0
      for (let i = 3; i <= PAST; i++) {
        const u = t + step * i
        if (!ch.there(u)) continue
        count++
        for (let d = 0, from = (u + ch.past) * E; d < E; d++) x[at + d] += clamp(ch.q[from + d])
      }
      for (let d = 0; d < E; d++) x[at + d] >>= 3
      x[flag] = (count * THERE) >> 3
      at += E
      flag++
    }
    if (s === 0) {
      for (let i = 1; i <= 3; i++) wide(0, t - i)
      for (let i = 4; i <= 9; i++) own(0, t - i, narrow, narrow_shift[0], E)
      return
    }
    sum(ch.p, t, D)
    if (s > 1) { wide(s - 1, t); none() }
    else if (t % 2) { wide(1, t - 1); wide(1, t + 1) }
    else { if (t === 0) wide(1, -1); else none(); none() }
    for (const i of [-2, -1, 1, 2]) sum(ch.q, t + i, E)
    mean(-1)
    mean(1)
  }
  /** Hidden numbers of one row, kept at `to`; frequencies of its groups in f. @param {Channel} ch @param {number} s @param {number} t @param {number} to */
  groups(ch, s, t, to) {
    const { kernel, layers, size } = this, { run } = kernel, { hidden, group } = layers
    this.row(ch, s, t, kernel.shorts(this.x, even(size.I)))
    run.products(this.x, hidden.at + s * hidden.bytes, hidden.bias + 4 * s * hidden.wide, hidden.pairs, hidden.wide, this.sums)
    run.squeeze(this.sums, to, size.H, this.T.hidden_shift[s], 0, HIDDEN)
    if (size.H & 1) kernel.shorts(to, size.H + 1)[size.H] = 0
    run.products(to, group.at + s * group.bytes, group.bias + 4 * s * group.wide, group.pairs, group.wide, this.sums)
    run.frequencies(this.sums, size.G, this.T.group_shift[s], this.powers, this.f)
  }
  /** Frequencies of the places of group g in f. @param {number} s @param {number} from hidden numbers @param {number} g */
  places(s, from, g) {
    const { kernel, layers, size } = this, { run } = kernel, { middle, place } = layers
    run.products(from, middle.at + s * middle.bytes, middle.bias + 4 * s * middle.wide, middle.pairs, middle.wide, this.sums)
    run.squeeze(this.sums, this.m, size.M, this.T.middle_shift[s], -HIDDEN, HIDDEN)
    if (size.M & 1) kernel.shorts(this.m, size.M + 1)[size.M] = 0
    const at = s * size.G + g
    run.products(this.m, place.at + at * place.bytes, place.bias + 4 * at * place.wide, place.pairs, place.wide, this.sums)
    run.frequencies(this.sums, size.P, this.T.place_shift[s], this.powers, this.f)
  }
  /** One pass: groups before places, of all channels. @param {Coder} coder @param {number} s @param {Uint16Array} codes @param {number} from @param {number} step @param {number} to */
  pass(coder, s, codes, from, step, to) {
    const { K, G, P } = this.size, seen = []
    let row = this.rowsAt
    for (const [c, ch] of this.channels.entries()) for (let t = from; t < to; t += step, row += this.hiddenBytes) {
      this.groups(ch, s, t, row)
      const at = c * this.frames + t
      seen.push(at, coder.group(at, this.f, G))
    }
    row = this.rowsAt
    for (let i = 0; i < seen.length; i += 2, row += this.hiddenBytes) {
      this.places(s, row, seen[i + 1])
      codes[seen[i]] = this.T.order[s * K + seen[i + 1] * P + coder.place(seen[i], this.f, P)]
    }
  }
  /** All codes of a stage, [channels][frames]. @param {Coder} coder @param {number} s */
  read(coder, s) {
    const n = this.frames, codes = new Uint16Array(this.channels.length * n)
    for (const [c, ch] of this.channels.entries()) ch.codes[s] = codes.subarray(c * n, (c + 1) * n) // filled as it is read
    if (s === 0) for (let t = 0; t < n; t++) this.pass(coder, 0, codes, t, 1, t + 1)
    else if (s === 1) { this.pass(coder, 1, codes, 0, 2, n); if (n > 1) this.pass(coder, 1, codes, 1, 2, n) }
    else this.pass(coder, s, codes, 0, 1, n)
    this.known(s, codes)
    return codes
  }
  /** @param {Uint8Array} b @param {number} from @param {number} to */
  decoder(b, from, to) {
    if (to - from > this.blockBytes) {
      this.blockBytes = to - from
      this.block = this.kernel.room(this.blockBytes)
    }
    this.kernel.bytes(this.block, to - from).set(b.subarray(from, to))
    return new RangeDecoder(this.kernel, this.block, this.block + to - from)
  }
  /** Coding 1: the codes of the range-coded block of stage s. @param {Uint8Array} b @param {number} from @param {number} to @param {number} s */
  stage(b, from, to, s) { return this.read(this.decoder(b, from, to), s) }

  /**
   * Coding 2: codes [channels][stages][frames]; plain: those of [stages][channels][frames] where the block is these.
   * @param {Uint8Array} b @param {number} from @param {number} to
   * @param {{channels: number, stages: number, frames: number, fresh: boolean, plain?: Uint16Array | null}} packet
   */
  chained(b, from, to, { channels, stages, frames, fresh, plain = null }) {
    if (fresh) this.history = []
    this.begin(channels, frames, this.history)
    const out = new Uint16Array(channels * stages * frames), count = channels * frames
    const coder = plain ? null : this.decoder(b, from, to)
    for (let s = 0; s < stages; s++) {
      const codes = coder ? this.read(coder, s) : /** @type {Uint16Array} */ (plain).subarray(s * count, (s + 1) * count)
      if (!coder) this.known(s, codes)
      for (let c = 0; c < channels; c++) out.set(codes.subarray(c * frames, (c + 1) * frames), (c * stages + s) * frames)
    }
    this.keep(channels, stages, frames)
    return out
  }
  /** The frames of this packet are past. @param {number} channels @param {number} stages @param {number} frames */
  keep(channels, stages, frames) {
    this.history = Array.from({ length: channels }, (_, c) => {
      const list = [...(this.history[c] ?? [])], { codes } = this.channels[c]
      for (let t = 0; t < frames; t++) list.push(Int16Array.from({ length: this.stages }, (_, s) => (s < stages ? codes[s][t] : -1)))
      return list.slice(-PAST)
    })
  }
  /** Coding 2: the block of a packet, 1 byte or more. @param {Uint16Array} codes [stages][channels][frames] @param {number} channels @param {number} stages @param {number} frames @param {boolean} fresh */
  chain(codes, channels, stages, frames, fresh) {
    if (fresh) this.history = []
    this.begin(channels, frames, this.history)
    const coder = new RangeEncoder(this.kernel, this.size.P), count = channels * frames
    for (let s = 0; s < stages; s++) this.read(coder.of(codes.subarray(s * count, (s + 1) * count), this.whereIn(s)), s)
    this.keep(channels, stages, frames)
    const block = coder.bytes()
    return block.length ? block : new Uint8Array(1)
  }
  /** Coding 1: each stage's block, shortest bytes. @param {Uint16Array} codes [channels][stages][frames] @param {number} channels @param {number} stages @param {number} frames */
  blocks(codes, channels, stages, frames) {
    this.begin(channels, frames)
    return Array.from({ length: stages }, (_, s) => {
      const own = new Uint16Array(channels * frames)
      for (let c = 0; c < channels; c++) own.set(codes.subarray((c * stages + s) * frames, (c * stages + s + 1) * frames), c * frames)
      const coder = new RangeEncoder(this.kernel, this.size.P).of(own, this.whereIn(s))
      this.read(coder, s)
      return coder.bytes()
    })
  }
  /** Where each code of a stage stands in its order. @param {number} s */
  whereIn(s) {
    if (!this.inverse[s]) {
      const { K } = this.size, row = (this.inverse[s] = new Uint16Array(K))
      for (let i = 0; i < K; i++) row[this.T.order[s * K + i]] = i
    }
    return this.inverse[s]
  }
}

/**
 * @typedef {object} Coder gives the group of a code, and its place, under frequencies u32 [n] at f
 * @property {(at: number, f: number, n: number) => number} group
 * @property {(at: number, f: number, n: number) => number} place
 */

/** @implements {Coder} */
class RangeDecoder {
  /** @param {Kernel} kernel @param {number} from @param {number} to */
  constructor(kernel, from, to) {
    this.run = kernel.run
    this.run.begin(from, to)
  }
  /** @param {number} at @param {number} f */
  group(at, f) {
    const k = this.run.symbol(f)
    if (k < 0) throw new Damage('a block that does not decode')
    return k
  }
  /** @param {number} at @param {number} f */
  place(at, f) { return this.group(at, f) }
}

/** Knows the codes; keeps the interval that stands for them. @implements {Coder} */
class RangeEncoder {
  /** @param {Kernel} kernel @param {number} P places of a group */
  constructor(kernel, P) {
    this.kernel = kernel
    /** @type {Uint16Array} */
    this.codes = new Uint16Array(0)
    /** @type {Uint16Array} */
    this.order = this.codes
    this.P = P
    this.low = 0n
    this.size = 2n ** 64n - 1n
    this.bits = 64
  }
  /** What comes next. @param {Uint16Array} codes @param {Uint16Array} order place of each code */
  of(codes, order) {
    this.codes = codes
    this.order = order
    return this
  }
  /** @param {number} at @param {number} f @param {number} n */
  group(at, f, n) { return this.put(Math.floor(this.order[this.codes[at]] / this.P), f, n) }
  /** @param {number} at @param {number} f @param {number} n */
  place(at, f, n) { return this.put(this.order[this.codes[at]] % this.P, f, n) }
  /** @param {number} k @param {number} f @param {number} n */
  put(k, f, n) {
    const all = this.kernel.ints(f, n), unit = (this.size >> 24n) << 8n
    let below = 0
    for (let i = 0; i < k; i++) below += all[i]
    this.low += unit * BigInt(below)
    this.size = unit * BigInt(all[k])
    if (this.size < 0x100000000n) {
      this.size <<= 32n
      this.low <<= 32n
      this.bits += 32
    }
    return k
  }
  /** The shortest bytes which, followed by zeros, decode. */
  bytes() {
    const digits = this.bits / 4
    /** @param {bigint} v */
    const text = (v) => v.toString(16).padStart(digits, '0')
    const low = text(this.low), high = text(this.low + this.size - 1n)
    let same = 0
    while (same < digits && low[same] === high[same]) same++
    // Bytes that all points of the interval share have to be there, unless they are zeros at the end.
    for (let length = same >> 1; ; length++) {
      const rest = BigInt(this.bits - 8 * length), rounded = (this.low + (1n << rest) - 1n) >> rest
      if (rounded << rest >= this.low + this.size) continue
      const found = length ? rounded.toString(16).padStart(2 * length, '0') : ''
      const out = Uint8Array.from({ length }, (_, i) => parseInt(found.slice(2 * i, 2 * i + 2), 16))
      let end = length
      while (end && !out[end - 1]) end--
      return out.subarray(0, end)
    }
  }
}
