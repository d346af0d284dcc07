// The codec beside the page: reads, decodes, peels and records
import { bodyOf } from './gritcodec/codec.js'
import { load, peel } from './gritcodec/index.js'

const KEPT = `gritcodec ${new URL('.', self.location.href).href} weights` // as sw.js names it
/** @type {import('./gritcodec/index.js').Codec} */
let codec
let addresses = {}
let job = 0 // of what is being decoded; a later one ends it
let latest = 0 // of what the page was given; what is coded for an earlier one is not wanted
let player = null, recorder = null, file = null
let coding = null // a sound file that becomes a .grit file
const say = (message, transfer = []) => self.postMessage(message, { transfer })
const turn = () => new Promise((go) => { const { port1, port2 } = new MessageChannel(); port1.onmessage = go; port2.postMessage(0) })

/** Weights, kept for the next visit where the browser has a place for them. */
async function weights(name) {
  const cache = self.caches ? await caches.open(KEPT).catch(() => null) : null
  const found = await cache?.match(name)
  const answer = found ?? (await fetch(name))
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`)
  const bytes = await bodyOf(answer, (size, total) => { if (total) say({ kind: 'progress', part: Math.min(size / total, 1) }) })
  if (!found) await cache?.put(name, new Response(bytes, { headers: { 'content-type': 'application/octet-stream', 'content-length': String(bytes.length) } })).catch(() => null)
  return bytes
}
async function encoder() {
  if (codec.canRecord) return
  if (!addresses.encoder) throw new Error('this model plays files and makes none')
  await codec.loadEncoder(await weights(addresses.encoder))
}

const told = { files: 0 }
const MOST = 2 ** 29 // samples of all channels that are shown: a gigabyte, which the browser may put on disk
const TOO_LONG = 'it is longer than this page can show'
function tell(id, blocks) {
  for (const block of blocks) {
    announce(id)
    told.samples += block[0].length * block.length
    if (told.samples > MOST) throw new Error(TOO_LONG)
    const copy = block.map((x) => x.slice())
    say({ kind: 'sound', id, blocks: copy }, copy.map((x) => x.buffer))
  }
  announce(id)
}
function announce(id) {
  if (player.files.length > told.files) {
    const { header } = player
    if ((header.samples ?? 0) * header.channels > MOST) throw new Error(TOO_LONG)
    told.files = player.files.length
    if (told.files === 1) say({ kind: 'header', id, header: { sampleRate: header.sampleRate, channels: header.channels, samples: header.samples, stages: header.stages, encoder: header.encoder, tags: header.tags, gain: header.gain ?? 0, step: (header.codeBits * header.frameRate) / 1000, frameRate: header.frameRate } })
  }
}
/** Decode as bytes come; `pieces` gives them. */
async function decode(id, pieces) {
  const own = (player = codec.player({
    onPacket: ({ position, stages, frames, codes }) => { announce(id); if (codes) { const mine = codes.slice(0, stages * frames); say({ kind: 'codes', id, position, stages, frames, codes: mine }, [mine.buffer]) } },
  }))
  told.files = told.samples = 0
  for await (const piece of pieces) {
    tell(id, own.blocks(piece))
    await turn()
    if (job !== id) return null
  }
  tell(id, own.blocks(null))
  say({ kind: 'done', id, report: own.report })
  return own
}
function* cut(bytes) { for (let at = 0; at < bytes.length; at += 512) yield bytes.subarray(at, at + 512) }

// Bytes of a file that comes piece by piece
let pieces = null
function gathering() {
  const waiting = []
  let wake = () => {}
  return {
    put(piece) { waiting.push(piece); wake() },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        while (waiting.length) { const piece = waiting.shift(); if (!piece) return; yield* cut(piece) }
        await new Promise((go) => { wake = go })
      }
    },
  }
}
const kbpsOf = (bytes, samples, { sampleRate, channels }) => (samples ? (8 * bytes * sampleRate) / samples / channels / 1000 : 0)

const on = {
  async start({ player: address, encoder: other }) {
    addresses = { encoder: other }
    const bytes = await weights(address)
    self.performance.mark('weights')
    codec = await load(bytes)
    say({ kind: 'ready', name: codec.about.name, fingerprint: codec.fingerprint, bitrates: codec.bitrates, records: Boolean(other), took: performance.now() - performance.getEntriesByName('weights').at(-1).startTime })
  },
  async open({ id }) {
    job = id
    file = null
    pieces = gathering()
    const own = await decode(id, pieces)
    if (!own) return
    const bytes = own.reader.bytes.slice(), first = own.files[0], samples = first.samples ?? 0
    const whole = own.files.length === 1 && first.end && !first.damage.length && first.header.coding !== 2
    file = { bytes, first }
    const marks = own.files.length === 1 ? first.items.filter((i) => i.mark === 0x21 && i.value && i.value.sample <= samples).map((i) => i.value) : []
    say({ kind: 'whole', id, bytes, marks, kbps: kbpsOf(bytes.length, own.files.reduce((n, f) => n + (f.samples ?? 0), 0), first.header), peelable: Boolean(whole && samples), why: first.header.coding === 2 ? 'The packets of this live stream depend on each other: stages cannot be left out.' : own.files.length > 1 ? 'Several files one behind the other: take one by itself to peel it.' : 'Only a file that is whole can be peeled.' })
  },
  bytes({ id, piece }) { if (id === job) pieces.put(piece) },
  async peel({ id, kbps }) {
    job = id
    const bytes = kbps ? peel(file.bytes, file.first, kbps) : file.bytes
    say({ kind: 'peeled', id, bytes, asked: kbps, kbps: kbpsOf(bytes.length, file.first.samples, file.first.header) })
    await decode(id, cut(bytes))
  },
  latest({ asked }) { latest = asked },
  async encode({ asked, channels, samples, sampleRate, bitrate }) {
    await encoder()
    if (asked !== latest) return
    coding = { asked, samples, at: 0, recorder: codec.recorder(sampleRate, channels, { bitrate }) }
    say({ kind: 'more', asked })
  },
  async samples({ asked, channels }) {
    if (asked !== latest || coding?.asked !== asked) { coding = null; return }
    const step = 16384
    for (let at = 0; at < channels[0].length; at += step) {
      coding.recorder.push(channels.map((x) => x.subarray(at, at + step)))
      await turn()
      if (asked !== latest) { coding = null; return }
    }
    coding.at += channels[0].length
    say({ kind: 'progress', part: coding.samples ? coding.at / coding.samples : 1 })
    if (coding.at < coding.samples) { say({ kind: 'more', asked }); return }
    const bytes = coding.recorder.finish()
    coding = null
    say({ kind: 'made', asked, bytes })
  },
  async record({ sampleRate, bitrate }) {
    await encoder()
    recorder = codec.recorder(sampleRate, 1, { bitrate, startTime: BigInt(Date.now()) * 1000n })
    say({ kind: 'recording' })
  },
  block({ samples }) {
    recorder?.push([samples])
    if (recorder) say({ kind: 'recorded', seconds: recorder.seconds })
  },
  stop({ asked }) {
    const made = recorder
    recorder = null
    if (made) say({ kind: 'made', asked, bytes: made.finish(), recorded: true })
  },
  sample({ name, bytes }) {
    const { sampleRate, channels } = codec.decompress(bytes)
    say({ kind: 'sample', name, sampleRate, channels }, channels.map((x) => x.buffer))
  },
  async keep() { if (addresses.encoder && self.caches) await encoder() },
}
self.onmessage = async ({ data }) => {
  try {
    await on[data.kind](data)
  } catch (error) {
    say({ kind: 'problem', id: data.id, asked: data.asked, name: error?.name, message: error?.message ?? String(error), of: data.kind })
  }
}
