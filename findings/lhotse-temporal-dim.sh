#!/usr/bin/env bash
# lhotse 1.33.0 (numpy 2.4), CPython 3.11: an array that is attached to a cut with temporal_dim=1 is cut along its first dimension
# all the same when the cut is. No error comes: `temporal_dim` only decides what frame numbers are computed from. An array
# [stages, frames] = [6, 100] of a cut of 2 s:
#   whole cut                   [6, 100]   right, because 100 is more than 6
#   truncated to 0.2 .. 0.7 s   [0, 100]   [6, 25] was meant
#   truncated to 0 .. 0.1 s     [5, 100]   all frames, and one stage fewer
# The same array as [frames, stages] with temporal_dim=0 is cut as it should be. So of the numpy files, the memory and the Shar storage.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --disable-pip-version-check "lhotse==1.33.0" "numpy==2.4.*" urllib3  # which it imports and does not ask for
cd "$work" && mkdir arrays shar && "$work/env/bin/python" - <<'P'
import warnings

warnings.filterwarnings("ignore")
import numpy as np
from lhotse import CutSet, MonoCut, NumpyFilesWriter, Recording

codes = np.arange(600, dtype=np.int16).reshape(6, 100)


def cut_with(array, dim, **how):
    cut = MonoCut("c", 0, 2.0, 0, recording=Recording("c", [], 16000, 32000, 2.0))
    if how:
        cut.codes = how["writer"].store_array("c", array, frame_shift=0.02, temporal_dim=dim, start=0)
        return cut
    return cut.attach_tensor("codes", array, frame_shift=0.02, temporal_dim=dim)


def shapes(cut):
    parts = cut, cut.truncate(offset=0.2, duration=0.5), cut.truncate(duration=0.1)
    return [part.load_codes().shape for part in parts]


with NumpyFilesWriter("arrays") as writer:
    found = {
        "in memory": (shapes(cut_with(codes, 1)), shapes(cut_with(codes.T, 0))),
        "in files": (shapes(cut_with(codes, 1, writer=writer)), shapes(cut_with(codes.T, 0, writer=writer))),
    }
for name, (last, first) in found.items():
    print(f"{name}: temporal_dim=1 {last}, temporal_dim=0 {first}")
    assert last == [(6, 100), (0, 100), (5, 100)], "temporal_dim=1 is heeded now"
    assert first == [(100, 6), (25, 6), (5, 6)], "the first dimension is cut otherwise now"
CutSet.from_cuts([cut_with(codes, 1)]).to_shar("shar", fields={"codes": "numpy"})
(cut,) = CutSet.from_shar(in_dir="shar")
print("in Shar:", shapes(cut))
assert shapes(cut) == [(6, 100), (0, 100), (5, 100)], "Shar heeds temporal_dim now"
P
echo "as described"
