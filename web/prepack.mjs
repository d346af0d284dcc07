// What the package holds beside its sources: types, weights and the licence. PYTHON: one that has gritcodec installed.
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const here = path.dirname(fileURLToPath(import.meta.url))
const run = (command, ...args) => {
  const done = spawnSync(command, args, { cwd: here, stdio: ['ignore', 2, 2] })
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${done.error ?? done.status}`)
}
fs.rmSync(path.join(here, 'types'), { recursive: true, force: true })
run(process.execPath, path.join('node_modules', 'typescript', 'bin', 'tsc'), '-p', '.')
run(process.env.PYTHON ?? 'python3', '-m', 'gritcodec.page', '--weights', path.join(here, 'weights'))
fs.copyFileSync(path.join(here, '..', 'LICENSE'), path.join(here, 'LICENSE'))
