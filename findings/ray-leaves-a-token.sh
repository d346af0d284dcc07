#!/usr/bin/env bash
# ray 2.60.0, CPython 3.11, Linux: ray.init() with no settings at all makes a secret and leaves it in the home folder,
# ~/.ray/auth_token (64 characters), which it then asks every caller for. RAY_AUTH_MODE=disabled: no file.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --disable-pip-version-check "ray==2.60.0"
export RAY_USAGE_STATS_ENABLED=0
start() {  # home
  mkdir -p "$1"
  HOME="$1" "$work/env/bin/python" -c 'import ray; ray.init(num_cpus=1, object_store_memory=100 << 20, include_dashboard=False, log_to_driver=False); ray.shutdown()' \
    >"$1/out" 2>&1 || { tail -3 "$1/out"; exit 1; }
}
start "$work/plain"
RAY_AUTH_MODE=disabled start "$work/off"
size=$(stat -c '%s' "$work/plain/.ray/auth_token" 2>/dev/null || echo none)
echo "as it comes: .ray/auth_token of $size bytes; with RAY_AUTH_MODE=disabled: $(ls -A "$work/off/.ray" 2>/dev/null || echo nothing)"
[[ $size == 64 ]] || { echo "no token is left any more"; exit 1; }
[[ ! -e "$work/off/.ray/auth_token" ]] || { echo "the variable does not help any more"; exit 1; }
echo "as described"
