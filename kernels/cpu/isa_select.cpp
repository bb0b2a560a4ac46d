#include "kernels/cpu/isa_select.h"

#include "kernels/cpu/tiles.h"

namespace tracer::cpu {

std::vector<const IsaKernels*> available_isas() {
  std::vector<const IsaKernels*> isas;
#if defined(__x86_64__)
  // The processor is asked first: even the function that returns the table is compiled for that instruction set.
  const auto add = [&](const IsaKernels* kernels) {
    if (kernels != nullptr) isas.push_back(kernels);
  };
  const bool vnni = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vnni");
  if (vnni && tiles_may_be_used(TileProducts::kInt8)) add(avx512_amx_kernels());
  if (vnni && __builtin_cpu_supports("avx512bf16")) add(avx512_bf16_kernels());
  if (vnni) add(avx512_vnni_kernels());
  if (__builtin_cpu_supports("avx512f")) add(avx512_kernels());
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) add(avx2_kernels());
#endif
  isas.push_back(portable_kernels());
  return isas;
}

Result<const IsaKernels*> select_isa(std::string_view name) {
  const std::vector<const IsaKernels*> isas = available_isas();
  if (name.empty() || name == "auto") return isas.front();
  std::string have;
  for (const IsaKernels* isa : isas) {
    if (name == isa->name) return isa;
    have += (have.empty() ? "" : ", ") + std::string(isa->name);
  }
  const bool known =
      name == "avx512_amx" || name == "avx512_bf16" || name == "avx512_vnni" || name == "avx512" || name == "avx2";
  return device_error("instruction set '" + std::string(name) + "' " +
                      (known ? "is not available on this processor" : "is unknown") + "; available: " + have);
}

}  // namespace tracer::cpu
