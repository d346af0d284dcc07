"""What lost RTP packets cost, and what the coarse stages of the last packet, sent again, give back.

    nice python benchmarks/packet_loss.py ../shared/eval

Speech goes through the live encoder, RTP packets, a network that loses some of them at random, and the live decoder.
All bytes of RTP's payloads are counted; the headers of RTP, UDP and IPv4 (40 bytes a packet) are told apart, and the
stream's header, which a session description carries, is none of them. All conditions lose the same packets.
Ends with 1 when the copies gain less than 0.3 PESQ-WB, or cost more than a quarter.
"""

import argparse
import itertools
import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

# One thread: the machine may have other things to do, and packets are small.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import soundfile

import gritcodec
from gritcodec import files
from gritcodec.codec.codec import Codec
from gritcodec.containers.rtp import Receiver, Sender
from gritcodec.evaluate.metrics import estoi, pesq_wb
from gritcodec.evaluate.statistics import estimate

WANTED_GAIN, ALLOWED_COST = 0.3, 0.25
HEADERS_BYTES = 40


@dataclass(frozen=True)
class Clip:
    """Speech, and what the live encoder makes of it."""

    samples: np.ndarray
    rate: int
    header: gritcodec.bitstream.Header
    items: list[bytes]


@dataclass(frozen=True)
class Result:
    """Means over clips and draws of losses.

    Attributes:
        milliseconds: of sound in a packet.
        loss: share of packets that the network loses.
        copied: stages of the packet before that are sent again.
        kbps: of payloads.
        header_kbps: of RTP, UDP and IPv4.
        pesq, estoi: of what is heard.
        concealed: share of packets for which nothing came.
        clips: PESQ-WB of each clip, mean over draws.
    """

    milliseconds: float
    loss: float
    copied: int
    kbps: float
    header_kbps: float
    pesq: float
    estoi: float
    concealed: float
    clips: list[float]


def encoded(codec: Codec, path: Path, bitrate: float, packet_frames: int) -> Clip:
    """Code a clip as a live stream of bare packets."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    encoder = codec.stream_encoder(rate, samples.shape[1], bitrate, packet_frames, check=False)
    pieces = encoder.push(samples.T) + encoder.flush()
    return Clip(samples.T, rate, encoder.header, pieces[1:])


def heard(codec: Codec, clip: Clip, packets: Sequence[bytes], lost: Sequence[bool]) -> tuple[np.ndarray, int]:
    """Return what comes out behind a network, [channels, samples], and the packets that had to be concealed."""
    receiver, decoder = Receiver(clip.header), codec.stream_decoder(clip.header)
    arrived = [each for packet, gone in zip(packets, lost, strict=True) if not gone for each in receiver.push(packet)]
    arrived += receiver.flush()
    parts, concealed, frames = [], 0, 0
    for each in arrived:
        if each.item is None:
            count = each.frames // clip.header.packet_frames
            parts += [decoder.push(None) for _ in range(count)]
            concealed += count
        else:
            parts.append(decoder.push(each.item))
        frames = each.start + each.frames
    # What is lost at the very end is not known to be.
    total = sum(not gone for gone in lost) and len(packets)
    missing = total - frames // clip.header.packet_frames
    parts += [decoder.push(None) for _ in range(max(missing, 0))]
    sound = np.concatenate([*parts, decoder.flush()], axis=1)
    count = clip.samples.shape[1]
    return np.pad(sound[:, :count], ((0, 0), (0, max(count - sound.shape[1], 0)))), concealed


def measure(codec: Codec, clips: Sequence[Clip], loss: float, copied: int, seeds: int) -> Result:
    """Send all clips, each under `seeds` draws of losses."""
    draws = seeds if loss else 1
    scores, sizes, seconds, sent, concealed = [], 0, 0.0, 0, 0
    for (number, clip), seed in itertools.product(enumerate(clips), range(draws)):
        sender = Sender(clip.header, copied)
        packets = [packet for item in clip.items if (packet := sender.push(item)) is not None]
        lost = np.random.default_rng([seed, number]).random(len(packets)) < loss
        # A stream that nobody has heard of yet begins when the first packet comes.
        lost[0] = False
        sound, gone = heard(codec, clip, packets, lost.tolist())
        scores.append((pesq_wb(clip.samples, sound, clip.rate), estoi(clip.samples, sound, clip.rate)))
        sizes += sum(len(packet) - 12 for packet in packets)
        seconds += clip.samples.shape[1] / clip.rate
        sent += len(packets)
        concealed += gone
    header = clips[0].header
    return Result(
        header.packet_frames * 100_000 / header.frame_rate,
        loss,
        copied,
        sizes * 8 / seconds / 1000,
        sent * HEADERS_BYTES * 8 / seconds / 1000,
        statistics.mean(score[0] for score in scores),
        statistics.mean(score[1] for score in scores),
        concealed / sent,
        np.reshape([score[0] for score in scores], (-1, draws)).mean(axis=1).tolist(),
    )


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Speech quality behind a network that loses packets.")
    parser.add_argument("folder", type=Path, help="of clips, FLAC or WAV, mono")
    parser.add_argument("--model", default="speech-16k")
    parser.add_argument("--bitrate", type=float, default=3.0, help="kbps of payloads without copies")
    parser.add_argument("--frames", type=int, nargs="+", default=[1, 2], help="in a packet")
    parser.add_argument("--loss", type=float, default=10.0, help="percent of packets")
    parser.add_argument("--copied", type=int, nargs="+", default=[1], help="stages that are sent again")
    parser.add_argument("--seeds", type=int, default=3, help="draws of losses for each clip")
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args()


def main() -> None:
    """Measure, and print a table."""
    options = parse_arguments()
    codec = gritcodec.load(options.model)
    paths = sorted(path for path in options.folder.iterdir() if path.suffix in (".flac", ".wav"))
    print("ms a packet  loss %  copied  payload kbps  headers kbps  concealed %  PESQ-WB  ESTOI", flush=True)
    results: list[Result] = []
    failed = False
    for packet_frames in options.frames:
        clips = [encoded(codec, path, options.bitrate, packet_frames) for path in paths]
        conditions = [(0.0, 0), (options.loss / 100, 0), *((options.loss / 100, count) for count in options.copied)]
        rows = []
        for loss, copied in conditions:
            row = measure(codec, clips, loss, copied, options.seeds)
            rows.append(row)
            print(
                f"{row.milliseconds:11g}  {100 * loss:6g}  {copied:6d}  {row.kbps:12.3f}  {row.header_kbps:12.1f}"
                f"  {100 * row.concealed:11.2f}  {row.pesq:7.3f}  {row.estoi:.3f}",
                flush=True,
            )
        best = max(rows[2:], key=lambda row: row.pesq * (row.kbps <= (1 + ALLOWED_COST) * rows[1].kbps))
        gain = estimate(np.subtract(best.clips, rows[1].clips).tolist())
        cost = best.kbps / rows[1].kbps - 1
        print(
            f"  copies gain {gain.mean:.3f} PESQ-WB ({gain.low:.3f} to {gain.high:.3f} over clips) "
            f"for {100 * cost:.1f} % of bytes",
            flush=True,
        )
        failed = failed or gain.mean < WANTED_GAIN or cost > ALLOWED_COST
        results += rows
    if options.json:
        files.write_bytes(options.json, (json.dumps([asdict(row) for row in results], indent=1) + "\n").encode())
    if failed:
        raise SystemExit(f"packet_loss.py: less than {WANTED_GAIN} gained, or more than {100 * ALLOWED_COST:g} % spent")


if __name__ == "__main__":
    main()
