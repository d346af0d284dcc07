// What callers may give, and what is refused in one line
import assert from 'node:assert/strict'
import fs from 'node:fs'
import test from 'node:test'
import { gzipSync } from 'node:zlib'
import { load, peel, readAll, Reader, toWav } from '../src/index.js'
import { Kernel } from '../src/kernel.js'
import { bytesOf, codec } from './view.mjs'

const WEIGHTS = process.env.GRIT_WEIGHTS ?? new URL('../weights/', import.meta.url).pathname
const file = bytesOf(process.env.GRIT_FILE ?? new URL('../../tests/vectors/long.grit', import.meta.url).pathname)
const refuses = (call, what) => assert.throws(call, (e) => e instanceof RangeError && what.test(e.message) && !e.message.includes('\n'))

test('rates and channels that are none', () => {
  const x = new Float32Array(100)
  for (const rate of [0, -1, NaN, Infinity, 1e6, 22050.5, '16000', undefined]) {
    refuses(() => codec.compress([x], rate, {}), /sample rate/)
    refuses(() => codec.recorder(rate), /sample rate/)
    refuses(() => codec.sender(rate), /sample rate/)
  }
  refuses(() => codec.compress([], 16000), /0 channels/)
  refuses(() => codec.sender(16000, 256), /256 channels/)
})
test('stages and bitrates that are none', () => {
  for (const stages of [-1, 0, 1.5, NaN]) refuses(() => codec.decompress(file, { stages }), /stages/)
  for (const kbps of [NaN, undefined]) refuses(() => peel(file, readAll(file)[0], kbps), /bitrate/)
})
test('bytes of any kind', async () => {
  const known = codec.decompress(file).channels, whole = file.buffer.slice(file.byteOffset, file.byteOffset + file.length)
  const within = Buffer.concat([Buffer.from([0]), Buffer.from(file)]).subarray(1)
  for (const bytes of [whole, within, new DataView(whole)]) assert.deepEqual(codec.decompress(bytes).channels, known)
  const lowest = codec.bitrates[0]
  assert.deepEqual(peel(whole, readAll(whole)[0], lowest), peel(file, readAll(file)[0], lowest))
  assert.throws(() => codec.decompress('talk.grit'), /Uint8Array/)
  for (const shift of [0, 1]) {
    const weights = Buffer.concat([Buffer.alloc(shift), fs.readFileSync(`${WEIGHTS}/player.safetensors`)]).subarray(shift)
    assert.deepEqual((await load(weights)).decompress(file).channels, known)
  }
})
test('weights packed by gzip, as the page has them', async () => {
  const packed = gzipSync(fs.readFileSync(`${WEIGHTS}/player.safetensors`)), coder = gzipSync(fs.readFileSync(`${WEIGHTS}/encoder.safetensors`))
  const again = await load(packed, { encoder: coder })
  assert.deepEqual(again.decompress(file).channels, codec.decompress(file).channels)
  assert.ok(again.canRecord)
  for (const bad of [packed.subarray(0, packed.length >> 1), Buffer.concat([packed.subarray(0, 99), Buffer.alloc(99)])]) {
    await assert.rejects(load(bad), (e) => e.name === 'ModelError' && /^the weights cannot be unpacked: [^\n]+$/.test(e.message))
  }
})
test('only the end is damaged', () => {
  const bent = file.slice()
  bent[bent.length - 1] ^= 255
  assert.deepEqual(codec.decompress(bent).report, ['the end of the file is damaged; no sound is lost'])
  assert.match(codec.decompress(file.slice(0, file.length >> 1)).report.join(), /cut off at/)
})
test('no SIMD', async () => {
  const { validate } = WebAssembly
  WebAssembly.validate = () => false
  try { await assert.rejects(Kernel.load(), /too old: WebAssembly SIMD is needed/) } finally { WebAssembly.validate = validate }
})
test('a model of more memory than there is', () => {
  const before = codec.kernel.top
  assert.throws(() => codec.kernel.room(2 ** 31), (e) => e.name === 'ModelError' && /^there is no memory for a model of this size: [^\n]+$/.test(e.message))
  assert.equal(codec.kernel.top, before)
})
test('sound of other types, and none', () => {
  for (const x of [new Int16Array(900), [0.1, 0.2], 'sound']) assert.throws(() => codec.compress([x], 16000), /Float32Array for each channel/)
  assert.throws(() => codec.compress(new Float32Array(20), 16000), /Float32Array for each channel/)
  assert.deepEqual(codec.compress([new Float64Array(900)], 16000), codec.compress([new Float32Array(900)], 16000))
  refuses(() => toWav({ sampleRate: 16000, channels: [] }), /without channels/)
})
test('bitrates that no model has', () => {
  const x = new Float32Array(900), { bitrates } = codec
  for (const bitrate of [0, 0.4, bitrates.at(-1) + 0.4, 100, Infinity, NaN, '3k']) {
    refuses(() => codec.compress([x], 16000, { bitrate }), /there is no bitrate/)
    refuses(() => codec.sender(16000, 1, { bitrate }), /there is no bitrate/)
  }
  assert.ok(codec.compress([x], 16000, { bitrate: bitrates.at(-1) }).length)
})
test('bytes that are none, and bytes behind the end', () => {
  for (const bytes of [undefined, null, [1, 2]]) {
    assert.throws(() => codec.decompress(bytes), TypeError)
    assert.throws(() => codec.player().push(bytes), TypeError)
    assert.throws(() => new Reader().push(bytes), TypeError)
  }
  const player = codec.player()
  player.push(file)
  player.finish()
  assert.deepEqual(player.finish(), [])
  assert.throws(() => player.push(file), /the end of these bytes was told before/)
})
