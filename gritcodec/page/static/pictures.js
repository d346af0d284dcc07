// The waveform, and the codes as a picture

const SPAN = 256 // samples of a peak
/** Least and largest sample of every stretch. */
export class Peaks {
  constructor() {
    this.low = []
    this.high = []
    this.rest = new Float32Array(0)
  }
  add(block) {
    const x = new Float32Array(this.rest.length + block.length)
    x.set(this.rest)
    x.set(block, this.rest.length)
    let at = 0
    for (; at + SPAN <= x.length; at += SPAN) {
      let low = 0, high = 0
      for (let n = at; n < at + SPAN; n++) { if (x[n] < low) low = x[n]; if (x[n] > high) high = x[n] }
      this.low.push(low)
      this.high.push(high)
    }
    this.rest = x.slice(at)
  }
}
/** Codes of frames as they come: for each packet its place. */
export class Codes {
  constructor(stages = 1) {
    this.stages = stages
    this.packets = []
    this.soonest = 0 // when it may be drawn anew
  }
  add(position, stages, frames, codes) { this.packets.push({ position, stages, frames, codes }) }
}
function fitted(canvas) {
  const ratio = devicePixelRatio || 1, width = Math.max(Math.round(canvas.clientWidth * ratio), 1), height = Math.max(Math.round(canvas.clientHeight * ratio), 1)
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height })
  const context = canvas.getContext('2d')
  context.clearRect(0, 0, width, height)
  return { context, width, height }
}
export function drawWave(canvas, peaks, samples, part) {
  const { context, width, height } = fitted(canvas), style = getComputedStyle(canvas), total = Math.max(samples / SPAN, 1)
  context.fillStyle = style.getPropertyValue('--key') || '#0b6e99'
  const soft = style.getPropertyValue('--line') || '#999'
  for (let x = 0; x < width; x++) {
    const from = Math.floor((x * total) / width), to = Math.max(Math.floor(((x + 1) * total) / width), from + 1)
    if (from >= peaks.low.length) break
    let low = 0, high = 0
    for (let i = from; i < Math.min(to, peaks.low.length); i++) { low = Math.min(low, peaks.low[i]); high = Math.max(high, peaks.high[i]) }
    if (x >= part * width) context.fillStyle = soft
    const top = (0.5 - Math.min(high, 1) / 2) * height, bottom = (0.5 - Math.max(low, -1) / 2) * height
    context.fillRect(x, top, 1, Math.max(bottom - top, 1))
  }
  context.fillStyle = style.color
  context.fillRect(Math.min(part * width, width - 2), 0, 2, height)
}
/** Each code a colour of its own, the same wherever it comes. */
function colour(stage, code) {
  let h = Math.imul(code * 2654435761 + stage * 40503, 2246822519) >>> 0
  h ^= h >>> 13
  return [64 + (h & 127), 64 + ((h >>> 8) & 127), 96 + ((h >>> 16) & 127)]
}
const MOST = 4096
/** Whether what is drawn is of now: where the end is not known, a picture is begun anew again and again, and not too often. */
export function drawCodes(canvas, codes, frames) {
  const ratio = devicePixelRatio || 1, { packets } = codes, columns = Math.min(Math.ceil(frames), MOST), rows = packets.reduce((most, p) => Math.max(most, p.stages), 0)
  if (!packets.length || !(frames >= 1)) { fitted(canvas); codes.drawn = undefined; return true }
  const small = [columns, rows, frames].join()
  if (codes.small !== small) { // begun anew: it is wider, or a packet has more stages
    if (performance.now() < codes.soonest) return false
    Object.assign(codes, { small, picture: new OffscreenCanvas(columns, rows), done: 0 })
    codes.ink = codes.picture.getContext('2d')
  }
  const key = [small, packets.length, canvas.clientWidth * ratio, canvas.clientHeight * ratio].join()
  if (codes.drawn === key) return true // the position alone has moved
  codes.drawn = key
  const began = performance.now()
  for (; codes.done < packets.length; codes.done++) {
    const { position, stages, frames: own, codes: list } = packets[codes.done], first = Math.floor((position * columns) / Math.ceil(frames))
    const last = Math.min(Math.floor(((position + own - 1) * columns) / Math.ceil(frames)), columns - 1)
    if (first > last) continue
    const image = new ImageData(last - first + 1, stages)
    for (let t = 0; t < own; t++) {
      const x = Math.floor(((position + t) * columns) / Math.ceil(frames)) - first
      if (x < image.width) for (let s = 0; s < stages; s++) image.data.set([...colour(s, list[s * own + t]), 255], 4 * (s * image.width + x))
    }
    codes.ink.putImageData(image, first, 0)
  }
  const { context, width, height } = fitted(canvas)
  context.imageSmoothingEnabled = false
  context.drawImage(codes.picture, 0, 0, width, height)
  codes.soonest = performance.now() + 10 * (performance.now() - began)
  return true
}
