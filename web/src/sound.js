// Sound as a WAV file, and as an AudioBuffer

/** @typedef {import('./types.js').Sound} Sound */

/** The 44 bytes before the samples of a 16-bit WAV file. @param {number} sampleRate @param {number} channels @param {number} count samples of each @returns {Uint8Array<ArrayBuffer>} */
export function wavHeader(sampleRate, channels, count) {
  const size = Math.min(2 * channels * count, 0xffffffff - 36), out = new Uint8Array(44), view = new DataView(out.buffer)
  /** @param {number} at @param {string} text */
  const put = (at, text) => { for (let i = 0; i < text.length; i++) out[at + i] = text.charCodeAt(i) }
  put(0, 'RIFF')
  view.setUint32(4, 36 + size, true)
  put(8, 'WAVEfmt ')
  view.setUint32(16, 16, true)
  view.setUint16(20, 1, true)
  view.setUint16(22, channels, true)
  view.setUint32(24, sampleRate, true)
  view.setUint32(28, 2 * channels * sampleRate, true)
  view.setUint16(32, 2 * channels, true)
  view.setUint16(34, 16, true)
  put(36, 'data')
  view.setUint32(40, size, true)
  return out
}
/** 16-bit WAV; samples beyond full scale are clipped. @param {Sound} sound @returns {Uint8Array<ArrayBuffer>} */
export function toWav({ sampleRate, channels }) {
  if (!channels.length) throw new RangeError('sound without channels')
  const count = channels[0].length, out = new Uint8Array(44 + 2 * channels.length * count), view = new DataView(out.buffer)
  out.set(wavHeader(sampleRate, channels.length, count))
  for (let n = 0, at = 44; n < count; n++) for (const x of channels) {
    view.setInt16(at, Math.max(-32768, Math.min(32767, Math.round(x[n] * 32767))), true)
    at += 2
  }
  return out
}
/** @param {Sound} sound @param {BaseAudioContext} context */
export function toAudioBuffer({ sampleRate, channels }, context) {
  if (!channels.length) throw new RangeError('sound without channels')
  const buffer = context.createBuffer(channels.length, Math.max(channels[0].length, 1), sampleRate)
  channels.forEach((x, c) => buffer.copyToChannel(/** @type {Float32Array<ArrayBuffer>} */ (x), c))
  return buffer
}
