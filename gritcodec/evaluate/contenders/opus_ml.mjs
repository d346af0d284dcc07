// Decodes Opus packets with libopus' speech enhancement: node opus_ml.mjs PACKAGE none|lace|nolace PACKETS RAW
// PACKETS: each behind its length in two bytes, little-endian. RAW: 32-bit floats, mono, 16 kHz.
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, speechQualityEnhancement, source, target] = process.argv.slice(2);

function packetsOf(data) {
  const packets = [];
  for (let at = 0; at < data.length; ) {
    const size = data.readUInt16LE(at);
    packets.push(new Uint8Array(data.subarray(at + 2, at + 2 + size)));
    at += 2 + size;
  }
  return packets;
}

try {
  const { OpusMLDecoder } = await import(pathToFileURL(`${folder}/index.js`));
  const decoder = new OpusMLDecoder({ channels: 1, sampleRate: 16000, speechQualityEnhancement });
  await decoder.ready;
  const { channelData, errors } = decoder.decodeFrames(packetsOf(readFileSync(source)));
  if (errors.length) throw new Error(errors[0].message);
  const [samples] = channelData;
  writeFileSync(target, new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength));
} catch (error) {
  // One line: what node says of an exception ends with its own version.
  console.error(error.message);
  process.exitCode = 1;
}
