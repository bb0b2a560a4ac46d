#!/usr/bin/env bash
# The README's first two commands as on a fresh machine: a Debian 12 with git and make added and nothing else, made by
# debootstrap in build/bare/root, and in it a clone of this repository's HEAD. Where packages come from (apt's sources,
# pip's configuration, proxies, certificates) is copied from this machine. Needs root, debootstrap and 8 GB.
# Usage: cmake/bare.sh [COMMAND...]     a command to run in the clone instead; CTEST_ARGS narrows the tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source=$PWD
root=$source/build/bare/root

fail() {
  printf 'bare: %s\n' "$@" >&2
  exit 1
}

((EUID == 0)) || fail "chroot and debootstrap need root: sudo make bare"
command -v debootstrap > /dev/null || fail "there is no debootstrap: apt-get install debootstrap"
# Everything runs in a mount and process namespace of its own: whatever ends this script, nothing of it stays mounted.
if [[ -z ${TRACER_BARE_INSIDE:-} ]]; then
  TRACER_BARE_INSIDE=1 exec unshare --mount --pid --fork --kill-child "$source/cmake/bare.sh" "$@"
fi

# apt's sources of Debian 12 here, one a line: URI and suite.
mapfile -t suites < <(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
  sed -n 's/^\([^ ]* bookworm[^ ]*\) main$/\1/p' | sort -u)
mirror=$(printf '%s\n' "${suites[@]}" | sed -n 's/ bookworm$//p' | head -n 1)
[[ -n $mirror ]] || fail "apt has no source of Debian 12 (bookworm main) here to take the system from"
eval "$(apt-config shell proxy Acquire::http::Proxy)"
if [[ -n ${proxy:-} && $proxy != DIRECT ]]; then export http_proxy=${http_proxy:-$proxy}; fi

rm -rf --one-file-system "$root"
mkdir -p "$root"
echo "bare: Debian 12 into ${root#"$source"/}"
debootstrap --variant=minbase --include=git,make bookworm "$root" "$mirror" > build/bare/debootstrap.log 2>&1 ||
  { tail -n 20 build/bare/debootstrap.log; fail "debootstrap failed (build/bare/debootstrap.log)"; }
printf 'deb %s main\n' "${suites[@]}" > "$root/etc/apt/sources.list"
apt-config dump | sed '/^Acquire::/!d; /^Acquire::IndexTargets/d' > "$root/etc/apt/apt.conf.d/99bare"
# copy FILE...: those that exist, to the same place.
copy() {
  local file
  for file in "$@"; do
    if [[ -e $file ]]; then install -D -m 644 "$file" "$root$file"; fi
  done
}
copy /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/apt/auth.conf /etc/apt/auth.conf.d/*
variables=()
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY \
  PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_DEFAULT_TIMEOUT; do
  if [[ -n ${!name:-} ]]; then variables+=("$name=${!name}"); fi
done
for file in "${HOME:-/root}/.config/pip/pip.conf" "${HOME:-/root}/.pip/pip.conf"; do
  if [[ -e $file ]]; then install -D -m 644 "$file" "$root/root${file#"${HOME:-/root}"}"; fi
done
# Not to the same place: a package that is installed later writes the system's own certificates there.
certificates=${PIP_CERT:-$(sed -n 's/^ *cert *= *//p' /etc/pip.conf 2> /dev/null || true)}
if [[ -n $certificates ]]; then
  install -m 644 "$certificates" "$root/root/certificates.pem"
  variables+=(PIP_CERT=/root/certificates.pem)
fi
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"

[[ -z $(git status --porcelain) ]] || echo "bare: what is not committed is not in the clone"
git -c advice.detachedHead=false clone --quiet --no-local "$source" "$root/tracer"
git -C "$root/tracer" -c advice.detachedHead=false checkout --quiet "$(git rev-parse HEAD)"
# run COMMAND...: in the clone, with nothing of this machine's environment.
run() {
  local start=$SECONDS result=ok code=0
  echo "bare: $*"
  chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
    LANG=C.UTF-8 "${variables[@]}" sh -c 'cd /tracer && exec "$@"' sh "$@" || { code=$? result=FAILED; }
  echo "bare: $* $result after $((SECONDS - start)) s"
  return $code
}
if (($#)); then
  run "$@"
else
  run make demo
  run make test ${CTEST_ARGS:+CTEST_ARGS="$CTEST_ARGS"}
fi
