// An AudioWorklet that plays samples which come while it plays (grit-play), and one that records (grit-record); docs/web.md tells how
class Play extends AudioWorkletProcessor {
  constructor({ processorOptions: { channels, rate, keep = Infinity } }) {
    super()
    this.step = rate / sampleRate
    this.keep = keep // samples of the recording that are held at most, the latest
    this.data = Array.from({ length: channels }, () => new Float32Array(Math.min(keep, 1 << 16))) // sample n is at n % length
    this.from = this.there = 0 // samples that are held
    this.place = 0
    this.playing = this.over = false
    this.quanta = 0
    this.port.onmessage = ({ data }) => this.take(data)
  }
  take({ kind, at, blocks, over, place, fresh, seek }) {
    if (kind === 'sound') this.put(at, blocks)
    else if (kind === 'over') this.over = over
    else if (kind === 'play') { if (this.over && this.place >= this.there) this.place = this.from; this.playing = true }
    else if (kind === 'stop') this.playing = false
    else if (kind === 'close') this.closed = true
    else if (kind === 'seek') {
      this.seek = seek // told again, so that what was told before it is known to be old
      if (fresh) { this.from = this.there = Math.floor(place); this.over = false; this.place = place }
      else this.place = Math.max(this.from, Math.min(place, this.there))
    }
    this.tell()
  }
  /** Hold samples from `at` on, in place of what is held from there on. */
  put(at, blocks) {
    if (at < this.from || at > this.there) return // where it belongs nobody knows
    const end = at + blocks[0].length, old = this.data[0].length, need = Math.min(end - this.from, this.keep)
    if (need > old) this.data = this.data.map((x) => {
      const out = new Float32Array(Math.min(Math.max(2 * old, need), this.keep))
      for (let n = Math.max(this.from, this.there - old); n < at; n++) out[n % out.length] = x[n % old]
      return out
    })
    blocks.forEach((x, c) => {
      const to = this.data[c]
      if (to) for (let n = Math.max(0, x.length - to.length); n < x.length; n++) to[(at + n) % to.length] = x[n]
    })
    this.there = end
    this.from = Math.max(this.from, end - this.data[0].length)
    this.place = Math.max(this.place, this.from)
  }
  tell() { this.port.postMessage({ place: this.place, playing: this.playing, seek: this.seek }) }
  process(_, [out]) {
    if (this.closed) return false
    if (!this.playing) return true
    const count = out[0].length
    for (let n = 0; n < count; n++) {
      const i = Math.floor(this.place)
      if (i >= this.there) {
        if (this.over) { this.playing = false; this.tell() }
        break // what has not come yet is waited for
      }
      const part = this.place - i
      for (let c = 0; c < out.length; c++) {
        const x = this.data[c], here = x[i % x.length]
        out[c][n] = part ? here + part * ((i + 1 < this.there ? x[(i + 1) % x.length] : 0) - here) : here
      }
      this.place += this.step
    }
    if (++this.quanta % 8 === 0) this.tell()
    return true
  }
}
class Record extends AudioWorkletProcessor {
  constructor() {
    super()
    this.block = new Float32Array(2048)
    this.have = 0
    this.port.onmessage = () => { this.send(); this.over = true; this.port.postMessage(null) }
  }
  send() {
    const block = this.block.slice(0, this.have)
    this.have = 0
    if (block.length) this.port.postMessage(block, [block.buffer])
  }
  process([input]) {
    if (this.over) return false
    if (input[0]) {
      this.block.set(input[0], this.have)
      this.have += input[0].length
      if (this.have + 128 > this.block.length) this.send()
    }
    return true
  }
}
registerProcessor('grit-play', Play)
registerProcessor('grit-record', Record)
