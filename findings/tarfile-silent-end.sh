#!/usr/bin/env bash
# CPython 3.11's tarfile, and with it webdataset 1.0.2: a tar whose header of any member but the first is damaged or cut is read up to
# there as if that were its end. No error, no warning: of five members, with one bit of the third header wrong, two are there. GNU tar
# says of the same file "Skipping to next header", gives the other four, and ends with 2. Whoever needs to know can look at the block
# where the TarFile stopped (`offset`): it is zeros at a true end.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --disable-pip-version-check "webdataset==1.0.2" "numpy>=2,<3"
cd "$work" && "$work/env/bin/python" - <<'P'
import io
import sys
import tarfile
import warnings

import webdataset

warnings.simplefilter("error", UserWarning)
with tarfile.open("whole.tar", "w") as archive:
    for k in range(5):
        member = tarfile.TarInfo(f"{k}.txt")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"hello"))
whole = open("whole.tar", "rb").read()
third = 2 * 1024
hurt = bytearray(whole)
hurt[third + 50] ^= 1
broken = {"damaged.tar": bytes(hurt), "cut-in-header.tar": whole[: third + 100], "cut-before-header.tar": whole[:third]}
found = {}
for name, data in {"whole.tar": whole, **broken}.items():
    open(name, "wb").write(data)
    with tarfile.open(name) as archive:
        by_tarfile = len(list(archive))
        archive.fileobj.seek(archive.offset)
        at_end = archive.fileobj.read(512) == bytes(512)
    found[name] = by_tarfile, len(list(webdataset.WebDataset(name, shardshuffle=False))), at_end
print(found)
wanted = {"whole.tar": (5, 5, True), **dict.fromkeys(broken, (2, 2, False))}
sys.exit(found != wanted)
P
set +e
LC_ALL=C tar -tf damaged.tar > listed 2> said
code=$?
set -e
cat said
[ "$code" = 2 ] && [ "$(wc -l < listed)" = 4 ] && grep -q "Skipping to next header" said
