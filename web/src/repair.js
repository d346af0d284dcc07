// A header that is damaged: every single byte changed, left out and put in
import { register, backwards, between, crc32c, u32, hex } from './bytes.js'
import { Damage, Refusal } from './errors.js'
import { fixedPart, isMagic, outside, parseHeader } from './header.js'

const FIXED = 64 // no fixed part of a header is longer

// The one header that results and whose CRC is right, or null.
// With .end where the items begin in b (of several places the first).
export function repairHeader(b, pos = 0) {
  const found = new Map()
  const file = b.subarray(pos)
  const keep = (bytes, shift, how) => {
    let h
    try { h = parseHeader(bytes) } catch (e) { if (e instanceof Damage || e instanceof Refusal) return; throw e }
    const end = pos + h.end + shift, key = hex(bytes)
    if (!found.has(key) || found.get(key).end > end) found.set(key, Object.assign(h, { end, repaired: how }))
  }
  const ends = new Map() // registers before byte FIXED of the header, by its length and the shift
  const fits = (prefix, shift) => { // prefix: the first FIXED bytes of a candidate; the others are those of the file, shifted
    if (!isMagic(prefix, 0)) return 0
    let h
    try { h = fixedPart(prefix, 0, prefix.length) } catch (e) { if (e instanceof Damage) return 0; throw e }
    if (h.version !== 1) return 0
    const size = h.crcAt + 4
    if (outside(h) || size > file.length - shift) return 0
    if (size <= FIXED) return crc32c(prefix, 0, h.crcAt) === u32(prefix, h.crcAt) ? size : 0
    if (h.crcAt < FIXED) return crc32c(whole(prefix, shift, size), 0, h.crcAt) === u32(whole(prefix, shift, size), h.crcAt) ? size : 0
    const id = size * 4 + shift
    if (!ends.has(id)) ends.set(id, backwards(file, FIXED + shift, h.crcAt + shift, ~u32(file, h.crcAt + shift)) | 0)
    return register(prefix, 0, FIXED) === ends.get(id) ? size : 0
  }
  const whole = (prefix, shift, size) => {
    const out = new Uint8Array(size)
    out.set(prefix.subarray(0, Math.min(size, FIXED)))
    if (size > FIXED) out.set(file.subarray(FIXED + shift, size + shift), FIXED)
    return out
  }
  const attempt = (prefix, shift, how) => { const size = fits(prefix, shift); if (size) keep(whole(prefix, shift, size), shift, how) }
  const near = (shift) => { const p = new Uint8Array(FIXED); p.set(file.subarray(shift > 0 ? shift : 0, FIXED + shift), shift < 0 ? 1 : 0); return p }

  const changed = near(0)
  for (let i = 0; i < FIXED; i++) {
    for (let v = 0; v < 256; v++) if (v !== file[i]) { changed[i] = v; attempt(changed, 0, `byte ${i} changed`) }
    changed[i] = file[i]
  }
  const less = near(1) // the file with byte i left out
  for (let i = 0; i < FIXED; i++) { attempt(less, 1, `byte ${i} left out`); less[i] = file[i] }
  // less[0..i) = file[0..i), so it has to begin with nothing taken: byte 0 left out first
  const more = near(-1) // one byte put in before byte i
  for (let i = 0; i < FIXED; i++) {
    for (let v = 0; v < 256; v++) { more[i] = v; attempt(more, -1, `byte ${i} put in`) }
    more[i] = file[i]
  }
  far(file, keep)
  return found.size === 1 ? [...found.values()][0] : null
}
// The same for bytes from FIXED on: the length is known from the fixed part; meet in the middle
function far(file, keep) {
  let h
  try { h = fixedPart(file, 0, Math.min(FIXED, file.length)) } catch (e) { if (e instanceof Damage) return; throw e }
  if (h.version !== 1) return
  const size = h.crcAt + 4
  if (outside(h) || size <= FIXED) return
  const before = new Int32Array(size + 1) // register before byte i
  before[0] = -1
  for (let i = 0; i < size; i++) before[i + 1] = register(file, i, i + 1, before[i])
  for (const [shift, how] of /** @type {[number, string][]} */ ([[0, 'changed'], [1, 'left out'], [-1, 'put in']])) {
    if (size + shift > file.length) continue
    const make = (i, v) => {
      const out = new Uint8Array(size)
      out.set(file.subarray(0, i))
      if (shift === 1) out.set(file.subarray(i + 1, size + 1), i)
      else { out[i] = v; out.set(file.subarray(i + 1 + shift, size + shift), i + 1) }
      keep(out, shift, `byte ${i} ${how}`)
    }
    let after = ~u32(file, h.crcAt + shift) | 0 // register before byte i + 1 of the candidate, i downwards
    for (let i = h.crcAt - 1; i >= FIXED; i--) {
      if (shift === 1) {
        after = backwards(file, i + 1, i + 2, after) | 0
        if (after === before[i]) make(i)
      } else {
        const v = between(before[i], after)
        if (v >= 0) make(i, v)
        after = backwards(file, i + shift, i + 1 + shift, after) | 0
      }
    }
    for (let i = Math.max(FIXED, h.crcAt); i < size; i++) { // in the CRC itself
      const right = ~before[h.crcAt] >>> 0, out = new Uint8Array(size)
      out.set(file.subarray(0, h.crcAt))
      for (let j = 0; j < 4; j++) out[h.crcAt + j] = right >>> (8 * j)
      const rest = [...file.subarray(h.crcAt, size + shift)], want = [...out.subarray(h.crcAt)], j = i - h.crcAt
      if (shift === 0) rest[j] = want[j]
      else if (shift === 1) rest.splice(j, 1)
      else rest.splice(j, 0, want[j])
      if (want.every((v, k) => rest[k] === v)) keep(out, shift, `byte ${i} ${how}`)
    }
  }
}
