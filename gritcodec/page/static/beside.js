// The same clip by several codecs: one at a time, and a change goes on from the same place

const FOLDER = 'samples/'
const $ = (id) => document.getElementById(id)

export class Beside {
  /** `decode(name, bytes)` has a .grit decoded, which comes to `decoded`; `begun()` is called before one is heard. */
  constructor({ decode, begun }) {
    Object.assign(this, { decode, begun })
    this.buttons = new Map()
    this.buffers = new Map() // promises of what was fetched
    this.waiting = new Map() // what takes a decoded one, by its name
    this.context = null
    this.now = null // {name, source, since}: since when it would have played, had it begun at its beginning
    this.turn = 0
  }
  /** The buttons, in the order of the list. */
  async show() {
    let rows
    try { rows = await (await fetch(`${FOLDER}list.json`)).json() } catch { return } // without it the page plays files
    for (const { name, file, kbps, bytes } of rows) {
      const button = document.createElement('button'), costs = [`${kbps >= 100 ? Math.round(kbps) : kbps.toFixed(2)} kbps`, `${bytes.toLocaleString('en')} bytes`]
      button.type = 'button'
      button.append(name, ...costs.map((text) => Object.assign(document.createElement('span'), { textContent: text })))
      button.setAttribute('aria-pressed', 'false')
      button.addEventListener('click', () => this.press(file))
      this.buttons.set(file, button)
    }
    $('samples').replaceChildren(...this.buttons.values())
    $('beside').hidden = false
  }
  async press(name) {
    if (this.now?.name === name || this.coming === name) { this.stop(); return }
    const mine = ++this.turn
    this.coming = name
    this.context ??= new AudioContext()
    this.context.resume()
    $('samples-state').textContent = ''
    let buffer
    try {
      buffer = await this.buffer(name)
    } catch (error) {
      this.buffers.delete(name)
      if (mine === this.turn) { this.coming = null; $('samples-state').textContent = `This sample has not been played here before, and cannot be fetched: ${error.message}` }
      return
    }
    if (mine !== this.turn) return
    this.coming = null
    const at = this.now ? this.context.currentTime - this.now.since : 0, from = at < buffer.duration ? at : 0
    this.silence()
    this.begun()
    const source = new AudioBufferSourceNode(this.context, { buffer })
    source.connect(this.context.destination)
    source.onended = () => { if (this.now?.source === source) this.stop() }
    source.start(0, from)
    this.now = { name, source, since: this.context.currentTime - from }
    this.buttons.get(name).setAttribute('aria-pressed', 'true')
  }
  stop() {
    this.turn++
    this.coming = null
    this.silence()
  }
  silence() {
    if (!this.now) return
    this.buttons.get(this.now.name).setAttribute('aria-pressed', 'false')
    const { source } = this.now
    this.now = null
    source.stop()
    source.disconnect()
  }
  buffer(name) {
    if (!this.buffers.has(name)) this.buffers.set(name, this.fetched(name))
    return this.buffers.get(name)
  }
  async fetched(name) {
    const answer = await fetch(FOLDER + name)
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`)
    const bytes = await answer.arrayBuffer()
    if (!name.endsWith('.grit')) return this.context.decodeAudioData(bytes)
    const { sampleRate, channels } = await new Promise((done) => {
      this.waiting.set(name, done)
      this.decode(name, new Uint8Array(bytes))
    })
    const buffer = this.context.createBuffer(channels.length, channels[0].length, sampleRate)
    channels.forEach((x, c) => buffer.copyToChannel(x, c))
    return buffer
  }
  decoded(name, sampleRate, channels) {
    this.waiting.get(name)?.({ sampleRate, channels })
    this.waiting.delete(name)
  }
}
