// Files that no encoder makes: node cases.mjs FOLDER writes one for every rule of docs/bitstream.md that two readers may understand in two ways
import fs from 'node:fs'
import { Writer, FIELDS, field, header, varint, ascii, savings } from './writer.mjs'

const bytes = (...parts) => Uint8Array.from(parts.flatMap((p) => [...p]))
const flip = (b, at, by = 1) => { const c = b.slice(); c[at] ^= by; return c }
const drop = (b, from, to) => bytes(b.subarray(0, from), b.subarray(to))
const cases = {}
const put = (name, w) => { cases[name] = w instanceof Writer ? w.bytes() : Uint8Array.from(w) }
const plain = (o = {}) => new Writer({ samples: 20000, stages: 4, ...o })

// fields
const many = [FIELDS.tag('A=b'), FIELDS.tag('=x'), FIELDS.tag('lonely'), field(4, [0x61, 0x3d, 0xff, 0xe2, 0x82, 0x41, 0xf0, 0x9f]), field(4, []), field(4, ascii('\ufeffbom=\ufeff\u0000')),
  FIELDS.startTime(-(2n ** 63n)), FIELDS.startTime(5n), FIELDS.gain(-32768), FIELDS.startTrim(3), FIELDS.startTrim(4), field(8, [0xc3]), field(20, []), field(22, [1])]
put('fields', plain({ fields: many }).packet().end())
put('field lengths', plain({ fields: [field(2, [1]), field(16, [1, 2, 3]), field(6, []), field(6, [0x80, 0x00]), field(6, [1, 2]), field(12, []), FIELDS.startTrim(9), FIELDS.gain(7)] }).packet().end())
put('mask of other channels', plain({ fields: [FIELDS.channelMask(7), FIELDS.channelMask(1)] }).packet().end())
put('mask', plain({ fields: [FIELDS.channelMask(0x80000000)] }).packet().end())
for (const trim of [2 ** 42 - 2, 2 ** 42 - 1, 2 ** 48]) put(`trim ${trim}`, plain({ fields: [FIELDS.startTrim(trim)] }).packet().end())
put('trim too large, then one', plain({ fields: [FIELDS.startTrim(2 ** 43), FIELDS.startTrim(5)] }).packet().end())
put('first segment too large', plain({ fields: [FIELDS.firstSegment(2 ** 43)] }).packet().end())
for (const key of [7, 9, 21]) put(`required field ${key}`, plain({ fields: [field(key, [])] }).packet().end())
put('bare, malformed', plain({ fields: [field(9, [1])] }).packet().end())
for (const [name, f] of [['0', FIELDS.keyFrames(0)], ['empty', field(5, [])], ['two', field(5, [1, 1])], ['65536', FIELDS.keyFrames(65536)], ['good and bad', [...FIELDS.keyFrames(3), ...field(5, [])]]]) put(`key frames ${name}`, plain({ fields: [f] }).packet().end())
put('fields cut', plain({ fields: [[4, 9, 65]] }).packet().end())
put('fields that end in a key', plain({ fields: [[4, 1, 65, 6]] }).packet().end())
for (const [name, o] of Object.entries({ 'rate 0': { rate: 0 }, 'rate most': { rate: 768000 }, 'rate more': { rate: 768001 }, 'channels 0': { channels: 0 }, 'channels 256': { channels: 256 }, 'samples most': { samples: 2 ** 42 - 2 }, 'samples more': { samples: 2 ** 42 - 1 },
  'stages 0': { stages: 0 }, 'stages 64': { stages: 64 }, 'packet frames 0': { packetFrames: 0 }, 'packet frames 513': { packetFrames: 513 }, 'frame rate 0': { frameRate: 0 }, 'frame rate 16384': { frameRate: 16384 }, 'packet of 2^20': { channels: 128, packetFrames: 512, stages: 16, bits: 8 },
  'packet of more': { channels: 129, packetFrames: 512, stages: 16, bits: 8 }, 'coding 3': { coding: 3 }, 'version 2': { version: 2 }, 'version 0': { version: 0 } })) put(name, bytes(header({ samples: 5, ...o }), new Writer({ samples: 5 }).end().bytes()))
const tagged = (n) => [FIELDS.tag(`a=${'x'.repeat(n)}`)]
for (const n of [900, 1200]) {
  const w = plain({ fields: tagged(n) }).packet().packet(), b = w.end().bytes(), h = w.parts[0].length
  for (const at of [3, 20, 35, 500, h - 2]) put(`header of ${h} with byte ${at} changed`, flip(b, at, 3))
  put(`header of ${h}, two changed`, flip(flip(b, 300), 400))
  put(`header of ${h}, one changed, no end`, flip(b.subarray(0, w.endAt), 300))
  put(`header of ${h}, two changed, no end`, flip(flip(b.subarray(0, w.endAt), 300), 400))
}
{
  const w = plain().packet().packet(), b = w.end().bytes(), h = w.parts[0].length
  put('header gone', b.subarray(h)); put('header and first packet gone', b.subarray(w.items[1].at)); put('header half gone', b.subarray(h - 9))
  put('header in ruins, another file behind', bytes(flip(flip(b, 9), 12), plain({ samples: 7, fields: tagged(3) }).packet().end().bytes()))
  put('header damaged in the second file', bytes(b, flip(b, 12))); put('magic damaged in the second file', bytes(b, flip(b, 2))); put('header in ruins in the second file', bytes(b, flip(flip(b, 9), 12)))
  put('version changed', flip(b, 7, 2)); put('byte put before', bytes([7], b)); put('two bytes put before', bytes([7, 7], b)); put('first byte gone', b.subarray(1)); put('old name', bytes(ascii('grit'), b.subarray(4)))
}
// items
for (const [name, mark, size] of [['chunk', 5, 10], ['chunk of 255', 5, 255], ['chunk of 256', 5, 256], ['chunk for the samples', 0x2f, 3], ['required chunk', 0x82, 3], ['required chunk for the samples', 0xa2, 300]]) {
  const w = plain().packet().packet().chunk(mark, new Array(size).fill(1)).packet().packet(), b = w.end().bytes()
  put(name, w); put(`${name}, first`, plain().chunk(mark, new Array(size).fill(1)).packet().end()); put(`${name}, last`, plain().packet().chunk(mark, new Array(size).fill(1)).end())
  put(`${name} behind damage`, flip(b, w.items[1].at + 9)); put(`${name} before damage`, flip(b, w.items[3].at + 9)); put(`${name} between damage`, flip(flip(b, w.items[1].at + 9), w.items[3].at + 9))
  put(`${name} damaged`, flip(b, w.items[2].at + 3)); put(`${name} behind a byte put in`, bytes(b.subarray(0, w.items[2].at), [1], b.subarray(w.items[2].at)))
}
for (const [name, payload] of [['empty', []], ['one number', [5]], ['too large', [...varint(2 ** 42 - 1), 0]], ['trim too large', [5, ...varint(2 ** 42)]], ['more behind', [...varint(10000), 0, 9, 9]]]) {
  const w = plain({ fields: [FIELDS.firstSegment(10000)] }).packet().chunk(0x22, payload).packet(); w.splices++
  put(`splice ${name}`, w.end())
}
for (const [name, payload] of [['malformed', []], ['beyond', [...varint(20001), 65]], ['at the end', [...varint(20000)]], ['not UTF-8', [5, 0xff, 0x41]]]) put(`chapter ${name}`, plain().packet().chunk(0x21, payload).packet().end())
put('splice without field 10', plain().packet().splice(10000, 0).packet().end()); put('field 10 without a splice', plain({ fields: [FIELDS.firstSegment(10000)] }).packet().end())
put('samples of segments disagree', plain({ fields: [FIELDS.firstSegment(10000)] }).packet().splice(9999, 0).packet().end())
for (const noise of [[0], [127, 1, 253], [128], [255, 0, 254, 255], new Array(32).fill(100)]) put(`noise ${noise.slice(0, 4)} ${noise.length}`, plain().packet().pause(9, noise).packet().end())
for (const [name, f] of Object.entries({ 'stages too many': (w) => w.packet(64, 5), 'mark 40': (w) => w.put([0x40], 0), 'mark 00': (w) => w.put([0, 0], 0), 'mark c0': (w) => w.put([0xc0, 1], 0), 'frames too many': (w) => w.packet(65, 1), 'varint with a zero': (w) => w.put([0xc1, 0x81, 0, 0, 0], 1),
  'pause of 0': (w) => w.pause(0), 'pause of 4097': (w) => w.pause(4097), 'noise of 33': (w) => w.pause(1, new Array(33).fill(0)), 'frames said though usual': (w) => w.packet(64, 2, { own: true }) })) { const w = plain().packet(); f(w); put(name, w.packet().end()) }
for (const c of [1, 2]) {
  for (const body of c === 1 ? [[...savings([0], 80), ...new Array(80).fill(7)], [...savings([0], 80, true), ...new Array(80).fill(7)], [0xf8, 0x88, 0x88, 0x88, 0x88, 0], [0xff], savings([81], 80), [savings([0], 80)[0], savings([0], 80)[1], 255]] : [[0], [1, 0], [...varint(80), ...new Array(80).fill(1)], [...varint(81), ...new Array(81).fill(1)], [0x81, 0, 5]]) put(`coding ${c}, body ${body.slice(0, 5)} of ${body.length}`, plain({ coding: c }).packet(64, 1, { body }).packet(64, 1, { body: c === 1 ? [...savings([0], 80), ...new Array(80).fill(9)] : [...varint(80), ...new Array(80).fill(2)] }).end())
}
// What looks like the longest packet at every byte: a search ends at so many bytes checked, and what lies behind is not found
for (const count of [64, 70000]) { const w = plain({ stages: 63, packetFrames: 512 }).packet(1, 1), b = w.packet(1, 1).end().bytes(); put(`a search of ${count} marks`, bytes(b.subarray(0, w.items[1].at), new Array(count).fill(0x7f), b.subarray(w.items[1].at))) }
// frames that are missing, ends
const jump = (by, after = 1, o = {}) => { const w = plain(o).packet(); w.position += by; for (let i = 0; i < after; i++) w.packet(); return w }
for (const by of [1023, 1024, 1025, 65536, 65600, 65601]) for (const after of [1, 2]) { put(`${by} missing, ${after} behind`, jump(by, after)); put(`${by} missing, ${after} and an end`, jump(by, after).end()) }
put('65600 missing before the end', (() => { const w = jump(0); w.position += 65536 + 128; return w.end() })()); put('one more', (() => { const w = jump(0); w.position += 65536 + 129; return w.end() })())
put('32 packets back', (() => { const w = plain().packet().packet(); w.position = 0; return w.packet().end() })())
for (const [name, o] of Object.entries({ frames: { frames: 200 }, 'fewer frames': { frames: 100 }, packets: { packets: 3 }, 'many packets': { packets: 30, steps: [5, 0, 5, 0, 5, 0] }, chunks: { chunks: 2 }, splices: { splices: 1 }, before: { before: 9 }, samples: { samples: 19999 }, tags: { header: { fields: tagged(2) } }, rate: { header: { rate: 8000 } } })) {
  put(`end with other ${name}`, plain().packet().packet().end(o))
  put(`end with other ${name}, live`, plain({ samples: null }).packet().packet().end({ samples: 20000, ...o }))
  put(`end with other ${name}, a file behind`, bytes(plain().packet().packet().end(o).bytes(), plain({ samples: 6 }).packet().end().bytes()))
}
put('steps wrong', (() => { const w = plain(); for (let i = 0; i < 9; i++) w.packet(); return w.end({ steps: [7, 3] }) })())
put('packets behind the end', bytes(plain().packet().end().bytes(), plain().packet().parts[1]))
put('end twice', (() => { const w = plain().packet(), b = w.end().bytes(); return bytes(b, b.subarray(w.endAt)) })())
{
  const w = plain().packet().packet(), b = w.end().bytes(), next = plain({ samples: 6 }).packet().end().bytes(), none = plain({ samples: 0 }).end().bytes(), live = plain({ samples: null }).packet().end({ samples: 99 }).bytes()
  for (const [name, second] of Object.entries({ one: next, 'an empty one': none, 'a live one': live, 'a cut one': next.subarray(0, -9), 'half a packet': next.subarray(0, 60), 'a header': next.subarray(0, 31), 'one with chunk first': plain().chunk(5, []).packet().end().bytes() })) {
    put(`end damaged, ${name} behind`, bytes(flip(b, b.length - 1), second)); put(`no end, ${name} behind`, bytes(b.subarray(0, w.endAt), second)); put(`packet and end gone, ${name} behind`, bytes(b.subarray(0, w.items[1].at), second)); put(`${name} behind`, bytes(b, second))
  }
  put('end damaged, a damaged one behind', bytes(flip(b, b.length - 1), flip(next, 12)))
}
fs.mkdirSync(process.argv[2], { recursive: true })
for (const [name, b] of Object.entries(cases)) fs.writeFileSync(`${process.argv[2]}/${name.replaceAll(/[^\w+-]+/g, '-')}.grit`, b)
