#!/usr/bin/env bash
# What the page's tests need: Playwright (requirements.txt) in the tests' Python environment, and Debian's chromium where no
# browser is found. The browser's version is not pinned: Debian serves the newest one alone.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
"$here/../../.deps/python/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --require-hashes \
  --no-deps --only-binary :all: -r "$here/requirements.txt"
for name in chromium chromium-browser google-chrome; do
  if command -v "$name" > /dev/null; then exit 0; fi
done
[[ -z ${TRACER_TEST_CHROMIUM:-} ]] || exit 0
as_root=()
((EUID == 0)) || as_root=(sudo)
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium
