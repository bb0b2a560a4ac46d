#include "host/encoder/local_text.h"

#include <algorithm>
#include <cstdlib>
#include <utility>
#include <vector>

#include "host/io/sha256.h"
#include "kernels/cpu/tiles.h"

namespace tracer {
namespace {

// Raised when TRACER itself computes vectors differently.
constexpr char kArithmetic[] = "local vectors 1";

std::vector<VectorKey> keys_of(const std::string& made_by, std::span<const std::string> texts) {
  io::Sha256 digest;
  for (const std::string& text : texts) {
    digest.update(std::to_string(text.size()) + ":");
    digest.update(text);
  }
  const std::string group = digest.hex();
  std::vector<VectorKey> keys;
  for (size_t i = 0; i < texts.size(); ++i) keys.push_back(vector_key({made_by, group, std::to_string(i)}));
  return keys;
}

}  // namespace

LocalText::LocalText(TextEncoder encoder, std::string prompt, std::string made_by, std::shared_ptr<VectorCache> cache)
    : encoder_(std::move(encoder)),
      prompt_(std::move(prompt)),
      made_by_(kArithmetic + std::move(made_by)),
      cache_(std::move(cache)) {}

Status LocalText::encode(std::span<const std::string> texts, HostMatrix<float> out,
                         const std::function<void(int64_t)>& done) {
  const auto n = static_cast<int64_t>(texts.size());
  std::vector<VectorKey> keys;
  if (cache_ && n > 0) {
    keys = keys_of(made_by_, texts);
    std::vector<bool> found;
    cache_->get(keys, out, found);
    if (std::find(found.begin(), found.end(), false) == found.end()) {
      counts_.found += n;
      if (done) done(n);
      return {};
    }
  }
  std::vector<std::string> prompted;
  if (!prompt_.empty())
    for (const std::string& text : texts) prompted.push_back(prompt_ + text);
  TRACER_RETURN_IF_ERROR(encoder_.encode(prompt_.empty() ? texts : prompted, out, done));
  counts_.made += n;
  if (cache_ && n > 0) cache_->put(keys, out);
  return {};
}

std::string arithmetic_here(std::string_view torch) {
  std::string out = "torch " + std::string(torch) + " tiles 2";  // raised when products on tiles change
  if (const char* isa = std::getenv("TRACER_ISA"); isa != nullptr) out += std::string(" ") + isa;
#if defined(__x86_64__)
  const std::pair<bool, const char*> sets[] = {{__builtin_cpu_supports("avx2") != 0, " avx2"},
                                               {__builtin_cpu_supports("fma") != 0, " fma"},
                                               {__builtin_cpu_supports("avx512f") != 0, " avx512f"},
                                               {__builtin_cpu_supports("avx512vnni") != 0, " avx512vnni"},
                                               {__builtin_cpu_supports("avx512bf16") != 0, " avx512bf16"},
                                               {tiles_may_be_used(TileProducts::kBfloat16), " amxbf16"}};
  for (const auto& [there, name] : sets)
    if (there) out += name;
  out += __builtin_cpu_is("amd") != 0 ? " amd" : __builtin_cpu_is("intel") != 0 ? " intel" : "";
#endif
  return out;
}

}  // namespace tracer
