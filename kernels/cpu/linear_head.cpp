// Rows go through in blocks, a row in each lane (kernels/cpu/head_kernels.h): product and softmax of a block are done
// while its logits are in the first or second level of cache.
#include "kernels/cpu/linear_head.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

namespace tracer::cpu {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

class CpuLinearHead final : public LinearHead {
 public:
  CpuLinearHead(const HeadKernels& kernels, HostMatrix<const float> w, std::vector<float> bias)
      : kernels_(kernels),
        d_(w.rows),
        classes_(w.cols),
        panels_(1, w.rows * round_up(w.cols, kernels.group)),
        bias_(std::move(bias)) {
    const int64_t group = kernels.group;
    for (int64_t k = 0; k < d_; ++k) {
      for (int64_t c = 0; c < classes_; c += group) {
        std::copy_n(w.row(k) + c, std::min(group, classes_ - c), panels_.data() + c * d_ + k * group);
      }
    }
  }

  int64_t dimension() const override { return d_; }
  int64_t classes() const override { return classes_; }
  const HeadKernels& kernels() const { return kernels_; }
  const float* panels() const { return panels_.data(); }  // as HeadKernels::logits wants them
  const float* bias() const { return bias_.data(); }      // -inf for removed classes

 private:
  const HeadKernels& kernels_;
  int64_t d_, classes_;
  Matrix<float> panels_;
  std::vector<float> bias_;
};

// The working memory of a block: its rows turned into lanes, and its logits, which become probabilities.
int64_t rows_floats(const CpuLinearHead& head) { return round_up(head.dimension() * head.kernels().width, 16); }
int64_t block_floats(const CpuLinearHead& head) {
  return rows_floats(head) + round_up(head.classes() * head.kernels().width, 16);
}

// The rows [first, first + rows) of x, in the memory of one block.
void block_probabilities(const Context& context, HostMatrix<const float> x, const CpuLinearHead& head, int64_t first,
                         int64_t rows, float* memory, HostMatrix<float> out) {
  const HeadKernels& kernels = head.kernels();
  const int64_t width = kernels.width, classes = head.classes(), vectors = ceil_div(rows, kernels.lanes);
  float* packed = memory;
  float* z = memory + rows_floats(head);
  context.isa->pack_b(true, x.row(first), x.stride, rows, x.cols, packed);
  // The rows of the block that follows, where they lie close enough together to be fetched as one piece.
  ReadAhead ahead;
  const int64_t next = std::min(width, x.rows - first - rows);
  if (next > 0 && x.stride < 2 * x.cols) {
    ahead = {reinterpret_cast<uintptr_t>(x.row(first + rows)),
             next * x.stride * static_cast<int64_t>(sizeof(float)) / kLineBytes};
  }
  kernels.logits(classes, vectors, x.cols, head.panels(), packed, head.bias(), z, ahead);
  alignas(64) float best[kMaxHeadWidth], second[kMaxHeadWidth], scale[kMaxHeadWidth];
  alignas(64) int32_t label[kMaxHeadWidth] = {};
  std::fill_n(best, width, kLowest);
  std::fill_n(second, width, kLowest);
  kernels.best_two(classes, vectors, 0, z, best, second, label);
  kernels.exponentials(classes, vectors, z, best, z, scale);
  for (int64_t l = 0; l < vectors * kernels.lanes; ++l) scale[l] = 1.0f / scale[l];
  kernels.scale(classes, vectors, z, scale, z);
  for (int64_t r = 0; r < rows; ++r) {
    float* p = out.row(first + r);
    for (int64_t c = 0; c < classes; ++c) p[c] = z[c * width + r];
  }
}

}  // namespace

Result<std::unique_ptr<LinearHead>> prepare_head(const Context& context, HostMatrix<const float> w,
                                                 std::span<const float> b) {
  if (w.cols < 1) return internal_error("prepare_head: at least one class");
  if (static_cast<int64_t>(b.size()) != w.cols) return internal_error("prepare_head: w must be d x C, b C");
  std::vector<float> bias(b.begin(), b.end());
  for (float& v : bias) v = v <= kRemovedBias ? kLowest : v;
  if (*std::max_element(bias.begin(), bias.end()) == kLowest) {
    return internal_error("prepare_head: every class is removed");
  }
  return std::unique_ptr<LinearHead>(std::make_unique<CpuLinearHead>(*context.isa->head, w, std::move(bias)));
}

Status head_probabilities(const Context& context, HostMatrix<const float> x, const LinearHead& any_head,
                          HostMatrix<float> out) {
  const auto* head = dynamic_cast<const CpuLinearHead*>(&any_head);
  if (head == nullptr || &head->kernels() != context.isa->head) {
    return internal_error("head_probabilities: the head was made by another backend");
  }
  if (x.cols != head->dimension()) return internal_error("head_probabilities: rows and head differ in width");
  if (out.rows != x.rows || out.cols != head->classes()) {
    return internal_error("head_probabilities: the output must be n x C");
  }
  if (x.rows == 0) return {};
  const int64_t width = head->kernels().width, floats = block_floats(*head);
  const Scratch scratch = context.scratch->take(floats * context.pool->threads());
  run(*context.pool, ceil_div(x.rows, width), [&](int64_t block, int worker) {
    const int64_t first = block * width;
    block_probabilities(context, x, *head, first, std::min(width, x.rows - first), scratch.data() + worker * floats,
                        out);
  });
  return {};
}

}  // namespace tracer::cpu
