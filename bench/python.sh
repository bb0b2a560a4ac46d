#!/usr/bin/env bash
# Makes .deps/bench-python, the virtual environment of the rival benches, from bench/requirements.txt (80 MB, by sha256)
# and runs its Python with the arguments given. A second run finds it in place and touches no network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C

python=/usr/bin/python3
venv=.deps/bench-python
stamp=.deps/bench-python.stamp
# The stamp is written last: an environment that was cut off, or is of other pins or another interpreter, is made again.
wanted="$PWD $($python --version) $(sha256sum < bench/requirements.txt)"
if [[ ! -x $venv/bin/python || ! -f $stamp || $(< "$stamp") != "$wanted" ]]; then
  echo "bench: Python packages of the rivals into $venv" >&2
  mkdir -p .deps
  rm -rf "$venv" "$stamp"
  $python -m venv "$venv"
  if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --no-deps \
    --only-binary :all: -r bench/requirements.txt; then
    printf 'bench: %s\n' "missing Python packages (bench/requirements.txt)" \
      "pip could not fetch them (see above); without a network it cannot" >&2
    exit 1
  fi
  printf '%s\n' "$wanted" > "$stamp.new"
  mv "$stamp.new" "$stamp"
fi
if (($#)); then exec "$venv/bin/python" "$@"; fi
