#!/usr/bin/env bash
# ray 2.60.0, CPython 3.11, Linux: ray.init(address="127.0.0.1:1"), where nobody listens (the connection is refused at once), neither
# returns nor raises for minutes: it was still waiting after 450 s, with a warning of its C++ half now and then ("Failed to
# connect ... within 5 seconds", even "Timed out while waiting for GCS", after which it goes on). The call takes no limit, so
# that a slip in an address stops a program for good. A plain socket knows it in a millisecond: ask one first.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --disable-pip-version-check "ray==2.60.0"
export HOME="$work" RAY_USAGE_STATS_ENABLED=0
cat > "$work/wait.py" <<'P'
import sys
import time

import ray

print("imported", flush=True)
began = time.monotonic()
try:
    ray.init(address="127.0.0.1:1", log_to_driver=False)
except BaseException as error:
    print(f"{type(error).__name__} after {time.monotonic() - began:.0f} s", flush=True)
P
python3 - <<'P'
import socket
try:
    socket.create_connection(("127.0.0.1", 1), timeout=5)
except ConnectionRefusedError:
    print("a socket: refused at once")
P
code=0
timeout -s KILL "${SECONDS_TO_WAIT:-90}" "$work/env/bin/python" "$work/wait.py" >"$work/out" 2>&1 || code=$?
tail -n 5 "$work/out"
[[ $code == 137 ]] || { echo "ray.init gives up by itself now"; exit 1; }
grep -q imported "$work/out" || { echo "it did not come as far as ray.init"; exit 1; }
echo "still waiting after ${SECONDS_TO_WAIT:-90} s: as described"
