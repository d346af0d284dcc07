// Whole files, fields, items, ends, chains and refusals
import test from 'node:test'
import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import { Writer, FIELDS, field, header, varint, crc, le, ascii, codesAt } from './writer.mjs'
import { report, reportSeek } from './gritcodes.mjs'
import { crc32c, positionOf } from '../../web/src/bytes.js'
import { framesOf } from './model.mjs'
import { readFile } from '../../web/src/reader.js'
import { Codes } from '../../web/src/codes.js'

const one = (b, options) => { const r = report(b, options); assert.equal(r.length, 1); return r[0] }
const sha = (codes) => { const [S, C, T] = [codes.length, codes[0].length, codes[0][0].length], list = []; for (let c = 0; c < C; c++) for (let s = 0; s < S; s++) for (let t = 0; t < T; t++) list.push(...le(codes[s][c][t], 2)); return crypto.createHash('sha256').update(Buffer.from(list)).digest('hex') }
const clean = (f) => { assert.deepEqual(f.damage, []); assert.equal(f.refused, undefined) }

test('CRC and the position in it', () => {
  assert.equal(crc(ascii('123456789')), 0xe3069283)
  assert.equal(crc32c(Uint8Array.from(ascii('123456789'))), 0xe3069283)
  for (const n of [0, 1, 640, 2 ** 31, 2 ** 32 - 1]) {
    const b = Uint8Array.from([7, 8, 9, ...le(crc([7, 8, 9, ...le(n)]))])
    assert.equal(positionOf(b, 0, 3), n)
  }
})
test('a mono header takes 32 bytes', () => {
  assert.equal(header({ samples: 16400, coding: 1 }).length, 32)
  assert.equal(header({ samples: 131 * 16000, coding: 1 }).length, 32)
  assert.equal(header({ samples: 16000, coding: 1 }).length, 31) // the page says 1 s
})
for (const [name, o] of Object.entries({ mono: {}, stereo: { channels: 2 }, 'odd bits': { channels: 3, bits: 7, stages: 5 }, '16 bits': { bits: 16, stages: 2 }, '1 bit': { bits: 1, stages: 63 }, 'coding 1, plain blocks': { coding: 1, channels: 2, bits: 9 } })) {
  test(`codes come back: ${name}`, () => {
    const w = new Writer({ samples: 70000, ...o })
    for (let i = 0; i < 20; i++) w.packet(64, 1 + (i % w.o.stages))
    w.packet(17, 1).packet(64, 1, { own: true }).end()
    const f = one(w.bytes())
    clean(f)
    assert.equal(f.frames, 21 * 64 + 17)
    assert.equal(f.items.length, 22)
    f.items.forEach((item, i) => {
      assert.equal(item.position, w.packets[i].position)
      assert.equal(item.codes, sha(w.packets[i].codes))
    })
    assert.equal(f.end.steps.length, 2)
  })
}
test('optional fields', () => {
  const fields = [FIELDS.tag('TITLE=a=b'), FIELDS.startTime(-5n), FIELDS.tag('alone'), FIELDS.tag('=x'), field(4, [0x61, 0x3d, 0xff, 0xef, 0xbb, 0xbf]), FIELDS.startTrim(300), FIELDS.startTrim(7),
    FIELDS.encoder('speech-16k'), FIELDS.channelMask(3), FIELDS.gain(-300), field(22, [1, 2]), field(20, []), field(16, [1])]
  const f = one(new Writer({ samples: 0, channels: 2, fields }).end().bytes())
  clean(f)
  const h = f.header
  assert.deepEqual(h.tags, [['TITLE', 'a=b'], ['alone', ''], ['', 'x'], ['a', '\ufffd\ufeff']])
  assert.deepEqual([h.startTime, h.startTrim, h.encoder, h.channelMask, h.gain], [-5, 300, 'speech-16k', 3, -300])
  assert.deepEqual(h.unknown, [{ key: 22, length: 2, required: false, safeToCopy: false }, { key: 20, length: 0, required: false, safeToCopy: true }])
  assert.equal(h.passedOver.length, 2)
  assert.equal(one(new Writer({ samples: 0, fields: [FIELDS.channelMask(3)] }).end().bytes()).header.channelMask, null)
})
test('refusals', () => {
  const refused = (o, what) => assert.match(one(Uint8Array.from(header({ samples: 1, ...o }))).refused, what)
  refused({ coding: 3 }, /coding 3/)
  refused({ fields: [field(7, [])] }, /field 7/)
  refused({ fields: [FIELDS.bare()] }, /field 9/)
  refused({ fields: [FIELDS.keyFrames(0)] }, /field 5/)
  refused({ fields: [[4, 9, 1]] }, /fields/)
  refused({ channels: 0 }, /channels is 0/)
  refused({ rate: 768001 }, /sampleRate/)
  refused({ packetFrames: 513 }, /packetFrames/)
  refused({ stages: 64 }, /stages/)
  refused({ channels: 255, packetFrames: 512, stages: 63 }, /2\^20/)
  refused({ version: 3, fields: [ascii('xx')] }, /version 3/)
  assert.match(one(Uint8Array.from(ascii('GRIT and more'))).refused, /made before version 1/)
  assert.match(one(Uint8Array.from(ascii('grit\u0001'))).refused, /made before version 1/)
  assert.match(one(Uint8Array.from([])).refused, /no magic/)
  assert.match(one(Uint8Array.from(ascii('RIFF....WAVE'))).refused, /no magic/)
  const f = one(new Writer({ samples: 99 }).packet().chunk(0x90, [1]).packet().end().bytes())
  assert.match(f.refused, /chunk 90.*frame 64/)
})
test('pauses, chunks and splices', () => {
  const w = new Writer({ samples: 40000, fields: [FIELDS.startTrim(100), FIELDS.firstSegment(30000)] })
  w.packet().chapter(0, 'one').pause(4096, [60, 127, 200]).pause(1).chunk(0x05, [1, 2, 3]).chunk(0x3f, []).packet(20).splice(10000, 50).chapter(39000, 'zw\u00f6lf').packet().chapter(40000, '').end()
  const f = one(w.bytes())
  clean(f)
  assert.deepEqual(f.items.map((i) => [i.kind, i.position]), [['packet', 0], ['chunk', 64], ['pause', 64], ['pause', 4160], ['chunk', 4161], ['chunk', 4161], ['packet', 4161], ['chunk', 4181], ['chunk', 4181], ['packet', 4181], ['chunk', 4245]])
  assert.deepEqual(f.items[2].noise, [60, 127, 200])
  assert.deepEqual(f.items[8].value, { sample: 39000, name: 'zw\u00f6lf' })
  assert.deepEqual(f.segments, [{ from: 0, startTrim: 100, frames: 4181, samples: 30000 }, { from: 4181, startTrim: 50, frames: 64, samples: 10000 }])
})
test('segments and the model', () => {
  const speech = [16000, 320, 240], n = (frames) => frames * 320 - 240
  const file = (first, second, o = {}) => { const w = new Writer({ samples: n(64) + n(30), fields: first === null ? [] : [FIELDS.firstSegment(first)], ...o }).packet(); return w.splice(second, 0).packet(30) }
  const f = one(file(n(64), n(30)).end().bytes(), { dims: speech })
  clean(f)
  assert.deepEqual(f.segments.map((s) => [s.frames, s.framesByModel]), [[64, 64], [30, 30]])
  assert.match(one(file(n(64), n(30) + 1).end().bytes()).refused, /segments have/)
  assert.match(one(file(n(64) - 1, n(30)).end().bytes()).refused, /segments have/)
  assert.match(one(file(null, n(30)).end().bytes()).refused, /no first segment/)
  assert.match(one(file(n(64) + 320, n(30) - 320).end().bytes(), { dims: speech }).refused, /segment 0/)
  clean(one(file(n(64) - 320, n(30) + 320, { samples: n(94) - 240 }).packet(1).end().bytes(), { dims: speech })) // cut segments may have up to 63 more
  const b = file(n(64), n(30)).end().bytes(), w = file(n(64), n(30)), at = w.items[1].at
  b[at + 1] ^= 1 // the splice is lost
  const lost = one(b, { dims: speech })
  assert.deepEqual(lost.damage.map((d) => d.kind), ['junk', 'chunks lost', 'splices lost'])
  assert.deepEqual([lost.refused, ...lost.segments.map((s) => [s.from, s.samples, s.frames])], [undefined, [0, n(64), 94], ...[]])
  const long = one(file(n(64), n(30)).packet().end().bytes().map((v, i) => (i === at + 1 ? v ^ 1 : v)), { dims: speech })
  assert.deepEqual(long.segments.map((s) => [s.from, s.samples, s.frames, s.spliceLost]), [[0, n(64), 94, undefined], [94, n(30), 64, true]])
  assert.match(one(new Writer({ samples: 9, fields: [FIELDS.firstSegment(9)] }).packet().chunk(0x22, [1]).packet().end().bytes()).refused, /malformed splice/)
  assert.match(one(new Writer({ samples: 9, fields: [FIELDS.startTrim(2 ** 42 - 1)] }).packet().end().bytes()).refused, /4398046511103 samples/)
})
test('items that are none', () => {
  const bad = (make) => { const w = new Writer({ samples: 99, stages: 6 }).packet(); make(w); const f = one(w.packet().end().bytes()); assert.ok(f.damage.length, 'no damage seen'); return f }
  bad((w) => w.put([0x40], 0))
  bad((w) => w.put([0xc0, 1], 0))
  bad((w) => w.put([0x00, 0], 0))
  bad((w) => w.packet(3, 7)) // more stages than the header says
  bad((w) => w.put([0xc1, 65, ...new Array(82).fill(0)], 65))
  bad((w) => w.put([0xc1, 0], 0))
  bad((w) => w.put([0xc1, 0x81, 0x00, 0, 0], 1)) // varint with a zero last byte
  bad((w) => w.pause(0)); bad((w) => w.pause(4097)); bad((w) => w.pause(5, new Array(33).fill(1)))
  assert.equal(new Writer({}).pause(4096).items[0].bytes, 8)
})
test('frames and samples', () => {
  const speech = [16000, 320, 240]
  assert.deepEqual([framesOf(0, 0, 16000, speech), framesOf(1, 0, 16000, speech), framesOf(80, 0, 16000, speech), framesOf(81, 0, 16000, speech)], [0, 1, 1, 2])
  assert.equal(framesOf(441, 441, 44100, speech), 2) // 320 + 240
  const good = new Writer({ samples: 20 * 320 - 240 }).packet(20).end().bytes()
  assert.equal(one(good, { dims: speech }).refused, undefined)
  assert.match(one(new Writer({ samples: 20 * 320 - 239 }).packet(20).end().bytes(), { dims: speech }).refused, /20 frames.*21/)
  assert.match(one(good, { model: { fingerprint: 'ff' } }).refused, /another model/)
})
test('streams whose length was not known', () => {
  const w = new Writer({ samples: null, fields: [FIELDS.tag('a=b')] }).packet()
  assert.deepEqual(one(w.bytes()).damage, [{ kind: 'cut', at: w.at, bytes: 0, frame: 64 }])
  const f = one(w.end({ samples: 5000 }).bytes())
  clean(f)
  assert.equal(f.samples, 5000)
})
test('an end with another header is not believed', () => {
  for (const o of [{ samples: 5001 }, { samples: 5000, header: { rate: 8000 } }, { samples: 5000, header: { fields: [FIELDS.tag('a=c')] } }]) {
    const f = one(new Writer({ samples: 5000 }).packet().end(o).bytes())
    assert.equal(f.end, null)
    assert.deepEqual(f.damage.map((d) => d.kind), ['cut'])
  }
})
test('an end whose numbers are others', () => {
  const kinds = (o) => one(new Writer({ samples: 5000 }).packet().end(o).bytes()).damage.map((d) => d.kind)
  assert.deepEqual(kinds({ splices: 1 }), ['splices lost'])
  assert.deepEqual(kinds({ packets: 2 }), ['end contradicts'])
  assert.deepEqual(kinds({ frames: 128 }), ['lost'])
  assert.deepEqual(kinds({ frames: 63 }), ['cut'])
  const w = new Writer({ samples: 5000 }); for (let i = 0; i < 9; i++) w.packet()
  assert.deepEqual(one(w.end({ steps: [...varint(5), 0] }).bytes()).damage.map((d) => d.kind), ['index wrong'])
})
test('a file whose end is damaged, and another behind it', () => {
  const a = new Writer({ samples: 99 }).packet().packet(), b = new Writer({ samples: 7 }).packet().end().bytes(), none = new Writer({ samples: 0 }).end().bytes()
  const whole = a.end().bytes(), join = (...l) => Uint8Array.from(l.flatMap((x) => [...x])), damaged = whole.slice()
  damaged[whole.length - 1] ^= 9
  for (const first of [damaged, whole.subarray(0, a.endAt), whole.subarray(0, a.endAt + 9), whole.subarray(0, a.endAt - 3)]) for (const second of [b, none]) {
    const files = report(join(first, second))
    assert.deepEqual(files.map((f) => [f.at, f.frames, f.damage.map((d) => d.kind).join()]), [[0, first.length < a.endAt ? 64 : 128, 'cut'], [first.length, second === b ? 64 : 0, '']])
  }
  assert.equal(report(join(damaged, b.subarray(0, 31), Uint8Array.of(1, 2, 3))).length, 1) // nothing that follows the header
})
test('an end that was moved', () => {
  const f = one(new Writer({ samples: 5000 }).packet().end({ before: 5 }).bytes())
  assert.deepEqual(f.damage, [{ kind: 'end contradicts', what: ['before'] }])
})
test('chained files', () => {
  const a = new Writer({ samples: 99 }).packet().end().bytes(), b = new Writer({ samples: 7, coding: 1, fields: [FIELDS.tag('x=y')] }).packet().packet().end().bytes()
  const other = new Writer({ samples: 7, channels: 2 }).packet().end().bytes(), join = (...l) => Uint8Array.from(l.flatMap((x) => [...x]))
  const files = report(join(a, b, a))
  assert.deepEqual(files.map((f) => [f.at, f.frames, f.damage.length]), [[0, 64, 0], [a.length, 128, 0], [a.length + b.length, 64, 0]])
  assert.deepEqual(one(join(a, other)).damage.map((d) => d.kind), ['other file'])
  assert.deepEqual(one(join(a, Uint8Array.of(1, 2))).damage.map((d) => d.kind), ['junk after the end'])
  assert.deepEqual(one(join(a, Uint8Array.from(header({ coding: 9 })))).damage.map((d) => d.kind), ['other file'])
})
test('seeking by the index', () => {
  const w = new Writer({ samples: 99 }).pause(1000).chapter(0, 'x')
  for (let i = 0; i < 40; i++) { w.packet(i % 3 ? 64 : 10 + i, 1 + (i % 6)); if (i % 5 === 0) w.pause(7) }
  const b = w.end().bytes()
  for (const p of [{ position: 0, frames: 1000 }, ...w.packets]) for (const frame of [p.position, p.position + p.frames - 1]) {
    const r = reportSeek(b, frame)
    assert.equal(r.item.position, p.position)
    if (p.codes) assert.equal(r.item.codes, sha(p.codes))
    assert.ok(r.itemsPassed <= 12)
  }
  assert.equal(reportSeek(b, w.position).found, false)
})
test('chained packets: which ones begin anew', () => {
  const w = new Writer({ samples: 99, coding: 2, packetFrames: 4, fields: [FIELDS.keyFrames(8), FIELDS.firstSegment(50)] })
  w.packet().packet().packet().packet().pause(3).packet().packet().splice(49, 0).packet().packet().packet().end()
  const fresh = [], entropy = { codes: 1024, chained: (b, from, to, { stages, frames, fresh: f }) => { fresh.push(f); assert.equal(to - from, 3); return new Uint16Array(stages * frames) } }
  clean(one(w.bytes(), { entropy }))
  assert.deepEqual(fresh, [true, false, true, false, true, false, true, false, true])
  const file = readFile(w.bytes()), codes = new Codes(w.bytes(), file, entropy), lost = []
  for (const [i, item] of file.items.entries()) if (i !== 1 && i !== 9) try { codes.of(item) } catch { lost.push(i) }
  assert.deepEqual(lost, [2, 3, 5, 6, 10]) // a splice may have been lost with them: nothing up to the next one
  const again = new Codes(w.bytes(), file, entropy), gone = []
  for (const [i, item] of file.items.entries()) if (i !== 0 && i !== 5) try { again.of(item) } catch { gone.push(i) }
  assert.deepEqual(gone, [1, 2, 3, 6])
})
