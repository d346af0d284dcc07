// What was wrong with a file, in lines for people: the same that the Python package says

/** @typedef {import('./types.js').File} File */

const NO_CODES = 'packets hold no codes, or depend on one that is lost'

/** With two decimals, halves to the even one. @param {number} x */
function seconds(x) {
  const eighths = x * 8 // of all numbers that end in half a hundredth these alone are exact
  if (Number.isInteger(eighths) && eighths % 2 && Math.floor(x * 100) % 2 === 0) return (Math.floor(x * 100) / 100).toFixed(2)
  return x.toFixed(2)
}
/** With a comma every three digits. @param {number} x */
export const grouped = (x) => String(x).replace(/\B(?=(\d{3})+$)/g, ',')

/** Note that a packet has no codes. @param {File} file @param {import('./types.js').Item} item @param {string} why */
export function lose(file, item, why) {
  const last = file.damage.at(-1)
  if (last?.codes && last.to === item.position) last.to += item.frames
  else file.damage.push({ kind: 'lost', codes: true, from: item.position, to: item.position + item.frames, why })
}
/** Whether something is wrong with a file; an index that is, changes nothing. @param {File} file */
export const isHurt = (file) => file.damage.some((d) => d.kind !== 'index wrong')
const BESIDE = ['chunks lost', 'splices lost', 'end contradicts'], UNSAID = ['index wrong', 'search stopped', 'junk after the end', 'other file']
/**
 * A line for everything that was wrong with a file that has been played.
 * @param {File} file @param {import('./weights.js').About} about @param {number} number of those chained, from 1 on @param {boolean} whole whether all frames came that the file needs
 */
export function describe(file, about, number, whole) {
  const time = (/** @type {number} */ frame) => frame * (about.hop / about.rate)
  const samples = file.header.samples ?? file.end?.header.samples ?? null, total = samples === null ? null : samples / file.header.sampleRate
  const at = (/** @type {string} */ what, /** @type {number} */ frame) => `${what} (at ${seconds(time(frame))} s); no sound is lost`
  const said = file.damage.filter((d) => !UNSAID.includes(d.kind)), lines = []
  for (const d of said) {
    if (d.kind === 'lost') {
      const start = time(d.from), end = start + (d.to - d.from) * (about.hop / about.rate)
      lines.push(`lost ${seconds(start)} s to ${seconds(total === null ? end : Math.min(end, total))} s: ${d.codes ? NO_CODES : 'packets are damaged or missing'}`)
    } else if (d.kind === 'cut') {
      lines.push(whole ? 'the end of the file is damaged; no sound is lost' : `cut off at ${seconds(time(d.frame))} s${total === null ? '' : ` of ${seconds(total)} s`}`)
    } else if (d.kind === 'junk') lines.push(at('bytes were added, or beside the sound, and passed over', d.frame))
    else if (d.kind.startsWith('header')) lines.push(at('the header is damaged, and was repaired', 0))
  }
  // Where something else is wrong too, that is why the numbers of the end are.
  if (said.length && said.every((d) => BESIDE.includes(d.kind))) lines.push(at('something beside the sound is missing or was added', file.frames))
  return lines.map((line) => prefixed(line, number))
}
/** Of something that follows the end. @param {File} file @param {import('./types.js').Item['position']} frames @param {import('./weights.js').About} about @param {number} number */
export const describeJunk = (file, frames, about, number) => prefixed(`something that is no .grit file follows the end (at ${seconds((frames * about.hop) / about.rate)} s); no sound is lost`, number)
/** @param {string} line @param {number} number */
const prefixed = (line, number) => (number > 1 ? `file ${number} of those chained: ${line}` : line)
/** What a `Reader` says of a file that it refuses, for people. @type {[RegExp, (...found: string[]) => string][]} found: its groups, and how many bytes there are */
const PLAINLY = [
  [/^not a \.grit file/, (have) => `not a .grit file: ${have === '0' ? 'it is empty' : 'it does not begin as one'}`],
  [/^made before version 1/, () => 'this .grit file was made by a pre-release of gritcodec: compress the original again'],
  [/^version (\d+)$/, (n) => `this is a .grit file of format version ${n}, and this release reads version 1: a newer gritcodec may read it, unless the file is damaged`],
  [/^header cannot be read: header CRC/, () => 'the file is damaged: the checksum of its header does not match'],
  [/^header cannot be read: .* cut$/, (have) => `the file is cut short: it ends inside its header, after ${have} bytes`],
  [/^header cannot be read/, () => 'the file is damaged: its header cannot be read'],
  [/^header: (.*) is (.*)$/, (what, n) => `the header of this .grit file makes no sense: its ${what} is ${n}`],
  [/^coding (\d+) is/, (n) => `this .grit file uses coding ${n}, which needs a newer gritcodec`],
  [/^field (\d+) is required and not known/, (n) => `this .grit file needs feature ${n}, which a newer gritcodec may have`],
  [/^packets without a check/, () => 'this is the header of a stream whose packets have no checks: they are not in a file'],
  [/^chunk ([0-9a-f]+) .*required/, (mark) => `this .grit file has a part of kind ${parseInt(mark, 16)}, which a newer gritcodec may know`],
]
/** @param {File} file @param {number} bytes all that there are */
export function plainly({ refused, at }, bytes) {
  for (const [form, say] of PLAINLY) {
    const found = form.exec(refused ?? '')
    if (found) return say(...found.slice(1), String(bytes - at))
  }
  return refused ?? ''
}
