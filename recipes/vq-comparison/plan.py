"""What is run, and on how many seeds; and what is tried on seed 0, which is not reported."""

from __future__ import annotations

from typing import NamedTuple

from methods import METHODS


class Trial(NamedTuple):
    """One run of seed 0.

    Attributes:
        method: its name in METHODS.
        rates: of codes and transforms in place of the method's own.
        first: batches of 400 latents that codes are drawn from in joint training, in place of 48.
    """

    method: str
    rates: tuple[float, float] | None = None
    first: int | None = None


class Run(NamedTuple):
    """One run: `latents` or `joint`, K codes in each of so many stages, and what is tried when it is a trial."""

    level: str
    method: str
    size: int
    stages: int
    seed: int
    trial: Trial | None = None


# The leading handful and what it has to beat.
JOINT = ["STE + EMA, dead codes replaced", "STE, learned codes", "NSVQ", "SimVQ", "GRIT-VQ", "GRIT-VQ, constant"]
JOINT_ADDED = ["STE, same draw and commitment", "RVQ", "VQRAE", "MSVQ", "FVQ"]
JOINT_WIDE = [
    "no quantization",
    "STE + EMA, dead codes replaced",
    "STE, learned codes",
    "STE, same draw, half the commitment",
    "RVQ",
    "SimVQ",
    "NSVQ",
    "GRIT-VQ, half the commitment",
    "GRIT-VQ, commitment 1",
]
WIDE = [
    "GRIT-VQ",
    "GRIT-VQ, half the commitment",
    "GRIT-VQ, commitment 0.25",
    "STE, same draw and commitment",
    "RVQ",
    "STE, learned codes",
    "STE + EMA, dead codes replaced",
    "NSVQ",
    "SimVQ",
    "DiVeQ",
    "FVQ",
    "rotation trick + EMA",
    "FSQ",
    "GRIT-VQ, constant",
    "GRIT-VQ, no transform",
    "GRIT-VQ, frozen base",
]
# One codebook of 65,536, and residual stages at equal bits. NSVQ's and SimVQ's packages hold vectors x codes: 17 GB for
# the 65,536 vectors of the first call.
HUGE = ["GRIT-VQ", "STE, same draw and commitment", "RVQ", "FVQ"]
EQUAL = ["GRIT-VQ", "RVQ", "GRIT-VQ, commitment 1"]
# With four stages a commitment of 0.25 is the default.
ALL = [name for name in METHODS if name != "GRIT-VQ, commitment 0.25"]

# (level, K, stages, seeds, methods), 50 frames a second: 40, 13, 60 and 39 bits a frame; then 16 bits in one, two and
# four stages, and 13 in two.
PLAN: list[tuple[str, int, int, int, list[str]]] = [
    ("latents", 1024, 4, 3, ALL),
    ("joint", 1024, 6, 3, [*JOINT, *JOINT_ADDED]),
    ("latents", 8192, 1, 2, WIDE),
    ("joint", 8192, 3, 3, JOINT_WIDE),
    ("latents", 65536, 1, 1, HUGE),
    ("latents", 256, 2, 2, EQUAL),
    ("latents", 16, 4, 2, EQUAL),
    ("latents", 91, 2, 2, EQUAL),
]

# Every method's candidate rates, cached latents, K = 1024, four stages.
NARROW_TRIALS = [Trial(name, rates) for name, method in METHODS.items() for rates in method.candidates]
# Joint training, K = 8192, three stages: rates of what led there, and GRIT-VQ with one thing changed.
WIDE_TRIALS = [
    *(Trial("GRIT-VQ", (codes, 10.0)) for codes in (10.0, 30.0, 100.0, 300.0)),
    Trial("GRIT-VQ", (100.0, 10.0), 144),
    Trial("GRIT-VQ, half the commitment", (100.0, 30.0)),
    Trial("GRIT-VQ, half the commitment", (30.0, 10.0)),
    *(Trial("STE, learned codes", (codes, 1.0)) for codes in (10.0, 30.0, 100.0)),
    *(Trial("RVQ", (codes, 1.0)) for codes in (10.0, 30.0, 100.0)),
    *(
        Trial(name, (100.0, 10.0))
        for name in (
            "STE, same draw and commitment",
            "no quantization",
            "GRIT-VQ, half the commitment",
            "GRIT-VQ, a quarter of the commitment",
            "STE, same draw, half the commitment",
            "GRIT-VQ, half the commitment, dead codes replaced",
            "GRIT-VQ, half the commitment, mlp transform",
            "GRIT-VQ, search by 4 paths",
        )
    ),
]
