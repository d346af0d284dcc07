// The page: files in, sound, pictures and files out
import { wavHeader } from './gritcodec/sound.js'
import { Beside } from './beside.js'
import { Output } from './output.js'
import { drawCodes, drawWave, Codes, Peaks } from './pictures.js'
import { Store } from './store.js'

const $ = (id) => document.getElementById(id)
const { player: playerAddress, encoder: encoderAddress } = document.body.dataset
const worker = new Worker('worker.js', { type: 'module' })
const say = (message, transfer = []) => worker.postMessage(message, transfer)
const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, '0')}`

let ready = false, job = 0
let latest = 0 // of the files and recordings that were given: what comes late of an earlier one is dropped
let waiting = null // a file that came before the model
/** What is shown: {name, header, store, before, samples, peaks, codes, bytes, over}; before: the store of the bitrate before, until all of it is decoded anew */
let shown = null
const output = new Output({
  moved(_, on) {
    $('play').textContent = on ? 'Pause' : 'Play'
    $('play').setAttribute('aria-pressed', String(on))
    later()
  },
  failed: problem,
})

function problem(text) {
  $('problem').textContent = text ?? ''
  $('problem').hidden = !text
}
const state = (text) => { $('state').textContent = text }

// ---------------------------------------------------------------- files in
function next() {
  source = null
  say({ kind: 'latest', asked: ++latest })
  return latest
}
async function take(file, named = file.name) {
  if (!ready) { waiting = [file, named]; return }
  const asked = next()
  $('progress').hidden = true
  problem()
  stop()
  let text
  try { text = new TextDecoder('latin1').decode(await file.slice(0, 4096).arrayBuffer()) } catch (error) { if (asked === latest) problem(`${named} cannot be read: ${error.message}`); return }
  if (asked !== latest) return
  const inside = (text.startsWith('OggS') && text.slice(0, 128).includes('GRIT\r\n') && 'Ogg') || (text.startsWith('\x1aE\xdf\xa3') && text.includes('A_GRIT') && 'Matroska')
  if (inside) { problem(`${named} holds .grit packets in ${inside}. This makes a .grit file of it, without coding it again:\ngritcodec remux ${named} ${named.replace(/\.[^.]*$/, '')}.grit`); return }
  const known = text.startsWith('\xf5') || /\.grit$/i.test(named) || /^grit/i.test(text)
  if (!known) return convert(file, named, asked)
  begin(named)
  const id = job
  for (const reader = file.stream().getReader(); ;) {
    const { done, value } = await reader.read()
    if (id !== job) return
    say({ kind: 'bytes', id, piece: done ? null : value })
    if (done) return
  }
}
function begin(name) {
  job++
  shown = { name, header: null, store: null, before: null, samples: 0, peaks: new Peaks(), codes: new Codes(), bytes: null, over: false, started: performance.now() }
  $('player').hidden = true
  $('facts').textContent = ''
  state(`Reading ${name} …`)
  say({ kind: 'open', id: job })
}
async function convert(file, name, asked) {
  state(`Coding ${name} …`)
  let decoded
  try {
    const context = new OfflineAudioContext(1, 1, 48000)
    decoded = await context.decodeAudioData(await file.arrayBuffer())
  } catch {
    if (asked !== latest) return
    state('')
    problem(`${name} is no .grit file, nor sound that this browser reads.`)
    return
  }
  if (asked !== latest) return
  $('progress').hidden = false
  coded = name.replace(/\.[^.]*$/, '') + '.grit'
  source = { asked, decoded, at: 0 }
  say({ kind: 'encode', asked, channels: decoded.numberOfChannels, samples: decoded.length, sampleRate: decoded.sampleRate, bitrate: Number($('rate').value) })
}
let source = null // what is coded, of which the worker takes a piece at a time
let coded = 'recording.grit'

// ---------------------------------------------------------------- what the worker tells
const on = {
  progress({ part }) { $('progress').value = part },
  async ready({ records, name }) {
    ready = true
    $('progress').hidden = true
    $('record').disabled = !records
    state(`Ready: ${name}`)
    document.body.dataset.ready = 'yes'
    if (waiting) { const [file, named] = waiting; waiting = null; take(file, named) } else opened()
    offline()
    if (document.body.dataset.samples) beside.show()
  },
  header({ id, header }) {
    if (id !== job) return
    if (!shown.header) {
      shown.header = header
      $('player').hidden = false
      $('name').textContent = header.tags.find(([n]) => n.toLowerCase() === 'title')?.[1] ?? shown.name
      $('wav').disabled = header.samples !== null // not before all of it is there
      state('')
      const own = shown
      own.store = new Store(header.channels)
      output.begin(header, (at, count, channels) => (at < own.store.samples ? own.store : own.before).read(at, count, channels), () => there(own))
      start()
    } else {
      shown.before ??= shown.store
      shown.store = new Store(header.channels)
      shown.renewed = false
      $('wav').disabled = true
    }
    shown.over = false
    shown.peaks = new Peaks()
    shown.codes = new Codes(header.stages)
  },
  sound({ id, blocks }) {
    if (id !== job) return
    if (!shown.first) { shown.first = performance.now() - shown.started; document.body.dataset.first = String(shown.first) }
    shown.peaks.add(blocks[0])
    shown.store.add(blocks)
    shown.samples = Math.max(shown.samples, shown.store.samples)
    // A new bitrate is heard as soon as a second of it is there.
    if (shown.before && !shown.renewed && shown.store.samples > output.place + shown.header.sampleRate) { shown.renewed = true; output.renew() }
    output.feed()
    later()
  },
  codes({ id, position, stages, frames, codes }) { if (id === job) { shown.codes.add(position, stages, frames, codes); later() } },
  done({ id, report }) {
    if (id !== job) return
    shown.over = true
    shown.samples = shown.store.samples
    if (shown.before && !shown.renewed) output.renew()
    shown.before = null
    $('wav').disabled = false
    output.feed()
    document.body.dataset.decoded = String(Number(document.body.dataset.decoded ?? 0) + 1)
    problem(report.length ? `${report.every((line) => /follows, and is not played|no \.grit file follows/.test(line)) ? 'Not all of it plays' : 'The file is damaged'}:\n${report.join('\n')}` : '')
    later()
  },
  whole({ id, bytes, kbps, peelable, why, marks }) {
    if (id !== job) return
    Object.assign(shown, { bytes, peelable })
    $('peeling').hidden = !peelable
    $('hint').textContent = peelable ? '' : why
    const top = Math.max(Math.ceil(kbps / shown.header.step - 1e-9) * shown.header.step, shown.header.step)
    Object.assign($('bitrate'), { min: String(shown.header.step), step: String(shown.header.step), max: String(top) })
    $('bitrate').value = String(top)
    shown.top = top
    $('marks').replaceChildren(...marks.map(({ sample, name }) => {
      const item = document.createElement('li'), button = document.createElement('button'), at = sample / shown.header.sampleRate
      button.type = 'button'
      button.textContent = `${clock(at)} ${name}`
      button.addEventListener('click', () => seek(at))
      item.append(button)
      return item
    }))
    $('marks').hidden = !marks.length
    facts(bytes.length, kbps)
  },
  peeled({ id, bytes, kbps, asked }) {
    if (id !== job) return
    Object.assign(shown, { bytes, peeled: asked })
    facts(bytes.length, kbps)
  },
  made({ asked, bytes, recorded }) {
    if (asked !== latest) return
    $('progress').hidden = true
    take(new File([bytes], recorded ? `recording-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}.grit` : coded))
  },
  more({ asked }) {
    if (source?.asked !== asked) return
    const { decoded, at } = source, end = Math.min(at + 10 * decoded.sampleRate, decoded.length)
    const channels = Array.from({ length: decoded.numberOfChannels }, (_, c) => decoded.getChannelData(c).slice(at, end))
    source.at = end
    if (end === decoded.length) source = null
    say({ kind: 'samples', asked, channels }, channels.map((x) => x.buffer))
  },
  sample({ name, sampleRate, channels }) { beside.decoded(name, sampleRate, channels) },
  recording() { startRecording() },
  recorded({ seconds }) { $('recorded').textContent = clock(seconds) },
  problem({ id, asked, name, message, of }) {
    if (asked !== undefined && asked !== latest) return
    $('progress').hidden = true
    if (of === 'start') { state(''); problem(`The model could not be loaded: ${message}`); return }
    if (id !== undefined && id !== job) return
    state('')
    if (of === 'record' || of === 'block' || of === 'stop') stopRecording()
    if (of === 'open' && !shown?.samples) $('player').hidden = true
    else if (shown?.store) { shown.over = true; $('wav').disabled = false; output.feed() }
    const what = shown && of === 'open' ? `${shown.name} cannot be played: ` : of === 'encode' || of === 'samples' ? `This cannot become ${coded}: ` : ''
    problem(name === 'WrongModel' ? `${what}it was made with another model. (${message})` : `${what}${message}`)
  },
}
worker.onmessage = ({ data }) => on[data.kind](data)
worker.onerror = (event) => problem(`This browser cannot run the player: ${event.message}`)

function facts(size, kbps) {
  const { header, samples } = shown, seconds = samples / header.sampleRate
  $('facts').textContent = `${clock(seconds)} · ${size.toLocaleString('en')} bytes · ${kbps.toFixed(2)} kbps${header.channels > 1 ? ' a channel' : ''} · ${header.sampleRate.toLocaleString('en')} Hz${header.channels > 1 ? ` · ${header.channels} channels` : ''}${header.gain ? ` · played ${header.gain > 0 ? '+' : ''}${(header.gain / 256).toFixed(1)} dB` : ''}`
  $('kbps').textContent = `${Number($('bitrate').value)} kbps`
  $('bitrate').setAttribute('aria-valuetext', $('kbps').textContent)
  $('grit').disabled = !shown.bytes
}

// ---------------------------------------------------------------- sound
function there({ store, before, over }) {
  return { samples: Math.max(store.samples, before?.samples ?? 0), over: over || Boolean(before) }
}
const beside = new Beside({
  decode: (name, bytes) => say({ kind: 'sample', name, bytes }, [bytes.buffer]),
  begun: () => stop(),
})
async function start() {
  beside.stop()
  if (!(await output.play())) state('Press Play.')
}
const stop = () => output.stop()
function toggle() {
  state('')
  if (output.playing) stop()
  else start()
}
function seek(seconds) {
  if (!shown?.header) return
  const to = Math.max(0, Math.min(seconds, length()))
  $('place').value = String(to)
  output.go(to * shown.header.sampleRate)
}
const length = () => (shown?.header ? Math.max(shown.header.samples ?? 0, shown.samples) / shown.header.sampleRate : 0)

// ---------------------------------------------------------------- pictures
let drawing = 0
function later() { drawing ||= requestAnimationFrame(() => { drawing = 0; draw() }) }
function draw() {
  if (!shown?.header) return
  const seconds = length(), now = output.place / shown.header.sampleRate, part = seconds ? now / seconds : 0
  drawWave($('wave'), shown.peaks, Math.max(shown.header.samples ?? 0, shown.samples), part)
  if (!drawCodes($('codes'), shown.codes, seconds * shown.header.frameRate)) setTimeout(later, 100)
  $('place').max = String(seconds)
  $('place').value = String(now)
  $('place').setAttribute('aria-valuetext', `${clock(now)} of ${clock(seconds)}`)
  $('time').textContent = `${clock(now)} / ${clock(seconds)}`
}

// ---------------------------------------------------------------- files out
function save(parts, name, type) {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob(parts, { type }))
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}
const stem = () => shown.name.replace(/\.[^.]*$/, '') + (shown.peeled ? `-${shown.peeled}kbps` : '')
function wav() {
  const { sampleRate, channels } = shown.header
  save([wavHeader(sampleRate, channels, shown.store.samples), ...shown.store.parts()], `${stem()}.wav`, 'audio/wav')
}

// ---------------------------------------------------------------- recording
let microphone = null
let preparing = false
/** Not disabled while it prepares: who came by keyboard would lose the place. */
function recordSays(text, busy = false) {
  preparing = busy
  $('record').textContent = text
  $('record').classList.toggle('on', text === 'Stop')
  $('record').setAttribute('aria-disabled', String(busy))
}
async function record() {
  if (preparing) return // a browser asks first, and whoever waits presses again
  if (microphone) return stopRecording()
  problem()
  stop()
  beside.stop() // the microphone would hear it
  if (!navigator.mediaDevices?.getUserMedia) { problem('Recording needs HTTPS or localhost.'); return }
  recordSays('Preparing …', true)
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } })
    microphone = { stream, context: new AudioContext() }
    for (const track of stream.getTracks()) track.onended = () => { if (microphone?.stream === stream) stopRecording() } // it was pulled out
  } catch (error) {
    recordSays('Record')
    problem(`There is no microphone to record from: ${error.message}`)
    return
  }
  say({ kind: 'record', sampleRate: microphone.context.sampleRate, bitrate: Number($('rate').value) })
}
async function startRecording() {
  const own = microphone
  if (!own) return // it was pulled out meanwhile
  const { context, stream } = own
  try {
    await context.audioWorklet.addModule('gritcodec/worklet.js')
  } catch (error) {
    stopRecording()
    problem(`This browser cannot record: ${error.message}`)
    return
  }
  if (microphone !== own) return
  const source = context.createMediaStreamSource(stream), node = new AudioWorkletNode(context, 'grit-record', { numberOfOutputs: 0, channelCount: 1, channelCountMode: 'explicit' })
  own.node = node
  node.port.onmessage = ({ data }) => {
    if (data) say({ kind: 'block', samples: data }, [data.buffer])
    else { say({ kind: 'stop', asked: own.asked }); context.close() }
  }
  source.connect(node)
  await context.resume()
  if (microphone === own) recordSays('Stop')
}
function stopRecording() {
  if (!microphone) return
  microphone.asked = next()
  for (const track of microphone.stream.getTracks()) track.stop()
  if (microphone.node) microphone.node.port.postMessage('stop')
  else microphone.context.close()
  microphone = null
  recordSays('Record')
}

// ---------------------------------------------------------------- offline, and a file that the address names
async function offline() {
  if (!navigator.serviceWorker) return
  try {
    await navigator.serviceWorker.register('sw.js')
    await navigator.serviceWorker.ready
    say({ kind: 'keep' })
    $('offline').textContent = 'This page works offline from now on.'
    document.body.dataset.offline = 'yes'
  } catch {
    // Without it the page works online.
  }
}
async function opened() {
  const named = new URLSearchParams(location.search).get('file')
  if (!named) return
  begin(named.split('/').pop())
  const id = job
  try {
    const answer = await fetch(named)
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`)
    for (const reader = answer.body.getReader(); ;) {
      const { done, value } = await reader.read()
      if (id !== job) return
      say({ kind: 'bytes', id, piece: done ? null : value })
      if (done) return
    }
  } catch (error) {
    if (id !== job) return
    state('')
    problem(`${named} cannot be fetched: ${error.message}`)
  }
}

$('file').addEventListener('change', () => { if ($('file').files[0]) take($('file').files[0]); $('file').value = '' })
for (const kind of ['dragover', 'dragleave', 'drop']) document.addEventListener(kind, (event) => {
  event.preventDefault()
  $('drop').classList.toggle('over', kind === 'dragover')
  if (kind === 'drop' && event.dataTransfer.files[0]) take(event.dataTransfer.files[0])
})
$('play').addEventListener('click', toggle)
$('place').addEventListener('input', () => seek(Number($('place').value)))
$('wave').addEventListener('click', (event) => seek((event.offsetX / $('wave').clientWidth) * length()))
let soon = 0
$('bitrate').addEventListener('input', () => {
  const value = Number($('bitrate').value)
  $('kbps').textContent = `${value} kbps`
  clearTimeout(soon)
  soon = setTimeout(() => say({ kind: 'peel', id: ++job, kbps: value < shown.top ? value : 0 }), 120)
})
$('wav').addEventListener('click', wav)
$('grit').addEventListener('click', () => save([shown.bytes], `${stem()}.grit`, 'audio/vnd.gritcodec'))
$('record').addEventListener('click', record)
document.addEventListener('keydown', (event) => {
  if (event.key !== ' ' || $('player').hidden || event.target.closest('button, input:not([type=range]), select, label')) return
  event.preventDefault()
  toggle()
})
const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10 } // seconds; with Shift five times
document.addEventListener('keydown', (event) => {
  const step = STEPS[event.key], mine = event.target === $('place') || (/Left|Right/.test(event.key) && !event.target.closest('input, select'))
  if (!step || !mine || event.ctrlKey || event.altKey || event.metaKey || $('player').hidden) return
  event.preventDefault()
  seek(output.place / shown.header.sampleRate + (event.shiftKey ? 5 * step : step))
})
addEventListener('resize', later)
$('record').disabled = true
say({ kind: 'start', player: playerAddress, encoder: encoderAddress })
