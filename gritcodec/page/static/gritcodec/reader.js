// A file, and those that are chained to it, from the first byte on: by the rules of "Damage", while its bytes come
import { asBytes, positionOf } from './bytes.js'
import { Cut, Damage, Refusal } from './errors.js'
import { isMagic, parseHeader, whyRefused } from './header.js'
import { CUT, chunkValue, firstEnd, indexes, layout, parseEnd, parseItem, sameHeader } from './items.js'
import { repairHeader } from './repair.js'

/** @typedef {import('./types.js').File} File */
/** @typedef {import('./types.js').Item} Item */
/** @typedef {import('./types.js').Header} Header */
/** @typedef {import('./types.js').Event} Event */

const BELIEVED = 65536, BUDGET = 64 * 2 ** 20, LONG_HEADER = 1024, SEARCHED_PAYLOAD = 255
const MORE = null // what a generator yields that needs more bytes

/** Bytes that are there so far. */
class Source {
  constructor() {
    this.buffer = new Uint8Array(0)
    this.bytes = this.buffer
    this.final = false
  }
  /** @param {Uint8Array} piece */
  add(piece) {
    const have = this.bytes.length, need = have + piece.length
    if (need > this.buffer.length) {
      const larger = new Uint8Array(Math.max(need, 2 * this.buffer.length, 4096))
      larger.set(this.bytes)
      this.buffer = larger
    }
    this.buffer.set(piece, have)
    this.bytes = this.buffer.subarray(0, need)
  }
}

/** Reads while bytes come. What it gives does not depend on how they are cut. */
export class Reader {
  constructor() {
    this.source = new Source()
    this.steps = readChain(this.source)
    this.over = false
  }
  /** Of the file so far. */
  get bytes() { return this.source.bytes }
  /** Feed bytes; what they hold that is certain by now. @param {Uint8Array | ArrayBuffer} piece @returns {Event[]} */
  push(piece) { return [...this.events(asBytes(piece))] }
  /** There are no more bytes. @returns {Event[]} */
  finish() { return [...this.events(null)] }
  /** The events of `push`, or of `finish` for null, one by one: damage is not known before the items in front of it were given. @param {Uint8Array | ArrayBuffer | null} piece @returns {Generator<Event>} */
  *events(piece) {
    if (piece === null) this.source.final = true
    else if (this.source.final) throw new Error('the end of these bytes was told before')
    else this.source.add(asBytes(piece))
    while (!this.over) {
      const { done, value } = this.steps.next()
      if (done) this.over = true
      else if (value === MORE) return
      else yield value
    }
  }
}
/** All files that are chained in b; the last one's damage says what follows that is not played. @param {Uint8Array | ArrayBuffer} b @returns {File[]} */
export function readAll(b) {
  const reader = new Reader()
  const files = []
  for (const event of [...reader.push(b), ...reader.finish()]) if (event.kind === 'file') files.push(event.file)
  return files
}

/** The first file in b. @param {Uint8Array} b @returns {File} */
export function readFile(b) {
  const source = new Source()
  source.add(b)
  source.final = true
  const steps = fileAt(source, 0, null)
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}

function* readChain(source) {
  const first = yield* fileAt(source, 0, null)
  for (let last = first; !last.refused;) {
    while (source.bytes.length - last.next < 7 && !source.final) yield MORE
    const b = source.bytes
    if (last.next >= b.length) return
    /** @param {string} kind @param {File | null} other @param {string} [why] */
    const more = (kind, other, why) => {
      last.damage.push({ kind, at: last.next, bytes: source.bytes.length - last.next, why })
      return { kind: 'more', file: last, other }
    }
    if (!isMagic(b, last.next)) { yield more('junk after the end', null); return }
    const file = yield* fileAt(source, last.next, first)
    if (!file.begun) { yield more('other file', file, file.refused ?? 'another rate, number of channels or model'); return }
    last = file
  }
}

// Yields the events of one file that begins at pos; of one that is chained to `first` none if it cannot be played behind it
function* fileAt(source, pos, first) {
  /** @type {File} */
  const out = { at: pos, header: null, items: [], damage: [], end: null, refused: null, frames: 0, begun: false, next: undefined, samples: undefined }
  const begin = () => { if (!out.begun) { out.begun = true; return [{ kind: 'file', file: out }] } return [] }
  try {
    out.header = yield* readHeader(source, pos, out.damage)
    const why = whyRefused(out.header)
    if (why) throw new Refusal(why)
    out.opened = true
  } catch (e) {
    if (!(e instanceof Refusal)) throw e
    out.refused = e.message
    if (!first) { yield* begin(); yield { kind: 'end', file: out } }
    return out
  }
  const h = out.header
  if (first && ['sampleRate', 'channels', 'fingerprint'].some((name) => h[name] !== first.header[name])) return out
  out.samples = h.samples
  if (!first) yield* begin()
  yield* walk(source, h, out, begin)
  if (out.end) {
    out.next = out.end.end
    checkEnd(h, out)
  } else if (!out.refused) out.next ??= source.bytes.length
  out.samples = h.samples ?? out.end?.header.samples ?? null
  if (first && out.refused && !out.items.length) return out
  yield* begin()
  yield { kind: 'end', file: out }
  return out
}

// The header at pos, or one repaired or from the end; throws Refusal
function* readHeader(source, pos, damage) {
  for (;;) {
    const b = source.bytes
    try {
      return parseHeader(b, pos)
    } catch (e) {
      if (!(e instanceof Damage)) throw e
      // What can be made of a damaged one, the whole file tells.
      if (!source.final) { yield MORE; continue }
      return restored(b, pos, damage, e)
    }
  }
}
function restored(b, pos, damage, problem) {
  const h = repairHeader(b, pos), repaired = () => { damage.push({ kind: 'header repaired', why: problem.message, how: h.repaired }); return h }
  if (h && h.bytes.length <= LONG_HEADER) return repaired()
  const end = firstEnd(b, pos)
  if (end) {
    damage.push({ kind: 'header from the end', why: problem.message })
    return { ...end.header, at: pos, end: pos, fromEnd: true }
  }
  if (h) return repaired()
  const old = String.fromCharCode(...b.subarray(pos, pos + 4))
  if (old === 'GRIT' || old === 'grit') throw new Refusal(`made before version 1 was fixed ("${old}")`)
  if (!isMagic(b, pos)) throw new Refusal('not a .grit file: no magic at the beginning, and no header in an end')
  throw new Refusal(b[pos + 7] === 1 ? `header cannot be read: ${problem.message}` : problem.message)
}

function* walk(source, h, out, begin) {
  let pos = h.end
  const search = { bytes: 0, spent: 0, read: 0, missing: 0 } // for the whole file
  function* accept(item) {
    item.position = out.frames
    if (item.kind === 'chunk' && item.required) {
      out.refused = `chunk ${item.mark.toString(16)} at byte ${item.at}, frame ${out.frames}, is required and not known`
      return item.end
    }
    if (item.kind === 'chunk' && item.known) item.value = chunkValue(item)
    out.items.push(item)
    out.frames += item.frames
    search.read += item.frames
    yield* begin()
    yield { kind: 'item', item, file: out }
    return item.end
  }
  while (!out.refused) {
    const b = source.bytes, item = pos < b.length ? parseItem(b, pos, h) : CUT
    if (item && item !== CUT && item.position === out.frames % 2 ** 32) { pos = yield* accept(item); continue }
    const end = parseEnd(b, pos)
    if (end && end !== CUT && end.frames === out.frames && sameHeader(h, end.header)) { out.end = end; return }
    if ((item === CUT || end === CUT) && !source.final) { yield MORE; continue }
    const found = pos < b.length ? yield* seek(source, pos, h, out, search) : null
    if (!found || found.stopped) {
      if (found) out.damage.push({ kind: 'search stopped', at: found.stopped })
      out.damage.push({ kind: 'cut', at: pos, bytes: source.bytes.length - pos, frame: out.frames })
      return
    }
    const bytes = found.at - pos
    if (found.kind !== 'file' && found.ahead) out.damage.push({ kind: 'lost', from: out.frames, to: out.frames + found.ahead, at: pos, bytes })
    else if (found.kind !== 'file') out.damage.push({ kind: 'junk', at: pos, bytes, frame: out.frames })
    search.missing += found.ahead ?? 0
    out.frames += found.ahead ?? 0
    if (found.kind === 'end') { out.end = found.it; return }
    if (found.kind === 'file') {
      out.damage.push({ kind: 'cut', at: pos, bytes, frame: out.frames })
      out.next = found.at
      return
    }
    pos = yield* accept(found.it)
  }
}
// The first place from pos on that is believed: {kind, it, at, ahead}; {stopped: place}; or null
function* seek(source, pos, h, out, search) {
  const expected = out.frames
  const mayBe = (ahead) => search.missing + ahead <= BELIEVED + search.read
  for (let p = pos; ; p++) {
    while (p >= source.bytes.length) { if (source.final) return null; yield MORE }
    search.bytes++
    for (let again = true; again;) { // until there are bytes enough to tell what is at p
      again = false
      const b = source.bytes, wait = !source.final
      if (b[p] === 0x80) {
        const end = parseEnd(b, p)
        if (end === CUT && wait) { yield MORE; again = true; continue }
        if (!end || end === CUT) continue
        search.spent += end.length
        const ahead = end.frames - expected
        if (ahead >= 0 && mayBe(ahead) && sameHeader(h, end.header)) return { kind: 'end', it: end, at: p, ahead }
        continue
      }
      const file = fileBegins(b, p)
      if (file === CUT && wait) { yield MORE; again = true; continue }
      if (file === true) return { kind: 'file', at: p }
      const item = layout(b, p, h)
      if (item === CUT && wait && !isLongChunk(b, p)) { yield MORE; again = true; continue }
      if (!item || item === CUT) continue
      const position = positionOf(b, p, item.checkAt)
      const ahead = (position - (expected % 2 ** 32) + 2 ** 32) % 2 ** 32
      const within = search.spent + item.checkAt - p <= BUDGET + 256 * search.bytes
      const chunk = item.kind === 'chunk', possible = within && mayBe(ahead) && !(chunk && item.payload.length > SEARCHED_PAYLOAD)
      const near = !chunk && ahead < 16 * h.packetFrames
      const sure = possible && !near ? confirmed(b, item, h, expected + ahead + item.frames) : false
      if (sure === CUT && wait) { yield MORE; again = true; continue }
      search.spent += item.checkAt - p
      if (!within) return { stopped: p }
      item.position = position
      if (possible && (near || sure === true)) return { kind: 'item', it: item, at: p, ahead }
    }
  }
}
// Is what begins at p a chunk that no search looks for
function isLongChunk(b, p) {
  if (b[p] & 0x40 || b[p] === 0x81) return false
  let length = 0
  for (let i = 0; i < 3 && p + 1 + i < b.length; i++) {
    length += (b[p + 1 + i] & 127) << (7 * i)
    if (b[p + 1 + i] < 128) break
  }
  return length > SEARCHED_PAYLOAD
}
// Does another file begin here: a header that is right, and an item of position 0 or an end of 0 frames
function fileBegins(b, p) {
  if (!isMagic(b, p)) return isMagic(b, p, b.length - p) ? CUT : false
  try {
    const h = parseHeader(b, p), end = parseEnd(b, h.end)
    if (end && end !== CUT) return end.frames === 0 && sameHeader(h, end.header)
    const item = h.end < b.length ? parseItem(b, h.end, h) : CUT
    return end === CUT || item === CUT ? CUT : item?.position === 0
  } catch (e) {
    if (e instanceof Damage || e instanceof Refusal) return e instanceof Cut ? CUT : false
    throw e
  }
}
function confirmed(b, item, h, next) { // by an item or an end at the place where it ends
  const after = item.end < b.length ? parseItem(b, item.end, h) : CUT
  if (after && after !== CUT && after.position === next % 2 ** 32) return true
  const end = parseEnd(b, item.end)
  if (end && end !== CUT) return end.frames === next && sameHeader(h, end.header)
  return after === CUT || end === CUT ? CUT : false
}

// The end's other numbers against what was read
function checkEnd(h, out) {
  const { end, items } = out, packets = items.filter((i) => i.kind === 'packet')
  const read = { packets: packets.length, chunks: items.filter((i) => i.kind === 'chunk').length, splices: items.filter((i) => i.mark === 0x22).length }
  const lost = out.damage.some((d) => d.kind === 'lost'), sound = !out.damage.length
  for (const name of ['chunks', 'splices']) if (end[name] > read[name]) out.damage.push({ kind: `${name} lost`, number: end[name] - read[name] })
  const wrong = Object.keys(read).filter((name) => end[name] < read[name] || (name === 'packets' && !lost && end.packets !== read.packets))
  if (sound && !indexes(end, h.at)) wrong.push('before')
  if (wrong.length) out.damage.push({ kind: 'end contradicts', what: wrong })
  if (lost || out.damage.some((d) => d.kind === 'junk') || h.fromEnd) return
  let at = h.end, position = 0
  for (const [i, step] of end.steps.entries()) {
    const p = packets[8 * i + 8]
    at += step.bytes
    position += step.frames
    if (!p || p.at !== at || p.position !== position) { out.damage.push({ kind: 'index wrong', step: i }); return }
  }
}
