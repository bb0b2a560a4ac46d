#include "kernels/cpu/linear_head.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace tracer::cpu {
namespace {

// Two rows of bfloat16 in each 32 bits; 0 beyond the last one.
void pair_rows(HostMatrix<const float> w, int64_t pair, float* out) {
  for (int64_t c = 0; c < w.cols; ++c) {
    const auto bits = [&](int64_t k) { return k < w.rows ? uint32_t{to_bfloat16(w(k, c)).bits} : 0u; };
    const uint32_t low = bits(2 * pair), high = bits(2 * pair + 1);
    const uint32_t both = low | high << 16;
    std::memcpy(out + c, &both, sizeof(both));
  }
}

}  // namespace

Status CpuLinearHead::prepare(const Context& context, std::span<const LinearMember> members, Storage storage) {
  if (members.empty()) return internal_error("prepare_head: at least one member");
  kernels_ = context.isa->head;
  d_ = members[0].w.rows;
  classes_ = members[0].w.cols;
  storage_ = storage;
  if (classes_ < 1) return internal_error("prepare_head: at least one class");
  pairs_ = storage == Storage::kBFloat16 && kernels_->logits_pairs != nullptr;
  const int64_t count = static_cast<int64_t>(members.size());
  const int64_t group = pairs_ ? kernels_->pairs_group : kernels_->group, together = pairs_ ? kernels_->together : 1;
  inner_ = pairs_ ? round_up(ceil_div(d_, 2), together) : d_;
  panels_ = Matrix<float>(count, inner_ * round_up(classes_, group));
  bias_ = Matrix<float>(count, classes_);
  Matrix<float> row(1, classes_);
  for (int64_t m = 0; m < count; ++m) {
    const LinearMember& member = members[static_cast<size_t>(m)];
    if (member.w.rows != d_ || member.w.cols != classes_ || static_cast<int64_t>(member.b.size()) != classes_) {
      return internal_error("prepare_head: every w must be d x C, every b C");
    }
    bool stays = false;
    for (int64_t c = 0; c < classes_; ++c) {
      const float b = member.b[static_cast<size_t>(c)];
      stays = stays || b > kRemovedClassBias;
      bias_(m, c) = b <= kRemovedClassBias ? -std::numeric_limits<float>::infinity() : b;
    }
    if (!stays) return internal_error("prepare_head: a member without classes");
    weight_.push_back(member.weight);
    for (int64_t k = 0; k < inner_; ++k) {
      if (pairs_) {
        pair_rows(member.w, k, row.data());
      } else {
        std::copy_n(member.w.row(k), classes_, row.data());
        for (int64_t c = 0; storage == Storage::kBFloat16 && c < classes_; ++c) {
          row(0, c) = to_float(to_bfloat16(row(0, c)));
        }
      }
      for (int64_t c = 0; c < classes_; c += group) {
        float* out = panels_.row(m) + c * inner_ + k / together * group * together + k % together;
        for (int64_t i = 0; i < std::min(group, classes_ - c); ++i) out[i * together] = row(0, c + i);
      }
    }
  }
  return {};
}

}  // namespace tracer::cpu
