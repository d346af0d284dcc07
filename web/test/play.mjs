// node play.mjs FOLDER NAME ...: of FOLDER/NAME.grit the samples, float32, channel after channel, in FOLDER/NAME.f32, and in
// FOLDER/NAME.json the report, or why it is refused
import fs from 'node:fs'
import { Refusal } from '../src/index.js'
import { bytesOf, codec } from './view.mjs'

const [folder, ...names] = process.argv.slice(2)
for (const name of names) {
  let found
  try {
    const { channels, report } = codec.decompress(bytesOf(`${folder}/${name}.grit`))
    fs.writeFileSync(`${folder}/${name}.f32`, Buffer.concat(channels.map((x) => Buffer.from(x.buffer, x.byteOffset, x.byteLength))))
    found = { report }
  } catch (e) {
    if (!(e instanceof Refusal)) throw e
    found = { refused: e.message }
  }
  fs.writeFileSync(`${folder}/${name}.json`, JSON.stringify(found))
}
