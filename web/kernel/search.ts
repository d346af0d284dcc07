// The encoder's search for codes: a beam through all stages, or the nearest code of each. gritcodec/engine/search.py in f32.
import { linear } from './network'

const PAST: f32 = 0.4

/**
 * Codes u16 [frames][stages] of latents z [frames][dim].
 *
 * books: f32 [stages][size][dim], of which the first `codes` of a stage are codes; panels: the same as `linear` takes them; minus:
 * -offsets [stages][size], prices and ratios [stages][size], units [stages]. width: paths followed. scratch: what `searchBytes` says.
 */
export function search(z: usize, frames: i32, stages: i32, all: i32, codes: i32, size: i32, dim: i32, books: usize, panels: usize, minus: usize, prices: usize, ratios: usize, units: usize, width: i32, scratch: usize, out: usize): void {
  const most = 2 * width, row = <usize>dim * 4, scoreRow = <usize>size * 4
  const scores = scratch
  let at = scores + <usize>(frames * width) * scoreRow
  let residual = at; at += <usize>(frames * width) * row
  let other = at; at += <usize>(frames * width) * row
  let energy = at; at += <usize>(frames * width) * 4
  let past = at; at += <usize>(frames * width) * 4
  const code = at; at += <usize>(frames * most) * 4
  const parts = at; at += <usize>(frames * most) * 4
  const pasts = at; at += <usize>(frames * most) * 4
  const energies = at; at += <usize>(frames * most) * 4
  const parents = at; at += <usize>(all * frames * width) * 4
  const chosen = at
  memory.copy(residual, z, <usize>frames * row)
  for (let f: usize = 0; f < <usize>frames; f++) {
    let sum: f32 = 0
    for (let i: usize = 0; i < row; i += 4) { const v = load<f32>(z + f * row + i); sum += v * v }
    store<f32>(energy + 4 * f, sum)
    store<f32>(past + 4 * f, 0)
  }
  const last = width == 1 ? stages : all
  let paths = 1
  for (let s = 0; s < last; s++) {
    const table = <usize>(s * size) * 4, rows = frames * paths, unit = load<f32>(units + <usize>s * 4)
    linear(residual, row, rows, panels + <usize>(s * size) * row, minus + table, dim, size, scores, scoreRow, false)
    for (let r = 0; r < rows; r++) {
      const p = scores + <usize>r * scoreRow
      let first: f32 = -Infinity, second: f32 = -Infinity, k1 = 0, k2 = 0
      for (let k = 0; k < codes; k++) {
        const v = load<f32>(p + <usize>k * 4)
        if (v > second) {
          if (v > first) { second = first; k2 = k1; first = v; k1 = k } else { second = v; k2 = k }
        }
      }
      const e = load<f32>(energy + <usize>r * 4), before = load<f32>(past + <usize>r * 4)
      for (let child = 0; child < 2; child++) {
        const c = <usize>(2 * r + child) * 4, k = child ? k2 : k1, price = table + <usize>k * 4
        const left = e - (child ? second : first) * 2 - load<f32>(prices + price)
        store<i32>(code + c, k)
        store<f32>(energies + c, left)
        store<f32>(pasts + c, before + load<f32>(ratios + price))
        store<f32>(parts + c, left / unit)
      }
    }
    const wide = s + 1 == all || width == 1 ? 1 : max(width - (2 * s + 2 > all ? 1 : 0), 1)
    const survivors = min(wide, 2 * paths)
    for (let f = 0; f < frames; f++) {
      const base = f * 2 * paths
      for (let i = 0; i < survivors; i++) {
        let found = 0
        let least: f32 = Infinity
        for (let j = 0; j < 2 * paths; j++) {
          // With one path the nearest code is what is wanted, prices included.
          const c = <usize>(base + j) * 4, cost = width == 1 ? <f32>j : load<f32>(parts + c) + load<f32>(pasts + c)
          if (cost < least) { least = cost; found = j }
        }
        const c = <usize>(base + found) * 4, to = f * survivors + i, parent = (base + found) >> 1, k = load<i32>(code + c)
        store<i32>(parents + <usize>(s * frames * width + to) * 4, parent)
        store<i32>(chosen + <usize>(s * frames * width + to) * 4, k)
        const from = residual + <usize>parent * row, vector = books + <usize>(s * size + k) * row, target = other + <usize>to * row
        for (let b: usize = 0; b < row; b += 16) v128.store(target + b, f32x4.sub(v128.load(from + b), v128.load(vector + b)))
        store<f32>(energy + <usize>to * 4, load<f32>(energies + c))
        store<f32>(past + <usize>to * 4, load<f32>(pasts + c) + PAST * load<f32>(parts + c))
        store<f32>(parts + c, Infinity) // taken
      }
    }
    const swap = residual; residual = other; other = swap
    paths = survivors
  }
  for (let f = 0; f < frames; f++) {
    let place = f
    for (let s = last - 1; s >= 0; s--) {
      const c = <usize>(s * frames * width + place) * 4
      if (s < stages) store<u16>(out + <usize>(f * stages + s) * 2, <u16>load<i32>(chosen + c))
      place = load<i32>(parents + c)
    }
  }
}

/** Bytes that a search needs besides its arguments. */
export function searchBytes(frames: i32, all: i32, size: i32, dim: i32, width: i32): i32 {
  return frames * width * (size * 4 + dim * 8 + 8 + 32 + all * 8) + 64
}
