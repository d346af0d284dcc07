// The conformance vectors, whole and piece by piece: docs/conformance.md
import assert from 'node:assert/strict'
import fs from 'node:fs'
import test from 'node:test'
import { Refusal, WrongModel } from '../src/index.js'
import { bytesOf, codec, pieces, viewOf, wavOf } from './view.mjs'

const FOLDER = process.env.GRIT_VECTORS ?? new URL('../../tests/vectors/', import.meta.url).pathname
const CONTAINER = process.env.GRIT_CONTAINER // the files of container.tar.xz
const listed = (name) => JSON.parse(fs.readFileSync(`${FOLDER}/${name}`, 'utf8'))
const plain = (x) => JSON.parse(JSON.stringify(x))
const said = (report) => report.some((line) => /follows, and is not played|no \.grit file follows/.test(line)) ? 'more' : report.length ? 'damaged' : 'whole'

function heard(chunks) {
  const player = codec.player(), blocks = []
  for (const piece of chunks) blocks.push(...player.push(piece))
  blocks.push(...player.finish())
  return { channels: Array.from({ length: player.header.channels }, (_, c) => Float32Array.from(blocks.flatMap((b) => [...b[c]]))), report: player.report }
}

for (const vector of listed('vectors.json')) {
  test(vector.name, () => {
    const b = bytesOf(`${FOLDER}/${vector.name}.grit`)
    if (vector.outcome === 'refused') {
      assert.throws(() => codec.decompress(b), Refusal)
      if (vector.name === 'refused-model') assert.throws(() => codec.decompress(b), WrongModel)
      return
    }
    assert.deepEqual(plain(viewOf([b])), plain(vector.files.map(withTrim)))
    const { channels, report } = codec.decompress(b)
    assert.equal(said(report), vector.outcome, report.join('\n'))
    assert.equal(channels[0].length, vector.samples)
    if (vector.tolerance) {
      wavOf(bytesOf(`${FOLDER}/${vector.name}.wav`)).forEach((known, c) => {
        let most = 0
        known.forEach((v, n) => { most = Math.max(most, Math.abs(v - Math.max(-1, Math.min(1, channels[c][n])))) })
        assert.ok(most < vector.tolerance, `${most}`)
      })
    }
    const again = heard(pieces(b, 7))
    assert.deepEqual(again.report, report)
    assert.ok(again.channels.every((x, c) => x.length === channels[c].length && x.every((v, n) => v === channels[c][n])), 'piece by piece')
  })
}
const withTrim = (view) => (view.header ? { ...view, header: { start_trim: 0, ...view.header } } : view)

test('files that no encoder makes', { skip: !CONTAINER }, () => {
  const rows = listed('container.json')
  assert.ok(rows.length > 200)
  for (const { name, files } of rows) {
    const b = bytesOf(`${CONTAINER}/${name}`), wanted = plain(files.map(withTrim))
    assert.deepEqual(plain(viewOf([b])), wanted, name)
    for (const seed of [1, 2]) assert.deepEqual(plain(viewOf(pieces(b, seed, seed === 1 ? 3 : 400))), wanted, `${name}, piece by piece`)
  }
})
