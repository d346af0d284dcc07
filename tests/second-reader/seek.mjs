// To a frame by the index in the end
import { CUT, indexes, parseItem, sameHeader } from '../../web/src/items.js'

// The item that holds a frame, by the index in the end: {item, index: steps used, passed: items gone over}; or by going through all
export function seekFrame(b, h, end, frame) {
  let pos = h.end, position = 0, used = 0, passed = 0
  if (end && indexes(end, h.at) && sameHeader(h, end.header) && !h.fromEnd) {
    for (const step of end.steps) {
      if (position + step.frames > frame) break
      pos += step.bytes
      position += step.frames
      used++
    }
  }
  for (;;) {
    const item = parseItem(b, pos, h)
    if (!item || item === CUT || item.position !== position % 2 ** 32) {
      const again = used ? seekFrame(b, h, null, frame) : null
      return again && { ...again, indexWrong: true }
    }
    item.position = position
    if (item.frames > 0 && frame < position + item.frames) return { item, index: used, passed }
    position += item.frames
    pos = item.end
    passed++
  }
}
