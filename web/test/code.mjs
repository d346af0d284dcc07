// node code.mjs IN.f32 CHANNELS RATE KBPS OUT.grit: what this package's encoder makes of float32 samples, channel after channel
import fs from 'node:fs'
import { bytesOf, codec } from './view.mjs'

const [source, channels, rate, kbps, target] = process.argv.slice(2)
const all = new Float32Array(bytesOf(source).buffer), count = all.length / Number(channels)
const recorder = codec.recorder(Number(rate), Number(channels), { bitrate: Number(kbps) })
for (let at = 0; at < count; at += 1111) {
  recorder.push(Array.from({ length: Number(channels) }, (_, c) => all.subarray(c * count + at, c * count + Math.min(at + 1111, count))))
}
fs.writeFileSync(target, recorder.finish())
