// gritcodec: .grit files in JavaScript. See docs/web.md.
export { Codec, load } from './codec.js'
export { ModelError, Refusal, WrongModel } from './errors.js'
export { Player } from './player.js'
export { Recorder } from './recorder.js'
export { Sender } from './sender.js'
export { Reader, readAll } from './reader.js'
export { peel } from './plan.js'
export { toAudioBuffer, toWav } from './sound.js'
/** @typedef {import('./types.js').Header} Header */
/** @typedef {import('./types.js').Item} Item */
/** @typedef {import('./types.js').File} File */
/** @typedef {import('./types.js').Event} Event */
/** @typedef {import('./types.js').Sound} Sound */
/** @typedef {import('./types.js').Source} Source */
