#!/usr/bin/env bash
# Fetches the pinned dependencies: Debian packages (cmake/packages.txt) into the system, and the Python packages that
# tests use (cmake/requirements.txt, by sha256) into .deps/. A second run finds all in place and touches no network.
# Usage: cmake/bootstrap.sh [ci]     ci: also what .ci/run and check-format need.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C

fail() {
  printf 'bootstrap: %s\n' "$@" >&2
  exit 1
}

groups=" build ${1:-} "
declare -a names=()
declare -A pinned=()
while read -r group name version; do
  [[ $group != \#* && $groups == *" $group "* ]] || continue
  names+=("$name")
  pinned[$name]=$version
done < cmake/packages.txt

# Does the Debian version $2 ([epoch:]upstream[-revision]) belong to the pinned upstream version $1?
matches() {
  local upstream=${2#*:}
  [[ $upstream == "$1" || $upstream == "$1"[-+~.]* ]]
}

# Fills missing[] with the packages that are not installed; another version than the pinned one is an error.
find_missing() {
  local -A installed=()
  local name state version
  missing=()
  while read -r state name version; do
    [[ $state == ii ]] && installed[$name]=$version
  done < <(dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\n' "${names[@]}" 2> /dev/null || true)
  for name in "${names[@]}"; do
    version=${installed[$name]:-}
    if [[ -z $version ]]; then
      missing+=("$name")
    elif ! matches "${pinned[$name]}" "$version"; then
      fail "$name is installed as $version, but ${pinned[$name]} is pinned (cmake/packages.txt, Debian 12)"
    fi
  done
}

as_root() {
  if ((EUID == 0)); then
    DEBIAN_FRONTEND=noninteractive "$@"
  else
    sudo DEBIAN_FRONTEND=noninteractive "$@"
  fi
}

install_packages() {
  echo "bootstrap: installing ${missing[*]}"
  if ((EUID != 0)) && ! command -v sudo > /dev/null; then
    fail "missing packages: ${missing[*]}" "they need root: apt-get install --no-install-recommends ${missing[*]}"
  fi
  # A failed update is not yet an error: the lists in place may do.
  as_root apt-get update -q || true
  local name candidate
  for name in "${missing[@]}"; do
    candidate=$(apt-cache policy "$name" | sed -n 's/^  Candidate: //p')
    if [[ -z $candidate || $candidate == "(none)" ]]; then
      fail "missing packages: ${missing[*]}" "apt knows no $name: is there a network, and is this Debian 12?"
    elif ! matches "${pinned[$name]}" "$candidate"; then
      fail "missing packages: ${missing[*]}" \
        "apt offers $name $candidate, but ${pinned[$name]} is pinned (cmake/packages.txt, Debian 12)"
    fi
  done
  # dpkg --configure first: an install that was cut off leaves packages unpacked.
  as_root dpkg --configure -a || true
  as_root apt-get install -q -y --no-install-recommends "${missing[@]}" || true
  find_missing
  if ((${#missing[@]})); then
    fail "missing packages: ${missing[*]}" "apt-get could not install them (see above); without a network it cannot"
  fi
}

find_missing
if ((${#missing[@]})); then install_packages; fi

# The stamp is written last: a virtual environment that was cut off, or is of other pins or another interpreter, is
# made again.
python=/usr/bin/python3
venv=.deps/python
stamp=.deps/python.stamp
wanted="$PWD $($python --version) $(sha256sum < cmake/requirements.txt)"
if [[ ! -x $venv/bin/python || ! -f $stamp || $(< "$stamp") != "$wanted" ]]; then
  echo "bootstrap: Python packages of the tests into $venv"
  rm -rf "$venv" "$stamp"
  $python -m venv "$venv"
  if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --no-deps \
    --only-binary :all: -r cmake/requirements.txt; then
    mapfile -t wheels < <(sed -n 's/^\([a-z0-9_-]*==[^ ]*\).*/\1/p' cmake/requirements.txt)
    fail "missing Python packages: ${wheels[*]}" "pip could not fetch them (see above); without a network it cannot"
  fi
  printf '%s\n' "$wanted" > "$stamp.new"
  mv "$stamp.new" "$stamp"
fi
