// What is heard: samples go to an AudioWorklet a few seconds before it plays them

const HELD = 20, AHEAD = 8, ONCE = 1 // seconds: that the worklet holds, that it gets ahead, that it gets at once
const MOST = 1 << 22 // samples of all channels that it holds

export class Output {
  /** `on.moved(place, playing)`: the sample that is heard, and whether it goes on; `on.failed(message)`. */
  constructor(on) {
    this.on = on
    this.audio = null // {context, ready, rate}
    this.node = null
    this.place = 0
    this.playing = false
    this.turn = 0 // of what is played; what comes of an earlier one is dropped
    this.seeks = 0 // what the worklet told before it heard of the last one is dropped, too
  }
  /** Begin a recording, at its beginning and silent. `take(at, count, channels)` gives samples that are there, `there()` how many those are, and whether no more come. */
  async begin({ sampleRate, channels, gain }, take, there) {
    const mine = ++this.turn
    Object.assign(this, { take, there, rate: sampleRate, heard: Math.min(channels, 8), place: 0, sent: 0, from: 0, told: false, feeding: false })
    this.held = Math.max(Math.min(HELD * sampleRate, Math.floor(MOST / this.heard)), 4096)
    this.node?.port.postMessage({ kind: 'close' })
    this.node?.disconnect()
    this.node = null
    this.wanted = null // what is asked for before the worklet is there
    this.now(false)
    if (this.audio && this.audio.rate !== sampleRate) { this.audio.context.close(); this.audio = null }
    if (!this.audio) {
      let context
      try { context = new AudioContext({ sampleRate }) } catch { context = new AudioContext() }
      if (!context.audioWorklet) { context.close(); this.on.failed('Browsers play this only on pages that come over HTTPS, or from this machine.'); return }
      this.audio = { context, rate: sampleRate, ready: context.audioWorklet.addModule('gritcodec/worklet.js') }
    }
    const { context, ready } = this.audio
    try { await ready } catch (error) { this.audio = null; this.on.failed(`The sound cannot be played: ${error.message}`); return }
    if (mine !== this.turn) return
    const node = new AudioWorkletNode(context, 'grit-play', { numberOfInputs: 0, outputChannelCount: [this.heard], processorOptions: { channels: this.heard, rate: sampleRate, keep: this.held } })
    node.port.onmessage = ({ data }) => {
      if (mine !== this.turn) return
      if (data.seek === this.seeks) this.place = data.place
      this.now(data.playing)
      this.feed()
    }
    // What the file's header says that a player is to amplify by.
    node.connect(new GainNode(context, { gain: 10 ** (gain / 256 / 20) })).connect(context.destination)
    this.node = node
    node.port.postMessage({ kind: 'seek', place: this.place, fresh: true, seek: this.seeks })
    Object.assign(this, { from: Math.floor(this.place), sent: Math.floor(this.place) })
    if (this.wanted === 'play') node.port.postMessage({ kind: 'play' })
    this.feed()
  }
  now(playing) {
    this.playing = playing
    this.on.moved(this.place, playing)
  }
  /** Send what the worklet is to play next. */
  async feed() {
    if (!this.node || this.feeding) return
    const mine = this.turn, { port } = this.node
    this.feeding = true
    try {
      for (;;) {
        const { samples, over } = this.there(), end = Math.min(samples, Math.floor(this.place) + Math.min(AHEAD * this.rate, this.held >> 1))
        if (over && this.sent >= samples && !this.told) { this.told = true; port.postMessage({ kind: 'over', over: true }) }
        if (this.sent >= end) return
        const at = this.sent, blocks = await this.take(at, Math.min(end - at, ONCE * this.rate), this.heard)
        if (mine !== this.turn) return
        if (at !== this.sent) continue // somebody went elsewhere
        const count = blocks[0].length
        if (!count) return
        this.sent += count
        port.postMessage({ kind: 'sound', at, blocks }, blocks.map((x) => x.buffer))
        this.from = Math.max(this.from, this.sent - this.held)
      }
    } catch (error) {
      if (mine === this.turn) this.on.failed(`The sound cannot be read back: ${error.message}`)
    } finally {
      if (mine === this.turn) this.feeding = false
    }
  }
  /** Send again what has changed from the place on. */
  renew() {
    this.sent = Math.min(this.sent, Math.floor(this.place))
    this.told = false
    this.node?.port.postMessage({ kind: 'over', over: false })
    this.feed()
  }
  async play() {
    if (!this.audio) return false
    const { context } = this.audio
    this.wanted = 'play'
    const { samples, over } = this.there()
    if (over && this.place >= samples) this.go(0)
    this.node?.port.postMessage({ kind: 'play' })
    await Promise.race([context.resume(), new Promise((go) => setTimeout(go, 300))])
    // Without a click before it a browser keeps silent.
    if (this.audio?.context !== context || context.state === 'running') return true
    this.stop()
    return false
  }
  stop() {
    this.wanted = null
    this.node?.port.postMessage({ kind: 'stop' })
  }
  /** Go to a sample. */
  go(place) {
    const first = Math.floor(place), fresh = first < this.from || first > this.sent
    this.place = place
    if (fresh) Object.assign(this, { from: first, sent: first, told: false })
    this.node?.port.postMessage({ kind: 'seek', place, fresh, seek: ++this.seeks })
    this.on.moved(place, this.playing)
    this.feed()
  }
}
