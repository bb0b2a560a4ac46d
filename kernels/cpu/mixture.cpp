#include "kernels/cpu/mixture.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <vector>

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/row_features.h"

namespace tracer::cpu {
namespace {

constexpr int64_t kRowBlock = 48;
constexpr int64_t kReadAhead = 16;     // see IsaKernels::softmax_row
constexpr float kRemovedBias = -1e4f;  // at or below: the class is removed

Status check_neighbours(const MixtureInputs& in, int64_t rows, int64_t classes) {
  if (in.neighbour.cols != in.similarity.cols ||
      (in.neighbour.cols > 0 && (in.neighbour.rows != rows || in.similarity.rows != rows))) {
    return internal_error("mixture_features: neighbour and similarity must be n x k");
  }
  for (const int32_t label : in.reference_label) {
    if (label < 0 || label >= classes) return internal_error("mixture_features: a reference label is out of range");
  }
  const int32_t references = static_cast<int32_t>(in.reference_label.size());
  for (int64_t i = 0; in.neighbour.cols > 0 && i < rows; ++i) {
    for (int64_t j = 0; j < in.neighbour.cols; ++j) {
      if (in.neighbour(i, j) >= references) return internal_error("mixture_features: a neighbour is out of range");
    }
  }
  return {};
}

RowVote vote_of(const MixtureInputs& in, int64_t row) {
  const size_t k = static_cast<size_t>(in.neighbour.cols);
  if (k == 0) return {{}, {}, in.reference_label, in.vote_weight, in.vote_sharpness};
  return {
      {in.neighbour.row(row), k}, {in.similarity.row(row), k}, in.reference_label, in.vote_weight, in.vote_sharpness};
}

// Scratch of one worker, cut from a common buffer.
struct RowScratch {
  explicit RowScratch(int64_t classes) : classes_floats(round_up(classes, 16) + kReadAhead) {}
  int64_t classes_floats;
  int64_t floats() const { return 4 * classes_floats; }
  float* softmax(float* base) const { return base; }
  float* mixture(float* base) const { return base + classes_floats; }
  double* votes(float* base) const { return reinterpret_cast<double*>(base + 2 * classes_floats); }
};

}  // namespace

Status mixture_features(const Context& context, const MixtureInputs& in, std::span<DecisionFeatures> out,
                        HostMatrix<float> probability) {
  const int64_t n = in.x.rows, d = in.x.cols, classes = in.w.cols;
  if (in.w.rows != d || static_cast<int64_t>(in.b.size()) != classes || classes < 1) {
    return internal_error("mixture_features: w must be d x C, b C, C >= 1");
  }
  if (static_cast<int64_t>(out.size()) != n) return internal_error("mixture_features: out must have n entries");
  if (probability.data != nullptr && (probability.rows != n || probability.cols != classes)) {
    return internal_error("mixture_features: probability must be n x C");
  }
  TRACER_RETURN_IF_ERROR(check_neighbours(in, n, classes));
  if (n == 0) return {};

  const IsaKernels& isa = *context.isa;
  std::vector<float> bias(static_cast<size_t>(round_up(classes, 16) + kReadAhead), 0.0f);
  for (int64_t c = 0; c < classes; ++c) {
    const float b = in.b[static_cast<size_t>(c)];
    bias[static_cast<size_t>(c)] = b <= kRemovedBias ? -std::numeric_limits<float>::infinity() : b;
  }
  const Scratch weights = context.scratch->take(packed_b_size(isa, d, classes));
  pack_b(context, Trans::kNo, in.w, d, classes, weights.data());

  const RowScratch row_scratch(classes);
  const int64_t stride = row_scratch.classes_floats;
  const int64_t pack_floats = round_up(kRowBlock * d, 16);
  const int64_t floats = pack_floats + kRowBlock * stride + row_scratch.floats();
  const Scratch scratch = context.scratch->take(floats * context.pool->threads());
  run(*context.pool, ceil_div(n, kRowBlock), [&](int64_t block, int worker) {
    float* packed_x = scratch.data() + worker * floats;
    float* logits = packed_x + pack_floats;
    float* base = logits + kRowBlock * stride;
    const int64_t first = block * kRowBlock;
    const int64_t rows = std::min(kRowBlock, n - first);
    pack_a_rows(isa, Trans::kNo, in.x, first, rows, d, packed_x);
    if (d == 0) std::fill_n(logits, rows * stride, 0.0f);
    multiply_packed(isa, rows, classes, d, packed_x, weights.data(), nullptr, logits, stride);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t row = first + r;
      float* softmax = logits + r * stride;
      isa.softmax_row(softmax, bias.data(), classes, softmax);
      float* p = row_scratch.mixture(base);
      out[static_cast<size_t>(row)] = row_features(isa, classes, softmax, vote_of(in, row), row_scratch.votes(base), p);
      if (probability.data != nullptr) std::copy_n(p, classes, probability.row(row));
    }
  });
  return {};
}

Status mixture_features_from(const Context& context, HostMatrix<const float> softmax_probability,
                             const MixtureInputs& in, std::span<DecisionFeatures> out) {
  const int64_t n = softmax_probability.rows, classes = softmax_probability.cols;
  if (classes < 1) return internal_error("mixture_features_from: C >= 1");
  if (static_cast<int64_t>(out.size()) != n) return internal_error("mixture_features_from: out must have n entries");
  TRACER_RETURN_IF_ERROR(check_neighbours(in, n, classes));
  const RowScratch row_scratch(classes);
  const Scratch scratch = context.scratch->take(row_scratch.floats() * context.pool->threads());
  run(*context.pool, ceil_div(n, kRowBlock), [&](int64_t block, int worker) {
    float* base = scratch.data() + worker * row_scratch.floats();
    for (int64_t row = block * kRowBlock; row < std::min(n, (block + 1) * kRowBlock); ++row) {
      out[static_cast<size_t>(row)] =
          row_features(*context.isa, classes, softmax_probability.row(row), vote_of(in, row), row_scratch.votes(base),
                       row_scratch.mixture(base));
    }
  });
  return {};
}

}  // namespace tracer::cpu
