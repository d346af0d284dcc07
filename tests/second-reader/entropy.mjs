// Codes of range-coded blocks, codings 1 and 2, by docs/entropy-coding.md: integers of 32 bits, and BigInt in the range decoder
import { Damage, Refusal } from '../../web/src/errors.js'

const THERE = 256, PAST = 10
const clamp = (v) => (v < -511 ? -511 : v > 511 ? 511 : v)

// 64ths of an octave below the largest -> 2^15 times the power of two
export const POWERS = Uint16Array.from({ length: 1024 }, (_, d) => Math.round(2 ** 15 * 2 ** (-d / 64)))

export function frequencies(a, N, shift, f) {
  let j = 0, sum = 0, total = 0
  for (let k = 1; k < N; k++) if (a[k] > a[j]) j = k
  for (let k = 0; k < N; k++) {
    const d = ((a[j] - a[k]) | 0) >>> shift
    sum += f[k] = d < 1024 ? POWERS[d] : 0
  }
  const z = Math.floor(((2 ** 16 - N) * 2 ** 15) / sum)
  for (let k = 0; k < N; k++) total += f[k] = 1 + (Math.imul(f[k], z) >>> 15)
  f[j] += 2 ** 16 - total
  return f
}

const LOW32 = 0xffffffffn, LOW64 = 2n ** 64n - 1n
export class RangeDecoder {
  constructor(b, from, to) {
    Object.assign(this, { b, at: from, to, size: LOW64 })
    this.ahead = (this.word() << 32n) | this.word() // point - low
  }
  word() {
    let w = 0
    for (let i = 0; i < 4; i++, this.at++) w = w * 256 + (this.at < this.to ? this.b[this.at] : 0)
    return BigInt(w)
  }
  symbol(f, N) {
    const unit = (this.size >> 24n) << 8n, aim = this.ahead / unit
    if (aim >= 65536n) throw new Damage('a block that does not decode')
    const where = Number(aim)
    let k = 0, below = 0
    while (where >= below + f[k]) below += f[k++]
    this.ahead -= unit * BigInt(below)
    this.size = unit * BigInt(f[k])
    if (this.size <= LOW32) {
      this.size <<= 32n
      this.ahead = ((this.ahead << 32n) & LOW64) | this.word()
    }
    return k
  }
}

// ---------------------------------------------------------------- tables
const SHAPES = {
  order: ['uint16', 'S', 'K'], vectors: ['int8', 'S', 'K', 'D'], vector_shift: ['uint8', 'S'], narrow: ['int8', 'S', 'K', 'E'], narrow_shift: ['uint8', 'S'],
  hidden: ['int8', 'S', 'I', 'H'], hidden_bias: ['int32', 'S', 'H'], hidden_shift: ['uint8', 'S'],
  group: ['int8', 'S', 'H', 'G'], group_bias: ['int32', 'S', 'G'], group_shift: ['uint8', 'S'],
  middle: ['int8', 'S', 'H', 'M'], middle_bias: ['int32', 'S', 'M'], middle_shift: ['uint8', 'S'],
  place: ['int8', 'S', 'G', 'P', 'M'], place_bias: ['int32', 'S', 'G', 'P'], place_shift: ['uint8', 'S'],
}
// null for a model without tables; throws Refusal for tables out of their bounds
export function fromTensors(tensors) {
  const names = Object.keys(tensors).filter((n) => n.startsWith('contexts.'))
  if (!names.length) return null
  const refuse = (why) => { throw new Refusal(`tables of entropy coding: ${why}`) }
  const of = (name) => tensors[`contexts.${name}`] ?? refuse(`no ${name}`)
  for (const n of names) if (!SHAPES[n.slice(9)]) refuse(`${n} is not known`)
  const dim = {}
  for (const [name, i, key] of [['order', 0, 'S'], ['order', 1, 'K'], ['vectors', 2, 'D'], ['narrow', 2, 'E'], ['hidden', 2, 'H'], ['middle', 2, 'M'], ['place', 1, 'G'], ['place', 2, 'P']]) dim[key] = of(name).shape[i]
  const { S, K, D, E, H, M, G, P } = dim
  dim.I = 3 * D + 6 * E + 9
  const T = {}
  for (const [name, [type, ...sizes]] of Object.entries(SHAPES)) {
    const t = of(name), want = sizes.map((x) => dim[x])
    if (t.type !== type || t.shape.length !== want.length || t.shape.some((v, i) => v !== want[i])) refuse(`${name} is ${t.type} ${t.shape}, and not ${type} ${want}`)
    T[name] = t.data
  }
  if (S < 1 || S > 63 || D < 1 || E < 1 || H < 1 || M < 1) refuse('sizes')
  for (const v of [G, P]) if (v < 2 || v > 256 || v & (v - 1)) refuse(`${v} groups or places`)
  if (K !== G * P) refuse(`${K} codes in ${G} groups of ${P}`)
  for (const name of Object.keys(SHAPES).filter((n) => n.endsWith('_shift'))) {
    for (const v of T[name]) if (v > (name[0] === 'v' || name[0] === 'n' ? 3 : 20)) refuse(`${name} is ${v}`)
  }
  for (let s = 0; s < S; s++) {
    const seen = new Uint8Array(K)
    for (let i = 0; i < K; i++) { const k = T.order[s * K + i]; if (k >= K || seen[k]++) refuse(`order of stage ${s} is no permutation`) }
  }
  const bound = (name, inputs, outputs, at, largest) => {
    for (let s = 0; s < S; s++) for (let o = 0; o < outputs; o++) {
      let sum = 0
      for (let i = 0; i < inputs; i++) sum += Math.abs(T[name][at(s, i, o)])
      if (sum * largest + Math.abs(T[`${name}_bias`][s * outputs + o]) >= 2 ** 31) refuse(`${name} of stage ${s} may overflow`)
    }
  }
  bound('hidden', dim.I, H, (s, i, o) => (s * dim.I + i) * H + o, 511)
  bound('group', H, G, (s, i, o) => (s * H + i) * G + o, 1023)
  bound('middle', H, M, (s, i, o) => (s * H + i) * M + o, 1023)
  bound('place', M, G * P, (s, i, o) => (s * G * P + o) * M + i, 1023)
  return new Entropy(T, dim)
}

// ---------------------------------------------------------------- packets
// What the frames of a packet, and those before it, have in one channel: frame t at place past + t
class Frames {
  constructor(dim, past, frames) { // past: codes of the frames before, [frame][stage], -1 where there is none
    const n = past.length + frames
    Object.assign(this, { dim, past: past.length, frames, codes: [] })
    this.before = past
    this.p = new Int32Array(n * dim.D) // sums of the stages so far, not clamped
    this.q = new Int32Array(n * dim.E)
  }
  there(t) { return t >= -this.past && t < this.frames }
}

export class Entropy {
  constructor(T, dim) { Object.assign(this, { T, dim, stages: dim.S, codes: dim.K, history: [] }) }

  begin(channels, frames, pasts = []) {
    this.channels = Array.from({ length: channels }, (_, c) => new Frames(this.dim, pasts[c] ?? [], frames))
    this.frames = frames
  }
  // Codes of stage s are known: [channels][frames] in one array
  known(s, codes) {
    const { D, E, K } = this.dim, { vectors, vector_shift, narrow, narrow_shift } = this.T
    for (const k of codes) if (k >= K) throw new Damage('a code that the model does not have')
    for (const [c, ch] of this.channels.entries()) {
      ch.codes[s] = codes.subarray(c * this.frames, (c + 1) * this.frames)
      for (let t = -ch.past; t < ch.frames; t++) {
        const k = this.code(ch, s, t), at = t + ch.past
        if (k < 0) continue
        for (let d = 0; d < D; d++) ch.p[at * D + d] += vectors[(s * K + k) * D + d] << vector_shift[s]
        for (let d = 0; d < E; d++) ch.q[at * E + d] += narrow[(s * K + k) * E + d] << narrow_shift[s]
      }
    }
  }
  code(ch, s, t) { return t < 0 ? ch.before[ch.past + t][s] : ch.codes[s][t] }

  // The input row of stage s, frame t; cut: frames from there on are not known yet in stage 0, odd: second pass of stage 1
  row(ch, s, t, x) {
    const { D, E, I, K } = this.dim, { vectors, vector_shift, narrow, narrow_shift } = this.T
    let at = 0, flag = I - 9
    x.fill(0)
    const own = (S, u, table, shift, N) => { // a code's own vector; u is there or nothing is put
      if (ch.there(u)) {
        const k = this.code(ch, S, u)
        if (k >= 0) for (let d = 0; d < N; d++) x[at + d] = clamp(table[(S * K + k) * N + d] << shift[S])
        x[flag] = THERE
      }
      at += N; flag++
    }
    const wide = (S, u) => own(S, u, vectors, vector_shift, D)
    const none = () => { at += D; flag++ }
    const sum = (sums, u, N) => {
      if (ch.there(u)) { for (let d = 0; d < N; d++) x[at + d] = clamp(sums[(u + ch.past) * N + d]); x[flag] = THERE }
      at += N; flag++
    }
    const mean = (step) => {
      let count = 0
      for (let i = 3; i <= 10; i++) {
        const u = t + step * i
        if (!ch.there(u)) continue
        count++
        for (let d = 0; d < E; d++) x[at + d] += clamp(ch.q[(u + ch.past) * E + d])
      }
      for (let d = 0; d < E; d++) x[at + d] >>= 3
      x[flag] = (count * THERE) >> 3
      at += E; flag++
    }
    if (s === 0) {
      for (let i = 1; i <= 3; i++) wide(0, t - i)
      for (let i = 4; i <= 9; i++) own(0, t - i, narrow, narrow_shift, E)
      return x
    }
    sum(ch.p, t, D)
    if (s > 1) { wide(s - 1, t); none() }
    else if (t % 2) { wide(1, t - 1); wide(1, t + 1) }
    else { if (t === 0) wide(1, -1); else none(); none() }
    for (const i of [-2, -1, 1, 2]) sum(ch.q, t + i, E)
    mean(-1); mean(1)
    return x
  }
  hidden(s, x) {
    const { I, H } = this.dim, { hidden, hidden_bias, hidden_shift } = this.T, h = hidden_bias.slice(s * H, (s + 1) * H)
    for (let i = 0; i < I; i++) {
      const v = x[i], at = (s * I + i) * H
      if (v) for (let o = 0; o < H; o++) h[o] += Math.imul(v, hidden[at + o])
    }
    for (let o = 0; o < H; o++) h[o] = Math.min(Math.max(h[o] >> hidden_shift[s], 0), 1023)
    return h
  }
  layer(name, s, h, N) { // [S, H, N], before the shift
    const { H } = this.dim, weights = this.T[name], y = this.T[`${name}_bias`].slice(s * N, (s + 1) * N)
    for (let i = 0; i < H; i++) if (h[i]) for (let o = 0, at = (s * H + i) * N; o < N; o++) y[o] += Math.imul(h[i], weights[at + o])
    return y
  }
  group(s, h, f) { return frequencies(this.layer('group', s, h, this.dim.G), this.dim.G, this.T.group_shift[s], f) }
  place(s, h, g, f) {
    const { G, P, M } = this.dim, m = this.layer('middle', s, h, M), b = new Int32Array(P)
    for (let i = 0; i < M; i++) m[i] = Math.min(Math.max(m[i] >> this.T.middle_shift[s], -1023), 1023)
    for (let q = 0; q < P; q++) {
      let sum = this.T.place_bias[(s * G + g) * P + q]
      for (let i = 0, at = ((s * G + g) * P + q) * M; i < M; i++) sum += Math.imul(m[i], this.T.place[at + i])
      b[q] = sum
    }
    return frequencies(b, P, this.T.place_shift[s], f)
  }
  // One pass: frames from, from + step, ... of all channels, groups before places
  pass(coder, s, codes, from, step, to) {
    const { G, P, K, I } = this.dim, f = new Int32Array(Math.max(G, P)), x = new Int32Array(I), seen = []
    for (const [c, ch] of this.channels.entries()) for (let t = from; t < to; t += step) {
      const h = this.hidden(s, this.row(ch, s, t, x))
      seen.push([c * this.frames + t, h, coder.symbol(this.group(s, h, f), G)])
    }
    for (const [at, h, g] of seen) codes[at] = this.T.order[s * K + g * P + coder.symbol(this.place(s, h, g, f), P)]
  }
  read(coder, s) {
    const n = this.frames, codes = new Uint16Array(this.channels.length * n)
    for (const [c, ch] of this.channels.entries()) ch.codes[s] = codes.subarray(c * n, (c + 1) * n) // filled as it is read
    if (s === 0) for (let t = 0; t < n; t++) this.pass(coder, 0, codes, t, 1, t + 1)
    else if (s === 1) { this.pass(coder, 1, codes, 0, 2, n); if (n > 1) this.pass(coder, 1, codes, 1, 2, n) }
    else this.pass(coder, s, codes, 0, 1, n)
    this.known(s, codes)
    return codes
  }
  stage(b, from, to, s) { return this.read(new RangeDecoder(b, from, to), s) }

  // Coding 2; plain: the codes [stages][channels][frames] if the block is those of coding 0. Gives [channels][stages][frames].
  chained(b, from, to, { channels, stages, frames, fresh, plain = null }, coder = null) {
    if (fresh) this.history = []
    this.begin(channels, frames, this.history)
    const out = new Uint16Array(channels * stages * frames), count = channels * frames
    coder ??= plain ? null : new RangeDecoder(b, from, to)
    for (let s = 0; s < stages; s++) {
      const codes = coder ? this.read(coder, s) : plain.subarray(s * count, (s + 1) * count)
      if (!coder) this.known(s, codes)
      for (let c = 0; c < channels; c++) out.set(codes.subarray(c * frames, (c + 1) * frames), (c * stages + s) * frames)
    }
    this.history = Array.from({ length: channels }, (_, c) => {
      const list = [...(this.history[c] ?? [])]
      for (let t = 0; t < frames; t++) list.push(Array.from({ length: this.stages }, (_, s) => (s < stages ? out[(c * stages + s) * frames + t] : -1)))
      return list.slice(-PAST)
    })
    return out
  }
}
