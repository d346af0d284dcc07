// Files that were read to samples, by docs/bitstream.md ("Frames and samples", "Pause") with the network of net.mjs
import { Damage, Refusal } from '../../web/src/errors.js'
import { segments } from './model.mjs'
import { Network, readWeights, HOP, DELAY } from './net.mjs'

export function littleFloats(channels) {
  const parts = channels.map((x) => { const b = Buffer.alloc(4 * x.length); x.forEach((v, i) => b.writeFloatLE(v, 4 * i)); return b })
  return Buffer.concat(parts)
}
// Stretches of packets that the decoder runs through without a beginning: {from, frames, parts: [{at, frames, stages, list: codes or null}], pause: one follows}
function runsOf(items, codes, segment, end) {
  const runs = []
  let run = null, at = segment.from
  const add = (from, frames, stages, list) => {
    run ??= runs[runs.push({ from, frames: 0, parts: [] }) - 1]
    run.parts.push({ at: from - run.from, frames, stages, list })
    run.frames = from + frames - run.from
  }
  const missing = (to) => { if (to > at) add(at, to - at, 0, null); at = to }
  for (const item of items) {
    missing(item.position)
    at = item.position + item.frames
    if (item.kind === 'pause') { if (run) run.pause = true; run = null }
    if (item.kind !== 'packet') {
      codes.of(item)
      continue
    }
    let list = null
    try { list = codes.of(item) } catch (e) { if (!(e instanceof Damage)) throw e }
    add(item.position, item.frames, item.stages, list)
  }
  missing(end)
  return runs
}
// One channel of a run: frames that are lost are fed with the last codes, and are silent
function play(network, run, channel, output, from) {
  const most = Math.max(...run.parts.map((p) => p.stages)), rows = Array.from({ length: most }, () => new Int16Array(run.frames).fill(-1))
  let last = new Array(most).fill(-1)
  for (const { at, frames, stages, list } of run.parts) for (let t = 0; t < frames; t++) {
    if (list) last = rows.map((_, s) => (s < stages ? list[(channel * stages + s) * frames + t] : -1))
    rows.forEach((row, s) => { row[at + t] = last[s] })
  }
  if (!most) return
  const sound = network.decode(rows)
  const good = new Uint8Array(run.frames)
  for (const p of run.parts) if (p.list) good.fill(1, p.at, p.at + p.frames)
  for (let t = 0; t < run.frames; t++) if (good[t]) output.set(sound.subarray(t * HOP, (t + 1) * HOP), from + t * HOP)
  if (run.pause && good[run.frames - 1]) output.set(sound.subarray(run.frames * HOP), from + run.frames * HOP)
}
// files: of a chain, begin(file) -> Codes. Gives a Float32Array for each channel.
export function samplesOf(files, begin, dims, weights) {
  const network = new Network(readWeights(weights)), all = []
  for (const file of files) {
    const { header: h } = file, codes = begin(file)
    if (h.sampleRate !== dims[0]) throw new Refusal(`${h.sampleRate} Hz, and there is no resampling here`)
    const list = segments(file, dims)
    for (const [i, segment] of list.entries()) {
      const to = list[i + 1]?.from ?? file.frames
      const mine = file.items.filter((x) => x.position >= segment.from && (x.position < to || i === list.length - 1))
      const runs = runsOf(mine, codes, segment, to)
      const there = Math.max(0, segment.frames * HOP - DELAY - segment.startTrim), made = Math.min(segment.samples ?? there, there) // fewer where it was cut
      for (let c = 0; c < h.channels; c++) {
        const output = new Float32Array(segment.frames * HOP + DELAY)
        for (const run of runs) play(network, run, c, output, (run.from - segment.from) * HOP)
        const kept = new Float32Array(made), from = DELAY + segment.startTrim
        kept.set(output.subarray(from, from + made))
        ;(all[c] ??= []).push(kept)
      }
    }
  }
  return all.map((parts) => { const x = new Float32Array(parts.reduce((n, p) => n + p.length, 0)); let at = 0; for (const p of parts) { x.set(p, at); at += p.length } return x })
}
