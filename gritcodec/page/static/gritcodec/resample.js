// Resampling to an exact number of samples: a windowed sinc, its delay taken off. Cut-off, window and length are those of soxr's
// HQ, which the Python package resamples by: the two differ by less than 0.001 of full scale, where sound begins abruptly too.

const CUTOFF = 0.95687, BETA = 13.04, HALF = 96.83 // of the lower of the two rates
const PHASES = 512 // of more the nearest two are mixed
/** @param {number} a @param {number} b @returns {number} */
const gcd = (a, b) => (b ? gcd(b, a % b) : a)
/** Bessel function of order 0. @param {number} x */
function bessel(x) {
  let sum = 1, term = 1
  for (let k = 1; term > 1e-12 * sum; k++) { term *= (x / (2 * k)) ** 2; sum += term }
  return sum
}
/** @typedef {{half: number, taps: number, phases: number, rows: Float32Array}} Table a row of taps for every phase, and one more for 1 */
/** @type {[string, Table] | null} */
let latest = null // channels and segments have the same
/** @param {number} up @param {number} down @returns {Table} */
function tableFor(up, down) {
  const key = `${up}/${down}`
  if (latest?.[0] === key) return latest[1]
  const ratio = Math.min(1, up / down), cutoff = CUTOFF * ratio, reach = HALF / ratio, half = Math.ceil(reach), taps = 2 * half
  const phases = Math.min(up, PHASES), rows = new Float32Array((phases + 1) * taps), norm = bessel(BETA)
  for (let p = 0; p <= phases; p++) for (let k = 0; k < taps; k++) {
    const t = k - half + 1 - p / phases, x = Math.PI * cutoff * t, w = 1 - (t / reach) ** 2
    if (w > 0) rows[p * taps + k] = cutoff * (x ? Math.sin(x) / x : 1) * (bessel(BETA * Math.sqrt(w)) / norm)
  }
  const table = { half, taps, phases, rows }
  latest = [key, table]
  return table
}

/** One channel, block by block; the result does not depend on how it is cut. */
export class Resampler {
  /** @param {number} from Hz @param {number} to Hz */
  constructor(from, to) {
    const g = gcd(from, to)
    this.up = to / g
    this.down = from / g
    this.same = from === to
    this.given = 0 // samples out
    this.held = new Float32Array(0)
    this.base = this.phase = 0 // of the next sample out: its place in `held`, less half the taps, and phase / up
    if (this.same) return
    this.table = tableFor(this.up, this.down)
    this.held = new Float32Array(this.table.half - 1) // before the first sample there is silence
  }
  /** @param {Float32Array} block */
  push(block) {
    if (this.same) { this.given += block.length; return block }
    const { taps, phases, rows } = /** @type {Table} */ (this.table), { up, down } = this
    const x = new Float32Array(this.held.length + block.length)
    x.set(this.held)
    x.set(block, this.held.length)
    // Sample m from here on needs taps from base + floor((phase + m * down) / up) on.
    const room = x.length - taps - this.base, out = new Float32Array(Math.max(Math.ceil(((room + 1) * up - this.phase) / down), 0))
    for (let m = 0; m < out.length; m++) {
      const at = (this.phase * phases) / up, row = Math.floor(at), part = at - row
      let sum = 0
      for (let k = 0, i = this.base, r = row * taps; k < taps; k++) sum += rows[r + k] * x[i + k]
      if (part && up > phases) {
        let above = 0
        for (let k = 0, i = this.base, r = (row + 1) * taps; k < taps; k++) above += rows[r + k] * x[i + k]
        sum += part * (above - sum)
      }
      out[m] = sum
      const next = this.phase + down
      this.phase = next % up
      this.base += Math.floor(next / up)
    }
    this.given += out.length
    const gone = Math.min(this.base, x.length)
    this.held = x.slice(gone)
    this.base -= gone
    return out
  }
  /** The rest, so that there are `total` samples in all. @param {number} total */
  finish(total) {
    const missing = Math.max(total - this.given, 0)
    if (this.same) return new Float32Array(missing)
    const more = this.base + Math.ceil((missing * this.down) / this.up) + /** @type {Table} */ (this.table).taps + 1
    return this.push(new Float32Array(more)).slice(0, missing)
  }
}
