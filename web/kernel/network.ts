// Layers of the network in f32, four numbers at a time. Pointers are bytes, counts are numbers; rows are one time each.

// f16 bits to f32; neither infinities nor NaN, which no weights have
// @ts-ignore: decorator
@inline
function half(h: u32): f32 {
  const magnitude = reinterpret<f32>((h & 0x7fff) << 13) * reinterpret<f32>(0x77800000)
  return reinterpret<f32>(reinterpret<u32>(magnitude) | ((h & 0x8000) << 16))
}

/** Weights f16 [outputs, inputs], output o times scale[o] unless scale is 0, into panels f32 [outputs / 8][inputs][8] from panel output `first` on. */
export function panels16(from: usize, to: usize, outputs: i32, inputs: i32, scale: usize, first: i32): void {
  for (let o = 0; o < outputs; o++) {
    const at = first + o
    let place = to + <usize>((at >> 3) * inputs * 8 + (at & 7)) * 4
    const by: f32 = scale ? load<f32>(scale + 4 * <usize>o) : 1
    let source = from + <usize>(o * inputs) * 2
    for (let i = 0; i < inputs; i++, source += 2, place += 32) store<f32>(place, half(load<u16>(source)) * by)
  }
}

/** The same of f32. */
export function panels32(from: usize, to: usize, outputs: i32, inputs: i32): void {
  for (let o = 0; o < outputs; o++) {
    let place = to + <usize>((o >> 3) * inputs * 8 + (o & 7)) * 4
    let source = from + <usize>(o * inputs) * 4
    for (let i = 0; i < inputs; i++, source += 4, place += 32) store<f32>(place, load<f32>(source))
  }
}

/**
 * y[r, o] = bias[o] + sum of w[o, j] x[r, j], or y[r, o] + that where `add`; strides of rows are in bytes. Each sum goes from
 * j = 0 on, so a row's bits do not depend on how many rows there are.
 */
export function linear(x: usize, stride: usize, rows: i32, w: usize, bias: usize, inputs: i32, outputs: i32, y: usize, step: usize, add: bool): void {
  const panel = <usize>inputs * 32
  for (let o: usize = 0; o < <usize>outputs; o += 8) {
    const b0 = v128.load(bias + 4 * o), b1 = v128.load(bias + 4 * o, 16)
    let row = x, out = y + 4 * o, left = rows
    for (; left >= 4; left -= 4) {
      let p0 = row, p1 = p0 + stride, p2 = p1 + stride, p3 = p2 + stride
      let a0 = b0, a1 = b1, c0 = b0, c1 = b1, d0 = b0, d1 = b1, e0 = b0, e1 = b1
      for (let q = w, end = w + panel; q < end; q += 32) {
        const w0 = v128.load(q), w1 = v128.load(q, 16)
        const s0 = v128.load32_splat(p0)
        a0 = f32x4.add(a0, f32x4.mul(s0, w0))
        a1 = f32x4.add(a1, f32x4.mul(s0, w1))
        const s1 = v128.load32_splat(p1)
        c0 = f32x4.add(c0, f32x4.mul(s1, w0))
        c1 = f32x4.add(c1, f32x4.mul(s1, w1))
        const s2 = v128.load32_splat(p2)
        d0 = f32x4.add(d0, f32x4.mul(s2, w0))
        d1 = f32x4.add(d1, f32x4.mul(s2, w1))
        const s3 = v128.load32_splat(p3)
        e0 = f32x4.add(e0, f32x4.mul(s3, w0))
        e1 = f32x4.add(e1, f32x4.mul(s3, w1))
        p0 += 4; p1 += 4; p2 += 4; p3 += 4
      }
      put(out, a0, a1, add)
      put(out + step, c0, c1, add)
      put(out + 2 * step, d0, d1, add)
      put(out + 3 * step, e0, e1, add)
      row += 4 * stride
      out += 4 * step
    }
    for (; left; left--) {
      let p0 = row, a0 = b0, a1 = b1
      for (let q = w, end = w + panel; q < end; q += 32, p0 += 4) {
        const s0 = v128.load32_splat(p0)
        a0 = f32x4.add(a0, f32x4.mul(s0, v128.load(q)))
        a1 = f32x4.add(a1, f32x4.mul(s0, v128.load(q, 16)))
      }
      put(out, a0, a1, add)
      row += stride
      out += step
    }
    w += panel
  }
}

// @ts-ignore: decorator
@inline
function put(y: usize, a: v128, b: v128, add: bool): void {
  if (add) {
    a = f32x4.add(a, v128.load(y))
    b = f32x4.add(b, v128.load(y, 16))
  }
  v128.store(y, a)
  v128.store(y, b, 16)
}

// @ts-ignore: decorator
@inline
function sum4(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3))
}

/** Layer norm of rows of n numbers, which lie in rows of whole eights with zeros behind them; weight and bias have zeros there too. */
export function norm(x: usize, rows: i32, n: i32, weight: usize, bias: usize, y: usize): void {
  const bytes = <usize>((n + 7) & ~7) * 4, full = <usize>(n & ~3) * 4
  // What lies behind the n numbers has no part in their variance.
  const part = i32x4.gt_s(i32x4.splat(n & 3), i32x4(0, 1, 2, 3))
  for (; rows; rows--, x += bytes, y += bytes) {
    let sum = f32x4.splat(0)
    for (let i: usize = 0; i < bytes; i += 16) sum = f32x4.add(sum, v128.load(x + i))
    const mean = f32x4.splat(sum4(sum) / <f32>n)
    let squares = f32x4.splat(0)
    for (let i: usize = 0; i < full; i += 16) {
      const d = f32x4.sub(v128.load(x + i), mean)
      squares = f32x4.add(squares, f32x4.mul(d, d))
    }
    if (full < bytes) {
      const d = v128.and(f32x4.sub(v128.load(x + full), mean), part)
      squares = f32x4.add(squares, f32x4.mul(d, d))
    }
    const scale = f32x4.splat(<f32>1 / sqrt<f32>(sum4(squares) / <f32>n + <f32>1e-5))
    for (let i: usize = 0; i < bytes; i += 16) {
      const d = f32x4.mul(f32x4.sub(v128.load(x + i), mean), scale)
      v128.store(y + i, f32x4.add(f32x4.mul(d, v128.load(weight + i)), v128.load(bias + i)))
    }
  }
}

/** Each channel convolved by itself: x has six rows before its first one; weight is [7][n]. */
export function depthwise(x: usize, rows: i32, n: i32, weight: usize, bias: usize, y: usize): void {
  const bytes = <usize>n * 4
  for (; rows; rows--, x += bytes, y += bytes) {
    for (let i: usize = 0; i < bytes; i += 16) {
      let sum = v128.load(bias + i)
      let p = x + i - 6 * bytes, w = weight + i
      for (let k = 0; k < 7; k++, p += bytes, w += bytes) sum = f32x4.add(sum, f32x4.mul(v128.load(p), v128.load(w)))
      v128.store(y + i, sum)
    }
  }
}

// e^x for -87 < x < 88, by Cephes' polynomial
// @ts-ignore: decorator
@inline
function exp4(x: v128): v128 {
  x = f32x4.pmin(f32x4.splat(88), f32x4.pmax(f32x4.splat(-87), x))
  const n = f32x4.nearest(f32x4.mul(x, f32x4.splat(1.44269504088896341)))
  let r = f32x4.sub(x, f32x4.mul(n, f32x4.splat(0.693359375)))
  r = f32x4.add(r, f32x4.mul(n, f32x4.splat(2.12194440e-4)))
  let p = f32x4.splat(1.9875691500e-4)
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.3981999507e-3))
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(8.3334519073e-3))
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(4.1665795894e-2))
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.6666665459e-1))
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(5.0000001201e-1))
  p = f32x4.add(f32x4.add(f32x4.mul(p, f32x4.mul(r, r)), r), f32x4.splat(1))
  return f32x4.mul(p, i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23))
}

/** gelu in its tanh form, in place: v / (1 + e^(-2 u)), as tanh u = 2 / (1 + e^(-2 u)) - 1. */
export function gelu(x: usize, count: i32): void {
  for (let end = x + <usize>count * 4; x < end; x += 16) {
    const v = v128.load(x)
    const cube = f32x4.mul(f32x4.mul(v, v), v)
    const u = f32x4.mul(f32x4.add(v, f32x4.mul(cube, f32x4.splat(0.044715))), f32x4.splat(-1.5957691216057308))
    v128.store(x, f32x4.div(v, f32x4.add(f32x4.splat(1), exp4(u))))
  }
}

/** Sums of code vectors: z[f] = sum over s of books[s][codes[s][f]], from stage 0 on; codes are u16 [stages][frames], dim is a multiple of 4. */
export function latents(codes: usize, stages: i32, frames: i32, size: i32, dim: i32, books: usize, z: usize): void {
  const bytes = <usize>dim * 4
  memory.fill(z, 0, <usize>frames * bytes)
  for (let s = 0; s < stages; s++) {
    for (let f = 0; f < frames; f++) {
      const k = <i32>load<u16>(codes + <usize>(s * frames + f) * 2)
      const from = books + <usize>(s * size + k) * bytes, to = z + <usize>f * bytes
      for (let i: usize = 0; i < bytes; i += 16) v128.store(to + i, f32x4.add(v128.load(to + i), v128.load(from + i)))
    }
  }
}
