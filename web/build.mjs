// Builds what is built: src/kernel-bytes.js from kernel/, by the AssemblyScript of package-lock.json, and the page's copy of
// the sources in gritcodec/page/static.   node build.mjs [--check [--page]]
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const here = path.dirname(fileURLToPath(import.meta.url))
const shipped = path.join(here, '..', 'gritcodec', 'page', 'static')
const asc = path.join(here, 'node_modules', 'assemblyscript', 'bin', 'asc.js')
const check = process.argv.includes('--check')

/** The kernel as a module that holds its bytes. */
function kernel() {
  const out = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'kernel-')), 'kernel.wasm')
  const options = ['-O3', '--noAssert', '--runtime', 'stub', '--importMemory', '--enable', 'simd', '--converge']
  const run = spawnSync(process.execPath, [asc, path.join('kernel', 'index.ts'), '-o', out, ...options], { cwd: here, encoding: 'utf8' })
  if (run.status !== 0) throw new Error(run.stderr || String(run.error))
  const text = fs.readFileSync(out).toString('base64').replace(/.{116}/g, "$&' +\n  '")
  return `// kernel/ as WebAssembly: node build.mjs writes this file\nexport const KERNEL =\n  '${text}'\n`
}

/** What the page is made of: name in gritcodec/page/static -> text. */
function pages(made) {
  const found = new Map()
  for (const [folder, target] of [['src', 'gritcodec'], ['page', '']]) {
    for (const name of fs.readdirSync(path.join(here, folder))) {
      if (/\.(js|html|css|svg|webmanifest)$/.test(name)) found.set(path.join(target, name), fs.readFileSync(path.join(here, folder, name), 'utf8'))
    }
  }
  if (made) found.set(path.join('gritcodec', 'kernel-bytes.js'), made)
  return found
}

const there = fs.existsSync(asc) && !process.argv.includes('--page')
if (!there && !check) throw new Error('npm ci comes first')
const made = there ? kernel() : null
const wrong = []
const put = (file, text) => {
  if (fs.existsSync(file) && fs.readFileSync(file, 'utf8') === text) return
  if (check) { wrong.push(path.relative(path.join(here, '..'), file)); return }
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, text)
}
if (made) put(path.join(here, 'src', 'kernel-bytes.js'), made)
const wanted = pages(made)
for (const [name, text] of wanted) put(path.join(shipped, name), text)
for (const name of fs.existsSync(shipped) ? fs.readdirSync(shipped, { recursive: true }) : []) {
  const file = path.join(shipped, String(name))
  if (!fs.statSync(file).isFile() || wanted.has(String(name)) || path.dirname(String(name)) === 'samples') continue // those benchmarks/page_samples.py makes
  if (check) wrong.push(path.relative(path.join(here, '..'), file))
  else fs.unlinkSync(file)
}
if (wrong.length) {
  console.error(`not what the sources make: ${wrong.join(', ')}; run node web/build.mjs`)
  process.exitCode = 1
}
if (check) console.log(there ? 'kernel and page compared' : 'page compared; no AssemblyScript for the kernel')
