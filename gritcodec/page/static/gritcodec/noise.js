// Comfort noise as RFC 3389 describes it

const TAPS = 128
/** Draws of a normal distribution, the same for the same seed. @param {number} seed */
function normal(seed) {
  let a = (seed ^ 0x9e3779b9) | 0
  const uniform = () => { // mulberry32
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
}
/** @param {ArrayLike<number>} noise its bytes @param {number} seed @param {number} count samples */
export function comfortNoise(noise, seed, count) {
  let a = [1]
  for (let i = 1; i < noise.length && noise[i] >= 1 && noise[i] <= 253; i++) {
    const k = (258 * (noise[i] - 127)) / 32768, longer = [...a, 0]
    a = longer.map((v, j) => v + k * longer[longer.length - 1 - j])
  }
  const response = new Float64Array(TAPS)
  let energy = 0
  for (let n = 0; n < TAPS; n++) {
    let v = n ? 0 : 1
    for (let i = 1; i < a.length && i <= n; i++) v -= a[i] * response[n - i]
    response[n] = v
    energy += v * v
  }
  const by = 10 ** (-Math.min(noise[0], 127) / 20) / Math.sqrt(energy), draw = normal(seed)
  const white = Float64Array.from({ length: count + TAPS - 1 }, draw), out = new Float32Array(count)
  for (let n = 0; n < count; n++) {
    let sum = 0
    for (let i = 0; i < TAPS; i++) sum += response[i] * white[n + TAPS - 1 - i]
    out[n] = by * sum
  }
  return out
}
