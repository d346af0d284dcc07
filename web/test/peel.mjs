// node peel.mjs IN.grit KBPS OUT.grit
import fs from 'node:fs'
import { peel, readAll } from '../src/index.js'

const [source, kbps, target] = process.argv.slice(2), b = new Uint8Array(fs.readFileSync(source))
fs.writeFileSync(target, peel(b, readAll(b)[0], Number(kbps)))
