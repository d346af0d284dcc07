// Decoded sound as 16-bit samples in blobs, which a browser may put on disk: an hour takes no memory of the page

const CHUNK = 1 << 18 // samples of all channels in a blob

export class Store {
  constructor(channels) {
    this.channels = channels
    this.samples = 0
    this.each = Math.max(Math.floor(CHUNK / channels), 1) // samples of each channel in a blob
    this.blobs = []
    this.rest = new Int16Array(this.each * channels) // behind the blobs, channels interleaved
  }
  /** Samples of each channel; what is beyond full scale is clipped. */
  add(blocks) {
    const { channels, each } = this
    for (let n = 0; n < blocks[0].length; n++) {
      const at = (this.samples % each) * channels
      for (let c = 0; c < channels; c++) this.rest[at + c] = Math.max(-32768, Math.min(32767, Math.round(blocks[c][n] * 32767)))
      if (++this.samples % each === 0) this.blobs.push(new Blob([this.rest]))
    }
  }
  /** Up to `count` samples from `at` on, of the first channels: a Float32Array each. They may be fewer: call again. */
  async read(at, count, channels) {
    const chunk = Math.floor(at / this.each), first = at % this.each, have = Math.max(Math.min(count, this.each - first, this.samples - at), 0)
    const from = first * this.channels, to = (first + have) * this.channels
    const all = chunk < this.blobs.length ? new Int16Array(await this.blobs[chunk].slice(2 * from, 2 * to).arrayBuffer()) : this.rest.slice(from, to)
    return Array.from({ length: channels }, (_, c) => Float32Array.from({ length: have }, (_, n) => all[n * this.channels + c] / 32767))
  }
  /** Its samples as they stand in a WAV file, parts of a blob. */
  parts() { return [...this.blobs, this.rest.slice(0, (this.samples % this.each) * this.channels)] }
}
