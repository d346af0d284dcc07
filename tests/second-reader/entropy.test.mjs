// Codings 1 and 2 with tables of its own, and tables out of their bounds
import test from 'node:test'
import assert from 'node:assert/strict'
import { Writer, FIELDS, codesAt, randomTables, independentBody, chainedBody, RangeEncoder, savings } from './writer.mjs'
import { fromTensors, frequencies, POWERS, RangeDecoder } from './entropy.mjs'
import { crc32c } from '../../web/src/bytes.js'
import { readFile } from '../../web/src/reader.js'
import { Codes } from '../../web/src/codes.js'

let state = 7
const random = (n) => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return Math.floor((state / 2 ** 32) * n) }
const flat = (codes) => { const out = []; for (let c = 0; c < codes[0].length; c++) for (const stage of codes) out.push(...stage[c]); return out }
const read = (b, entropy) => { const file = readFile(b), codes = new Codes(b, file, entropy); return file.items.map((i) => { try { const k = codes.of(i); return k && [...k] } catch (e) { return e.message } }) }

test('powers of two', () => assert.equal(crc32c(new Uint8Array(POWERS.buffer)), 0x1d5c5edf))
test('frequencies', () => {
  for (let i = 0; i < 300; i++) {
    const N = 2 ** (1 + random(8)), a = Int32Array.from({ length: N }, () => (i % 3 ? random(2 ** 31) - 2 ** 30 : random(3000)) * (i % 2 ? 1 : 2)), f = frequencies(a, N, i % 21, new Int32Array(N))
    assert.equal(f.reduce((x, y) => x + y), 65536)
    assert.ok(f.every((v) => v >= 1))
    assert.ok(f[a.indexOf(Math.max(...a))] === Math.max(...f))
  }
  assert.deepEqual([...frequencies(Int32Array.of(2 ** 31 - 1, -(2 ** 31)), 2, 0, new Int32Array(2))], [65535, 1])
  assert.deepEqual([...frequencies(Int32Array.of(5, 5, 5, 5), 4, 0, new Int32Array(4))], [16384, 16384, 16384, 16384])
})
test('the range coder', () => {
  for (let i = 0; i < 100; i++) {
    const n = random(60), f = Array.from({ length: n }, () => { const a = Int32Array.from({ length: 8 }, () => random(4000)); return frequencies(a, 8, random(4), new Int32Array(8)) })
    const symbols = f.map((x) => (i % 2 ? random(8) : x.indexOf(Math.max(...x)))), coder = new RangeEncoder(symbols)
    f.forEach((x) => coder.symbol(x, 8))
    const b = Uint8Array.from([9, ...coder.bytes(), 9]), decoder = new RangeDecoder(b, 1, b.length - 1)
    assert.deepEqual(f.map((x) => decoder.symbol(x, 8)), symbols)
  }
  assert.throws(() => new RangeDecoder(new Uint8Array(8).fill(255), 0, 8).symbol(Int32Array.of(32768, 32768), 2), { message: /does not decode/ })
})
for (const [coding, more] of [[1, {}], [1, { channels: 2, packetFrames: 13 }], [2, { packetFrames: 1, fields: [FIELDS.keyFrames(16)] }], [2, { packetFrames: 4, channels: 2, fields: [FIELDS.keyFrames(12)] }], [2, { packetFrames: 3 }]]) {
  test(`codes come back: coding ${coding}, ${JSON.stringify({ ...more, fields: undefined })}, ${more.fields ? '' : 'no '}key frames`, () => {
    const tables = randomTables(random), entropy = fromTensors(tables.tensors), bits = 5
    const w = new Writer({ samples: 1, stages: 3, bits, coding, ...more }), { channels, packetFrames } = w.o, want = []
    const key = more.fields ? (packetFrames === 1 ? 16 : 12) : 1
    let fresh = true, from = 0
    for (let i = 0; i < 40; i++) {
      if (i === 17) { w.pause(packetFrames * 2); want.push(null); fresh = true }
      if (i === 25) { w.splice(0, 0); want.push(null); fresh = true; from = w.position }
      const stages = 1 + (i % 3), codes = codesAt(i, stages, channels, packetFrames, bits)
      const on = fresh || (w.position - from) % key === 0
      w.packet(packetFrames, stages, { body: coding === 1 ? independentBody(codes, entropy, tables, bits) : chainedBody(codes, entropy, tables, bits, on) })
      fresh = false
      want.push(flat(codes))
    }
    assert.deepEqual(read(w.end().bytes(), fromTensors(tables.tensors)), want)
  })
}
test('bodies that hold no codes', () => {
  const tables = randomTables(random), entropy = fromTensors(tables.tensors), o = { samples: 1, stages: 3, bits: 6, packetFrames: 4 } // 6 bits, and 32 codes
  const plain = new Writer({ ...o, coding: 0 }).packet(4, 1, { body: [0, 0, 0] }).packet(4, 1, { body: [255, 0, 0] }).end().bytes()
  assert.deepEqual(read(plain, entropy), [[0, 0, 0, 0], 'a code that the model does not have'])
  const one = new Writer({ ...o, packetFrames: 16, coding: 1 }).packet(16, 1, { body: [...savings([0], 12), ...new Array(12).fill(255)] }).packet(16, 1, { body: [...savings([2], 12), ...new Array(10).fill(255)] }).packet(16, 1, { body: savings([12], 12) }).end().bytes()
  const [a, b, c] = read(one, entropy)
  assert.deepEqual([a, b, c.length], ['a code that the model does not have', 'a block that does not decode', 16])
  const two = new Writer({ ...o, coding: 2, fields: [FIELDS.keyFrames(8)] })
  for (const body of [[1, 0], [3, 255, 255, 255], [1, 0], [1, 0], [3, 255, 255, 255], [1, 0], [3, 0, 0, 0]]) two.packet(4, 1, { body })
  const got = read(two.end().bytes(), entropy)
  assert.deepEqual(got.map((x) => typeof x), ['object', 'string', 'object', 'object', 'string', 'string', 'object'])
  assert.match(got[1], /the model does not have/)
  assert.match(got[5], /before it/)
  assert.deepEqual(got[6], [0, 0, 0, 0])
})
test('savings in half bytes', () => {
  const random3 = (list, whole, long) => { // blocks of zeros, which are codes
    const w = new Writer({ samples: 1, stages: list.length, bits: 8, channels: 1, packetFrames: whole, coding: 1 })
    w.packet(whole, list.length, { body: [...savings(list, whole, long), ...new Array(Math.max(0, list.reduce((n, s) => n + whole - s, 0))).fill(0)] })
    return readFile(w.end().bytes())
  }
  for (const list of [[0], [21], [64], [14, 28], [13, 29, 64, 0, 0], [1, 2, 3, 64], [28, 35, 42]]) for (const long of [false, true]) {
    assert.deepEqual(random3(list, 64, long).items.map((i) => i.blocks.map((b) => 64 - b.length)), [list])
  }
  assert.equal(savings([28, 21, 14], 64).length, 2)
  assert.equal(savings([29], 64).length, 2) // zigzag of 8 is 16: 15, 0 + 8, 2, and a half of 0
  for (const list of [[65], [-1], [3, -2], [64, 66]]) assert.equal(random3(list, 64).items.length, 0)
  const nine = new Writer({ samples: 1, stages: 1, bits: 8, packetFrames: 64, coding: 1 }).packet(64, 1, { body: [0xf8, 0x88, 0x88, 0x88, 0x88, 0] })
  assert.equal(readFile(nine.bytes()).items.length, 0) // nine halves that hold bits
})
test('tables out of their bounds', () => {
  const refused = (change, why) => { const { tensors } = randomTables(random); change(tensors); assert.throws(() => fromTensors(tensors), why) }
  assert.equal(fromTensors({}), null)
  refused((t) => { delete t['contexts.middle'] }, /no middle/)
  refused((t) => { t['contexts.order'].data[3] = t['contexts.order'].data[4] }, /permutation/)
  refused((t) => { t['contexts.vector_shift'].data[1] = 4 }, /vector_shift/)
  refused((t) => { t['contexts.place_shift'].data[1] = 21 }, /place_shift/)
  refused((t) => { t['contexts.hidden_bias'].data[0] = 2 ** 31 - 1 }, /hidden of stage 0/)
  refused((t) => { t['contexts.place_bias'].data.fill(-(2 ** 31)) }, /place of stage 0/)
  refused((t) => { t['contexts.group'].type = 'uint8' }, /group is/)
  refused((t) => { t['contexts.hidden'].shape[1]++ }, /hidden is/)
  assert.throws(() => fromTensors(randomTables(random, { G: 3 }).tensors), /3 groups/)
  assert.throws(() => fromTensors(randomTables(random, { P: 512 }).tensors), /512 groups or places/)
})
