// node codes.mjs IN.f32 OUT.u16 LATENTS.f32: of whole frames of float32 samples at the model's rate the codes of all stages,
// [frames][stages], and what they stand for, [frames][dim]
import fs from 'node:fs'
import { FRAMES } from '../src/network.js'
import { bytesOf, codec } from './view.mjs'

const [source, target, latents] = process.argv.slice(2), { encoder, about } = codec, { dim, hop } = about
const samples = new Float32Array(bytesOf(source).buffer), found = new Float32Array((samples.length / hop) * dim), state = encoder.begin()
for (let from = 0, frames; from < found.length / dim; from += frames) {
  frames = Math.min(FRAMES, found.length / dim - from)
  encoder.block(samples.subarray(from * hop, (from + frames) * hop), frames, state)
  for (let f = 0; f < frames; f++) found.set(codec.kernel.floats(encoder.latents + 4 * f * codec.books.dim, dim), (from + f) * dim)
}
const codes = encoder.encode(samples, about.stages, encoder.begin())
for (const [file, numbers] of [[target, codes], [latents, found]]) fs.writeFileSync(file, Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength))
