// Entropy coding by docs/entropy-coding.md: layers of integers, frequencies and the range decoder.

/** y[o] = bias[o] + sum of w x, i32; x are i16 in pairs, w i16 [pairs][outputs][2], outputs a multiple of 4. */
export function products(x: usize, w: usize, bias: usize, pairs: i32, outputs: i32, y: usize): void {
  const row = <usize>outputs * 4
  let o: usize = 0
  for (; o + 64 <= row; o += 64) {
    let a = v128.load(bias + o), b = v128.load(bias + o, 16), c = v128.load(bias + o, 32), d = v128.load(bias + o, 48)
    let p = x, q = w + o
    for (let i = 0; i < pairs; i++, p += 4, q += row) {
      const s = v128.load32_splat(p)
      a = i32x4.add(a, i32x4.dot_i16x8_s(s, v128.load(q)))
      b = i32x4.add(b, i32x4.dot_i16x8_s(s, v128.load(q, 16)))
      c = i32x4.add(c, i32x4.dot_i16x8_s(s, v128.load(q, 32)))
      d = i32x4.add(d, i32x4.dot_i16x8_s(s, v128.load(q, 48)))
    }
    v128.store(y + o, a); v128.store(y + o, b, 16); v128.store(y + o, c, 32); v128.store(y + o, d, 48)
  }
  for (; o < row; o += 16) {
    let a = v128.load(bias + o), p = x, q = w + o
    for (let i = 0; i < pairs; i++, p += 4, q += row) a = i32x4.add(a, i32x4.dot_i16x8_s(v128.load32_splat(p), v128.load(q)))
    v128.store(y + o, a)
  }
}

/** i32 >> shift, kept from low to high, as i16. */
export function squeeze(from: usize, to: usize, count: i32, shift: i32, low: i32, high: i32): void {
  for (let i: usize = 0; i < <usize>count; i++) store<i16>(to + 2 * i, <i16>min(max(load<i32>(from + 4 * i) >> shift, low), high))
}

/** Frequencies u32 [n] of i32 [n]; powers: 2^15 2^(-d / 64) as u16 [1024]. */
export function frequencies(a: usize, n: i32, shift: i32, powers: usize, f: usize): void {
  let best = 0
  for (let k = 1; k < n; k++) if (load<i32>(a + <usize>k * 4) > load<i32>(a + <usize>best * 4)) best = k
  const largest = load<i32>(a + <usize>best * 4)
  let sum: u32 = 0
  for (let k: usize = 0; k < <usize>n; k++) {
    const d = <u32>(largest - load<i32>(a + 4 * k)) >> shift
    const r: u32 = d < 1024 ? load<u16>(powers + 2 * <usize>d) : 0
    sum += r
    store<u32>(f + 4 * k, r)
  }
  const z = <u32>((<u64>(65536 - n) << 15) / sum)
  let total: u32 = 0
  for (let k: usize = 0; k < <usize>n; k++) {
    const v = 1 + (load<u32>(f + 4 * k) * z >> 15)
    total += v
    store<u32>(f + 4 * k, v)
  }
  store<u32>(f + <usize>best * 4, load<u32>(f + <usize>best * 4) + 65536 - total)
}

let at: usize = 0
let end: usize = 0
let size: u64 = 0
let ahead: u64 = 0 // point - low

function word(): u64 {
  let w: u64 = 0
  for (let i = 0; i < 4; i++, at++) w = w << 8 | (at < end ? load<u8>(at) : 0)
  return w
}

/** Begin to read a block. */
export function begin(from: usize, to: usize): void {
  at = from
  end = to
  size = ~(<u64>0)
  ahead = word() << 32
  ahead |= word()
}

/** The next symbol under frequencies u32 [n], or -1 where the block is damaged. */
export function symbol(f: usize): i32 {
  const unit = (size >> 24) << 8, aim = ahead / unit
  if (aim >= 65536) return -1
  const where = <u32>aim
  let k = 0
  let below: u32 = 0
  let own = load<u32>(f)
  while (where >= below + own) {
    below += own
    k++
    own = load<u32>(f + <usize>k * 4)
  }
  ahead -= unit * below
  size = unit * own
  if (size < 0x100000000) {
    size <<= 32
    ahead = ahead << 32 | word()
  }
  return k
}
