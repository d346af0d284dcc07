// What the other modules talk about; types alone

/**
 * @typedef {object} Field an optional field of the header that is not known
 * @property {number} key
 * @property {number} length
 * @property {Uint8Array} data
 * @property {boolean} required
 * @property {boolean} safeToCopy
 *
 * @typedef {object} Header the header of a file; fields that are not there are undefined
 * @property {number} at where it begins
 * @property {number} end where items begin
 * @property {Uint8Array} bytes
 * @property {number} start of its optional fields, in its own bytes
 * @property {string} fingerprint 16 hexadecimal digits
 * @property {number} sampleRate
 * @property {number} channels
 * @property {number | null} samples null where only the end knows
 * @property {number} coding plain (0), entropy-coded (1) or chained (2)
 * @property {number} codeBits
 * @property {number} stages
 * @property {number} packetFrames
 * @property {number} frameRate frames a second
 * @property {[string, string][]} tags
 * @property {Field[]} unknown
 * @property {{key: number, why: string}[]} passedOver
 * @property {bigint} [startTime] microseconds from 1970
 * @property {number} [keyFrames]
 * @property {number} [startTrim]
 * @property {number} [firstSegment]
 * @property {string} [encoder]
 * @property {boolean} [bare]
 * @property {number} [channelMask]
 * @property {number} [gain] in 256ths of a dB
 * @property {string} [repaired] how
 * @property {boolean} [fromEnd]
 * @property {string} [malformed]
 *
 * @typedef {object} Item a packet, pause or chunk
 * @property {'packet' | 'pause' | 'chunk'} kind
 * @property {number} at
 * @property {number} end
 * @property {number} checkAt
 * @property {number} position its first frame
 * @property {number} frames
 * @property {number} [stages] packet
 * @property {boolean} [short] packet: it tells its frames
 * @property {number} [body] packet of coding 0: where its codes begin
 * @property {{plain: boolean, length: number, at: number}[]} [blocks] packet of coding 1
 * @property {{at: number, length: number}} [chain] packet of coding 2
 * @property {number[]} [noise] pause
 * @property {number} [mark] chunk
 * @property {boolean} [required] chunk
 * @property {boolean} [known] chunk
 * @property {boolean} [safeToCopy] chunk
 * @property {Uint8Array} [payload] chunk
 * @property {any} [value] chunk: {sample, name} or {samples, startTrim}, null where it is malformed
 *
 * @typedef {object} End
 * @property {number} at
 * @property {number} end
 * @property {Header} header
 * @property {number} before
 * @property {number} frames
 * @property {number} packets
 * @property {number} chunks
 * @property {number} splices
 * @property {{bytes: number, frames: number}[]} steps
 * @property {number} length
 *
 * @typedef {object} File one file, of which others may be chained to the first
 * @property {number} at
 * @property {Header} header
 * @property {Item[]} items
 * @property {any[]} damage each {kind, ...}: cut, lost, junk and so on
 * @property {End | null} end
 * @property {string | null} refused why it is
 * @property {boolean} [opened] its header was not refused
 * @property {boolean} begun
 * @property {number} frames so far
 * @property {number} next where it is over
 * @property {number | null} samples
 *
 * @typedef {{kind: 'file' | 'end', file: File} | {kind: 'more', file: File, other: File | null} | {kind: 'item', item: Item, file: File}} Event other: what follows the file and is not played, null where it is no .grit file
 *
 * @typedef {Uint8Array | ArrayBuffer | string | URL} Source bytes, or where they are
 *
 * @typedef {object} Sound
 * @property {number} sampleRate
 * @property {Float32Array[]} channels
 */
export {}
