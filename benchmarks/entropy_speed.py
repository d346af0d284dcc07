"""How long entropy coding takes, encoding and decoding, beside that of an earlier commit in the same run.

    python benchmarks/entropy_speed.py AUDIO [--commit c8a595a] [--stages 14]

Codes of a recording, the same for both, are cut into packets of 64 frames. Each commit runs in a process of its own,
on one thread, in turn; the least processor time of several rounds counts. `together` is many packets side by side, as
files are coded; `alone` one by one. The earlier commit comes from git, in a temporary worktree.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

ROOT = Path(__file__).parents[1]
_TURNS = 3
_SCRIPT = """
import json, sys, time
from pathlib import Path
import numpy as np
import gritcodec
from gritcodec import bitstream, model_store

codes = np.load(sys.argv[1])
contexts = model_store.contexts(Path(gritcodec.__file__).parent / "models" / sys.argv[2])
header = bitstream.Header(bytes(8), 16000, codes.shape[1], 0, codes.shape[2], 10, coding=bitstream.ENTROPY)
coding = bitstream.coding_for(header, contexts)
packets, stages, frames = list(codes), codes.shape[2], codes.shape[3]

def least(work):
    found = work()
    times = []
    for _ in range(4):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times), found

result = {}
result["encode alone"], bodies = least(lambda: [coding.pack(each) for each in packets])
result["decode alone"], _ = least(lambda: [coding.unpack(each, stages, frames) for each in bodies])
if hasattr(coding, "pack_many"):
    result["encode together"], _ = least(lambda: coding.pack_many(packets))
    result["decode together"], found = least(lambda: coding.unpack_many(bodies, [stages] * len(bodies), frames))
    assert all(np.array_equal(a, b) for a, b in zip(found, packets))
result["bytes"] = sum(map(len, bodies))
print(json.dumps(result))
"""


def codes_of(path: Path, model: str, stages: int) -> np.ndarray:
    """Codes of a recording, [packets, 1, stages, 64]."""
    import soundfile

    import gritcodec
    from gritcodec import bitstream

    waveform, rate = soundfile.read(path, dtype="float32", always_2d=True)
    codec = gritcodec.load(model)
    kbps = codec.bitrates[stages - 1]
    codes = codec.encode(waveform.T[:1], rate, kbps).indices[:, :stages]
    whole = codes.shape[2] // bitstream.PACKET_FRAMES
    return codes[0, :, : whole * bitstream.PACKET_FRAMES].reshape(1, codes.shape[1], whole, -1).transpose(2, 0, 1, 3)


def run(package: Path, codes: Path, model: str) -> dict[str, float]:
    """Times in seconds of a checkout."""
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-c", _SCRIPT, str(codes), model]
    environment = os.environ | limits | {"PYTHONPATH": str(package)}
    done = subprocess.run(command, env=environment, cwd=package, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main(
    audio: Annotated[Path, typer.Argument(help="A recording of 10 s or more.", exists=True)],
    model: Annotated[str, typer.Option(help="Name of a shipped model.")] = "speech-16k",
    stages: Annotated[int, typer.Option(help="Stages of codes.")] = 14,
    commit: Annotated[str, typer.Option(help="To compare with.")] = "c8a595a",
) -> None:
    """Print a table."""
    codes = codes_of(audio, model, stages)
    with tempfile.TemporaryDirectory() as folder:
        saved, old = Path(folder) / "codes.npy", Path(folder) / "old"
        np.save(saved, codes.astype(np.int64))
        subprocess.run(["git", "-C", ROOT, "worktree", "add", "--detach", old, commit], check=True, capture_output=True)
        try:
            turns = [(run(old, saved, model), run(ROOT, saved, model)) for _ in range(_TURNS)]
        finally:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", old], check=True)
    before, now = ({name: min(turn[which][name] for turn in turns) for name in turns[0][which]} for which in (0, 1))
    count = len(codes)
    print(f"{count} packets of {codes.shape[2]} stages, milliseconds of one packet, bytes of all\n")
    print(f"| | {commit} | now | share |\n| --- | --- | --- | --- |")
    for name, seconds in now.items():
        was = before.get(name, before.get(name.replace("together", "alone"), 0.0))
        scale, digits = (1, 0) if name == "bytes" else (1000 / count, 2)
        print(f"| {name} | {was * scale:.{digits}f} | {seconds * scale:.{digits}f} | {seconds / was:.3f} |")


if __name__ == "__main__":
    typer.run(main)
