#!/usr/bin/env bash
# gpu_bundle.sh ROOT BUILD_FOLDER: packs what a machine with a GPU needs to test and measure TRACER, and nothing that has
# to be fetched there: build/tracer-gpu-bundle.tar.gz, with run.sh inside. cuBLAS is the machine's own.
set -euo pipefail
root=$1 build=$2
limit_mib=64
data=${TRACER_TEST_DATA:-$root/../shared/data}
out=$root/build/tracer-gpu-bundle
rm -rf "$out"
mkdir -p "$out/lib" "$out/data"
for program in kernels_tests bench_gpu tracer torch_tests rival_encoder libtracer_torch.so; do
  install -m 755 "$build/$program" "$out/$program"
  strip "$out/$program"
done
# Every library that they name but glibc's, which is the machine's, and libtorch with what it brings.
for program in "$out"/kernels_tests "$out"/bench_gpu "$out"/tracer "$out"/torch_tests; do
  if readelf -d "$program" | grep -E 'NEEDED.*lib(cublas|cuda)'; then
    echo "gpu-bundle: ${program##*/} names a CUDA library, and would not start without it" >&2
    exit 1
  fi
  ldd "$program" | awk '$3 ~ /^\// {print $3}'
done | sort -u | grep -vE '/(libc|libm|libdl|librt|libpthread|ld-linux-x86-64)\.so|/lib(torch|c10|gomp|cudart|cupti)' | xargs -r -I{} cp -L {} "$out/lib/"
for file in banking77_train banking77_test; do
  if [[ -r $data/$file.npy ]]; then
    cp "$data/$file.jsonl" "$data/$file.npy" "$out/data/"
  else
    echo "gpu-bundle: no $file in $data: the bundle has no data, and will skip fit and route" >&2
  fi
done
# The encoder's shape and tokenizer; its weights alone would fill the bundle.
mkdir "$out/model"
cp -rL "$root"/.deps/models/all-MiniLM-L6-v2/. "$out/model/"
rm -f "$out/model/model.safetensors"
cp "$root/bench/encoder.py" "$out/"
# Python starts it, which must not get these libraries itself.
mv "$out/rival_encoder" "$out/lib/"
cat > "$out/rival_encoder" << 'END'
#!/usr/bin/env bash
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
export LD_LIBRARY_PATH=$here/lib TRACER_TORCH_MODULE=$here/libtracer_torch.so
exec "$here/lib/rival_encoder" "$@"
END
chmod 755 "$out/rival_encoder"
chmod -R u+w "$out"
cp "$root/cmake/gpu_run.sh" "$out/run.sh"
chmod 755 "$out/run.sh"
tar -C "$root/build" -czf "$out.tar.gz" "${out##*/}"
bytes=$(stat -c %s "$out.tar.gz")
echo "gpu-bundle: ${out#"$root"/}.tar.gz, $((bytes >> 20)) MiB (at most $limit_mib)"
((bytes <= limit_mib << 20))
