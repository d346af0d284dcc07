"""What the codec does to telephone sound: how loud bands are that no telephone carries, and scores beside full band.

    python benchmarks/telephone.py SET --bitrate 1.5 --bitrate 3 --bitrate 6

The clips are those of the bench's condition `telephone`, eight of the set; PESQ-WB and ESTOI compare with what went in.
Levels are of the mean spectrum of all clips, in dB beside the speech band (300 to 3400 Hz).
"""

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

import gritcodec
from gritcodec.evaluate import conditions, sets
from gritcodec.evaluate.metrics import RATE, estoi, pesq_wb

_SPEECH = (300, 3400)
_BANDS = {"50 to 200 Hz": (50, 200), "4 to 8 kHz": (4000, 8000)}
_WINDOW = 1024
_COUNT = 8


def levels(waveforms: list[NDArray[np.floating]]) -> str:
    """What the bands outside speech hold in all sounds, in dB beside it, as cells of a table."""
    frequencies = np.fft.rfftfreq(_WINDOW, 1 / RATE)
    frames = [np.lib.stride_tricks.sliding_window_view(x, _WINDOW)[:: _WINDOW // 2] for x in waveforms]
    spectrum = (np.abs(np.fft.rfft(np.concatenate(frames) * np.hanning(_WINDOW))) ** 2).mean(0)

    def power(low: float, high: float) -> float:
        return float(spectrum[(frequencies >= low) & (frequencies < high)].sum())

    return " | ".join(f"{10 * np.log10(power(*band) / power(*_SPEECH)):.0f}" for band in _BANDS.values())


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of clips.")],
    bitrate: Annotated[list[float] | None, typer.Option(help="kbps; repeatable.")] = None,
    model: Annotated[str, typer.Option(help="A model's name or folder.")] = "speech-16k",
) -> None:
    """Print the table: what went in, and what comes back at every bitrate."""
    codec = gritcodec.load(model)
    sources = {source.name: source for source in sets.read_set(folder)}
    with tempfile.TemporaryDirectory() as temporary:
        clean = [sets.write_clip(sets.load(source), source, "clean", Path(temporary)) for source in sources.values()]
        lines = conditions.build("telephone", clean, _COUNT, None, Path(temporary), seed=0)
        pairs = [(sets.load(sources[line.name]), sets.load(sets.Source(line.name, line.path))) for line in lines]
    columns = "PESQ-WB, full band | ESTOI, full band | PESQ-WB, telephone | ESTOI, telephone"
    print(f"| kbps | {' | '.join(f'{band}, dB' for band in _BANDS)} | {columns} |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print(f"| what went in | {levels([line for _, line in pairs])} | | | | |")
    for kbps in bitrate or [1.5, 3.0, 6.0]:
        scores, decoded = [], []
        for pair in pairs:
            back = [codec.decompress(codec.compress(x[None], RATE, kbps))[0][0] for x in pair]
            scores.append([m(x, y, RATE) for x, y in zip(pair, back, strict=True) for m in (pesq_wb, estoi)])
            decoded.append(back[1])
        means = np.mean(scores, axis=0)
        cells = " | ".join(f"{mean:.{2 if at % 2 == 0 else 3}f}" for at, mean in enumerate(means))
        print(f"| {kbps:g} | {levels(decoded)} | {cells} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
