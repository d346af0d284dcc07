#!/usr/bin/env bash
# onnxruntime 1.29.0 and later (seen to 1.32.0), Linux x86-64 wheels, CPython 3.11: `import onnxruntime`, before any session
# is made, starts a thread of its own, keeps a device id and a database of usage events in the user's cache folder
# (Microsoft/DeveloperTools/.onnxruntime) and a file .ses in the temporary folder. 1.28.0 did none of that. The Python call
# disable_telemetry_events() comes too late: it can only follow the import. ORT_DISABLE_TELEMETRY=1 in the environment while the
# import lasts prevents all of it, and may be taken away right after. Seen (threads; files left):
#   1.28.0            no .ses, no cache
#   1.29.0, 1.32.0    one thread more than with the variable; .ses, deviceid, onnxruntime.db
#   1.32.0 with ORT_DISABLE_TELEMETRY=1 during the import alone: no .ses, no cache
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
left() {  # version, value of the variable while importing or nothing -> files left behind, and threads
  local home="$work/home"
  rm -rf "$home" && mkdir -p "$home/tmp"
  HOME="$home" XDG_CACHE_HOME="$home/cache" TMPDIR="$home/tmp" PYTHONPATH="$work/$1" "$work/env/bin/python" - "${2:-}" <<'P'
import os, sys
os.environ.pop("ORT_DISABLE_TELEMETRY", None)
if sys.argv[1]:
    os.environ["ORT_DISABLE_TELEMETRY"] = sys.argv[1]
import onnxruntime
os.environ.pop("ORT_DISABLE_TELEMETRY", None)
print(onnxruntime.__version__, "threads:", len(os.listdir("/proc/self/task")), end="; ")
P
  (cd "$home" && find . -type f \( -name .ses -o -name deviceid -o -name onnxruntime.db \) -printf '%f\n' | sort | tr '\n' ' ')
  echo
}
# Continuous integration is recognised by its variables, and then nothing is kept.
for name in $(compgen -e | grep -E '^(CI|TF_BUILD|GITHUB_|GITLAB_|JENKINS_|BUILD_|TRAVIS|CIRCLECI|APPVEYOR|TEAMCITY)' || true); do unset "$name"; done
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --disable-pip-version-check "numpy==2.4.*" || "$work/env/bin/pip" install -q "numpy<3"
for version in 1.28.0 1.29.0 1.32.0; do
  "$work/env/bin/pip" install -q --disable-pip-version-check --no-deps --target "$work/$version" "onnxruntime==$version"
done
"$work/env/bin/pip" install -q --disable-pip-version-check protobuf flatbuffers packaging
before=$(left 1.28.0) first=$(left 1.29.0) last=$(left 1.32.0) off=$(left 1.32.0 1)
printf '%s\n' "$before" "$first" "$last" "with the variable: $off"
grep -q 'ses' <<<"$before" && { echo "1.28.0 has changed"; exit 1; }
for found in "$first" "$last"; do
  [[ "$found" == *".ses "*"deviceid "*"onnxruntime.db"* ]] || { echo "an import leaves something else behind now: $found"; exit 1; }
done
threads() { sed -E 's/.*threads: ([0-9]+).*/\1/' <<<"$1"; }
[[ "$off" == *"; " || "$off" == *";" ]] || [[ "$off" != *ses* ]] || { echo "the variable does not help any more: $off"; exit 1; }
[[ "$off" != *deviceid* && $(threads "$off") -lt $(threads "$last") ]] || { echo "the variable does not help any more: $off"; exit 1; }
echo "as described"
