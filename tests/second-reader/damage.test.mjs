// Every rule of "Damage"
import test from 'node:test'
import assert from 'node:assert/strict'
import { Writer, FIELDS, header, ascii } from './writer.mjs'
import { readFile, readAll as readChain } from '../../web/src/reader.js'

let state = 1
const random = (n) => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return Math.floor((state / 2 ** 32) * n) }
const noise = (n) => Uint8Array.from({ length: n }, () => random(256))
const join = (...l) => Uint8Array.from(Buffer.concat(l))
const change = (b, i, v = b[i] ^ (1 + random(255))) => { const c = b.slice(); c[i] = v; return c }
const without = (b, i, n = 1) => join(b.subarray(0, i), b.subarray(i + n))
const within = (b, i, ...v) => join(b.subarray(0, i), Uint8Array.from(v), b.subarray(i))
const kinds = (f) => f.damage.map((d) => d.kind)
const read = (b) => { const f = readFile(b); assert.equal(f.refused, null); return f }
function sample(o = {}, packets = 12) {
  const w = new Writer({ samples: 50000, stages: 4, packetFrames: 8, ...o })
  for (let i = 0; i < packets; i++) { w.packet(i === 5 ? 3 : 8, 1 + (i % 4)); if (i === 3) w.pause(5, [30]); if (i === 7) w.chapter(1, 'x').splice(9, 0) }
  return w.end()
}
// What was read is right: items are the written ones, in order; returns how many of them are gone
function compare(f, w) {
  const written = new Map(w.items.map((i) => [i.position + ':' + i.frames + ':' + i.bytes, i]))
  for (const i of f.items) assert.ok(written.has(i.position + ':' + i.frames + ':' + (i.end - i.at)), `invented: ${JSON.stringify(i)}`)
  return w.items.length - f.items.length
}

for (const o of [{}, { coding: 1 }, { coding: 2 }]) {
  test(`one byte changed, left out, put in anywhere costs one item at most: coding ${o.coding ?? 0}`, () => {
    const w = sample(o), b = w.bytes(), from = w.parts[0].length
    for (let i = o.coding ? from : 0; i < b.length; i++) for (const [d, c] of [['changed', change(b, i)], ['left out', without(b, i)], ['put in', within(b, i, random(256))]]) {
      if (Buffer.compare(c, b) === 0) continue
      const f = read(c), lost = compare(f, w)
      const more = f.end && f.next < c.length ? 1 : 0
      assert.ok(f.damage.length + more, `byte ${i} ${d}: not seen`)
      if (i < from) { assert.equal(lost, 0); assert.ok(kinds(f)[0].startsWith('header'), `byte ${i} ${d}`) }
      else assert.ok(lost <= 1, `byte ${i} ${d}: ${lost} lost`)
      if (i < w.endAt) { assert.ok(f.end, `byte ${i} ${d}: no end`); assert.equal(f.frames, w.position) }
    }
  })
}
test('cut anywhere: what lies before', () => {
  const w = sample({ coding: 1 }), b = w.bytes()
  for (let i = w.parts[0].length; i < b.length; i++) {
    const f = read(b.subarray(0, i))
    assert.equal(f.items.length, w.items.filter((x) => x.at + x.bytes <= i).length)
    assert.deepEqual(kinds(f), ['cut'])
  }
  for (let i = 0; i < w.parts[0].length - 1; i++) assert.ok(readFile(b.subarray(0, i)).refused) // one byte less is put in again
})
test('items left out, moved, put in twice', () => {
  const w = sample(), b = w.bytes(), all = w.items.map((i) => b.subarray(i.at, i.at + i.bytes)), head = b.subarray(0, w.parts[0].length), tail = b.subarray(w.endAt)
  for (let i = 0; i < all.length; i++) {
    const f = read(join(head, ...all.filter((_, j) => j !== i), tail))
    assert.equal(f.frames, w.position)
    const { frames, position } = w.items[i]
    if (frames) assert.deepEqual([f.damage[0].kind, f.damage[0].from, f.damage[0].to], ['lost', position, position + frames])
    else assert.deepEqual(kinds(f), ['chunks lost', ...(b[w.items[i].at] === 0x22 ? ['splices lost'] : []), 'end contradicts', 'index wrong']) // it is in another place than it says
    const twice = read(join(head, ...all.slice(0, i + 1), ...all.slice(i), tail))
    assert.equal(twice.frames, w.position)
    if (frames) assert.deepEqual(kinds(twice), ['junk'])
  }
  assert.equal(kinds(read(join(head, tail)))[0], 'lost')
  const f = read(join(head, all[1], all[0], ...all.slice(2), tail))
  assert.deepEqual(f.damage.map((d) => [d.kind, d.from]), [['lost', 0], ['junk', undefined]])
})
test('a header with tags is repaired wherever it is', () => {
  const w = new Writer({ samples: 3, fields: [FIELDS.tag('a=' + 'long '.repeat(60)), FIELDS.startTrim(5), FIELDS.tag('b=x')] }).packet().end(), b = w.bytes()
  const n = w.parts[0].length
  for (let i = 0; i < n; i += i < 70 ? 4 : i > n - 12 ? 1 : 47) for (const c of [change(b, i), without(b, i), within(b, i, random(256))]) {
    if (c.length === b.length && c[i] === b[i]) continue
    const f = read(c)
    assert.deepEqual(kinds(f), ['header repaired'])
    assert.deepEqual([f.header.startTrim, f.header.tags.length, f.items.length, f.frames], [5, 2, 1, 64])
    assert.ok(f.end)
  }
})
test('a header in ruins comes from the end', () => {
  const w = sample(), b = w.bytes(), head = w.parts[0].length
  for (const c of [join(noise(5), b.subarray(head)), join(noise(head), b.subarray(head)), b.subarray(head), b.subarray(10)]) {
    const f = read(c)
    assert.equal(kinds(f)[0], 'header from the end')
    assert.equal(compare(f, w), 0)
    assert.equal(f.frames, w.position)
  }
  assert.ok(readFile(join(noise(9), b.subarray(9, w.endAt))).refused)
})
test('what is believed: 16 packets, or more with something behind it', () => {
  const at = (position, after, more = []) => {
    const w = new Writer({ samples: 1 }).packet()
    w.position = position
    for (let i = 0; i < after; i++) w.packet()
    for (const n of more) { w.position += n; w.packet().packet() }
    return readFile(w.bytes())
  }
  assert.equal(at(64 + 1023, 1).items.length, 2)
  assert.equal(at(64 + 1024, 1).items.length, 1)
  assert.equal(at(64 + 1024, 2).items.length, 3)
  assert.equal(at(64 + 65536 + 64, 2).items.length, 3)
  assert.equal(at(64 + 65536 + 65, 2).items.length, 1)
  assert.equal(at(64 + 65536, 2, [192]).items.length, 5) // 64 + 128 read, 65536 gone: 192 more
  assert.equal(at(64 + 65536, 2, [193]).items.length, 3)
  assert.equal(at(0, 1).items.length, 1)
  const w = new Writer({ samples: 1 }).packet(); w.position = 5000; w.packet().end()
  assert.equal(readFile(w.bytes()).items.length, 2) // the end confirms it
})
test('holes, strange bytes, damage before each item', () => {
  const w = sample({ packetFrames: 64, stages: 6 }, 40), b = w.bytes()
  for (let i = 0; i < 60; i++) {
    const at = w.parts[0].length + random(w.endAt - w.parts[0].length), size = 1 + random(3000)
    for (const c of [without(b, at, Math.min(size, w.endAt - at)), join(b.subarray(0, at), noise(size), b.subarray(at)), join(b.subarray(0, at), noise(Math.min(size, w.endAt - at)), b.subarray(Math.min(at + size, w.endAt))), join(b.subarray(0, at), new Uint8Array(size), b.subarray(at))]) {
      const f = read(c)
      compare(f, w)
      assert.ok(f.end && f.frames === w.position)
      assert.ok(f.damage.length)
    }
  }
})
test('more than one thing at once', () => {
  const w = sample({}, 60), b = w.bytes()
  for (let i = 0; i < 100; i++) {
    let c = b
    for (let j = 0; j < 10; j++) { const at = w.parts[0].length + random(c.length - w.parts[0].length); c = [change, without, (x, y) => within(x, y, random(256))][random(3)](c, at) }
    const f = read(c)
    assert.ok(compare(f, w) <= 10 + 2) // a chunk before damage counts for nothing in a search
    assert.ok(f.damage.length || f.next < c.length)
  }
})
test('search has a bound in time', () => {
  const w = new Writer({ samples: 1, channels: 255, packetFrames: 8, stages: 60 }).packet(8, 1)
  const b = join(w.bytes(), new Uint8Array(300000).fill(0x7c)), started = Date.now() // each byte a mark of a packet of 153,000
  const f = readFile(b)
  assert.deepEqual(kinds(f), ['search stopped', 'cut'])
  assert.ok(Date.now() - started < 30000)
})
test('chains with a damaged member', () => {
  const w = sample(), a = w.bytes(), other = new Writer({ samples: 77 }).packet().end(), b = other.bytes()
  assert.deepEqual(readChain(join(change(a, 5), b)).map((f) => [kinds(f).join(), f.frames]), [['header repaired', w.position], ['', 64]])
  const second = readChain(join(a, change(b, 20)))
  assert.deepEqual(second.map((f) => kinds(f).join()), ['', 'header repaired'])
  assert.deepEqual(readChain(join(a, change(b, 2))).map((f) => kinds(f).join()), ['junk after the end'])
  assert.deepEqual(readChain(join(a, b.subarray(0, 50))).map((f) => kinds(f).join()), ['', 'cut'])
})
test('noise is refused or damaged, and never an exception', () => {
  for (let i = 0; i < 60; i++) {
    const head = Uint8Array.from(header({ samples: null, coding: i % 3, stages: 1 + random(63), packetFrames: 1 + random(90), channels: 1 + random(3) }))
    const b = join(i % 2 ? head : Uint8Array.from(ascii('x')), noise(random(3000)))
    for (const f of readChain(b)) assert.ok(f.refused || f.damage.length)
  }
})
