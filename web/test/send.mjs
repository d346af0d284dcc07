// node send.mjs IN.f32 CHANNELS RATE KBPS FRAMES CHAIN OUT.grit: a live stream of float32 samples, channel after channel
import fs from 'node:fs'
import { bytesOf, codec } from './view.mjs'

const [source, channels, rate, kbps, frames, chain, target] = process.argv.slice(2)
const all = new Float32Array(bytesOf(source).buffer), count = all.length / Number(channels), pieces = []
const sender = codec.sender(Number(rate), Number(channels), { bitrate: Number(kbps), packetFrames: Number(frames), chain: chain === 'chain' })
for (let at = 0; at < count; at += 4000) {
  pieces.push(...sender.push(Array.from({ length: Number(channels) }, (_, c) => all.subarray(c * count + at, c * count + Math.min(at + 4000, count)))))
  if (at === 8000) pieces.push(sender.mark('h\u00e9re'))
}
fs.writeFileSync(target, Buffer.concat([...pieces, ...sender.finish()]))
