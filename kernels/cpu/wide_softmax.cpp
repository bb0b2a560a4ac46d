// The active models' columns are gathered side by side, so that forward and backward are one wide product each:
//   forward   in blocks of rows: logits = X W stay in the second-level cache, become D = (p - onehot) / n_m there, and
//             are written once, straight into the packed layout that the backward product reads
//   backward  grad = X' D, in parallel over tiles of grad, the rows in blocks of kKBlock in ascending order
// Where all rows of a block are held out by all models of a panel of columns, their part of D is zero and both products
// skip it; models that hold out the same fold stand side by side for that. Skipping zeros does not change a byte.
// Sums over rows (loss, grad_b) are kept by row block and added in the order of the blocks.
#include "kernels/cpu/wide_softmax.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "kernels/cpu/gemm.h"
#include "kernels/wide_softmax_check.h"

namespace tracer::cpu {
namespace {

constexpr int64_t kRowBlock = 48;
static_assert(kKBlock % kRowBlock == 0, "a row block lies in one block of the packed D");
constexpr int64_t kReadAhead = 16;  // see IsaKernels::softmax_row

struct Call {
  const Context& context;
  const WideSoftmaxProblem& problem;
  HostMatrix<const float> w;
  std::span<const float> b;
  std::span<double> loss;
  HostMatrix<float> grad_w;
  std::span<float> grad_b;
  HostMatrix<float> held_out_probability;
};

// The models computed in one pass, and what they need beside their weights.
struct Group {
  std::vector<int64_t> models;
  std::vector<float> scale;  // 1 / n_m
  std::vector<float> bias;   // gathered; -inf for removed classes
  int64_t cols = 0;
};

Group make_group(const Call& call, std::span<const int64_t> models, int64_t padding) {
  const WideSoftmaxProblem& p = call.problem;
  Group g;
  g.models.assign(models.begin(), models.end());
  g.cols = static_cast<int64_t>(models.size()) * p.classes;
  g.bias.assign(static_cast<size_t>(g.cols + padding), 0.0f);
  for (size_t a = 0; a < models.size(); ++a) {
    const int64_t m = models[a];
    int64_t rows = 0;
    for (int64_t i = 0; i < p.x.rows; ++i) rows += learns_from(p, m, i);
    g.scale.push_back(rows > 0 ? static_cast<float>(1.0 / static_cast<double>(rows)) : 0.0f);
    for (int64_t c = 0; c < p.classes; ++c) {
      g.bias[a * static_cast<size_t>(p.classes) + static_cast<size_t>(c)] =
          p.class_seen(m, c) != 0 ? call.b[static_cast<size_t>(m * p.classes + c)]
                                  : -std::numeric_limits<float>::infinity();
    }
  }
  return g;
}

// One flag for each block of `block_rows` rows and each panel of columns: does any model in the panel learn from any
// row of the block?
std::vector<uint8_t> used_panels(const Call& call, const Group& g, int64_t block_rows) {
  const WideSoftmaxProblem& p = call.problem;
  const int64_t nr = call.context.isa->nr;
  const int64_t panels = ceil_div(g.cols, nr);
  const int64_t n = p.x.rows;
  std::vector<uint8_t> used(static_cast<size_t>(ceil_div(n, block_rows) * panels), 0);
  for (int64_t first = 0; first < n; first += block_rows) {
    uint8_t* flags = used.data() + first / block_rows * panels;
    const int64_t last = std::min(n, first + block_rows);
    for (size_t a = 0; a < g.models.size(); ++a) {
      int64_t row = first;
      while (row < last && !learns_from(p, g.models[a], row)) ++row;
      if (row == last) continue;
      const int64_t col = static_cast<int64_t>(a) * p.classes;
      std::fill(flags + col / nr, flags + ceil_div(col + p.classes, nr), uint8_t{1});
    }
  }
  return used;
}

void pack_weights(const Call& call, const Group& g, float* packed) {
  const int64_t classes = call.problem.classes;
  const int64_t d = call.w.rows;
  const int64_t padded = round_up(g.cols, call.context.isa->nr);
  const int64_t threads = call.context.pool->threads();
  const Scratch rows = call.context.scratch->take(padded * threads);
  run(*call.context.pool, d, [&](int64_t k, int worker) {
    float* row = rows.data() + worker * padded;
    std::fill(row + g.cols, row + padded, 0.0f);
    for (size_t a = 0; a < g.models.size(); ++a) {
      std::memcpy(row + static_cast<int64_t>(a) * classes, call.w.row(k) + g.models[a] * classes,
                  static_cast<size_t>(classes) * sizeof(float));
    }
    place_b_row(*call.context.isa, row, k, d, g.cols, packed);
  });
}

// Turns the logits of one row into its row of D; adds its losses.
void differentiate_row(const Call& call, const Group& g, int64_t row, float* z, double* loss) {
  const WideSoftmaxProblem& p = call.problem;
  const IsaKernels& isa = *call.context.isa;
  const int64_t classes = p.classes;
  for (size_t a = 0; a < g.models.size(); ++a) {
    float* zm = z + static_cast<int64_t>(a) * classes;
    const float* bias = g.bias.data() + static_cast<int64_t>(a) * classes;
    if (learns_from(p, g.models[a], row)) {
      loss[a] += isa.cross_entropy_row(zm, bias, classes, p.label[static_cast<size_t>(row)], g.scale[a]);
      continue;
    }
    if (call.held_out_probability.data != nullptr) {
      isa.softmax_row(zm, bias, classes, zm);
      std::memcpy(call.held_out_probability.row(row), zm, static_cast<size_t>(classes) * sizeof(float));
    }
    std::fill_n(zm, classes, 0.0f);
  }
}

void compute_group(const Call& call, const Group& g) {
  const WideSoftmaxProblem& p = call.problem;
  const Context& context = call.context;
  const IsaKernels& isa = *context.isa;
  const int64_t n = p.x.rows, d = p.x.cols, cols = g.cols;
  const int64_t models = static_cast<int64_t>(g.models.size());
  const int64_t padded = round_up(cols, isa.nr);
  const int64_t stride = padded + kReadAhead;
  const int64_t blocks = ceil_div(n, kRowBlock);
  const int64_t threads = context.pool->threads();
  const bool gradient = call.grad_w.data != nullptr;

  const Scratch weights = context.scratch->take(packed_b_size(isa, d, cols));
  pack_weights(call, g, weights.data());
  const Scratch delta = context.scratch->take(gradient ? packed_b_size(isa, n, cols) : 0);
  const Scratch bias_part = context.scratch->take(gradient ? blocks * cols : 0);
  // Held-out probabilities need the logits that the loss does not.
  const bool all_logits = call.held_out_probability.data != nullptr;
  const std::vector<uint8_t> used_forward = all_logits ? std::vector<uint8_t>() : used_panels(call, g, kRowBlock);
  std::vector<double> loss_part(static_cast<size_t>(blocks * models), 0.0);
  {
    const int64_t pack_floats = kRowBlock * d;
    const int64_t floats = round_up(pack_floats + kRowBlock * stride, 16);
    const Scratch scratch = context.scratch->take(floats * threads);
    run(*context.pool, blocks, [&](int64_t block, int worker) {
      float* packed_x = scratch.data() + worker * floats;
      float* logits = packed_x + pack_floats;
      const int64_t first = block * kRowBlock;
      const int64_t rows = std::min(kRowBlock, n - first);
      pack_a_rows(isa, Trans::kNo, p.x, first, rows, d, packed_x);
      if (d == 0) std::fill_n(logits, rows * stride, 0.0f);
      multiply_packed(isa, rows, cols, d, packed_x, weights.data(),
                      all_logits ? nullptr : used_forward.data() + block * (padded / isa.nr), logits, stride);
      float* column_sum = gradient ? bias_part.data() + block * cols : nullptr;
      if (gradient) std::fill_n(column_sum, cols, 0.0f);
      for (int64_t r = 0; r < rows; ++r) {
        float* z = logits + r * stride;
        differentiate_row(call, g, first + r, z, loss_part.data() + block * models);
        if (!gradient) continue;
        for (int64_t j = 0; j < cols; ++j) column_sum[j] += z[j];
        std::fill(z + cols, z + padded, 0.0f);
        place_b_row(isa, z, first + r, n, cols, delta.data());
      }
    });
  }
  for (int64_t a = 0; a < models; ++a) {
    double sum = 0;
    for (int64_t block = 0; block < blocks; ++block) sum += loss_part[static_cast<size_t>(block * models + a)];
    call.loss[static_cast<size_t>(g.models[static_cast<size_t>(a)])] =
        sum * static_cast<double>(g.scale[static_cast<size_t>(a)]);
  }
  if (!gradient) return;

  const Scratch product = context.scratch->take(d * cols);
  const HostMatrix<float> grad(product.data(), d, cols);
  if (n == 0) {
    std::fill_n(product.data(), d * cols, 0.0f);
  } else if (d > 0) {
    const std::vector<uint8_t> used = used_panels(call, g, kKBlock);
    gemm_packed(context, Trans::kYes, p.x, n, delta.data(), used.data(), {}, grad);
  }
  std::vector<double> bias_sum(static_cast<size_t>(cols), 0.0);
  for (int64_t block = 0; block < blocks; ++block) {
    const float* part = bias_part.data() + block * cols;
    for (int64_t j = 0; j < cols; ++j) bias_sum[static_cast<size_t>(j)] += static_cast<double>(part[j]);
  }
  for (int64_t a = 0; a < models; ++a) {
    const int64_t from = a * p.classes, to = g.models[static_cast<size_t>(a)] * p.classes;
    for (int64_t k = 0; k < d; ++k) std::copy_n(grad.row(k) + from, p.classes, call.grad_w.row(k) + to);
    for (int64_t c = 0; c < p.classes; ++c) {
      call.grad_b[static_cast<size_t>(to + c)] = static_cast<float>(bias_sum[static_cast<size_t>(from + c)]);
    }
  }
}

}  // namespace

Status wide_softmax(const Context& context, const WideSoftmaxProblem& problem, HostMatrix<const float> w,
                    std::span<const float> b, std::span<const uint8_t> active, std::span<double> loss,
                    HostMatrix<float> grad_w, std::span<float> grad_b, HostMatrix<float> held_out_probability,
                    int64_t max_gradient_floats) {
  const Call call{context, problem, w, b, loss, grad_w, grad_b, held_out_probability};
  TRACER_RETURN_IF_ERROR(check_wide(problem, w, b, active, loss, grad_w, grad_b, held_out_probability));
  std::vector<int64_t> models;
  for (size_t m = 0; m < active.size(); ++m) {
    if (active[m] != 0) models.push_back(static_cast<int64_t>(m));
  }
  // Models that hold out the same fold side by side, in ascending index among themselves.
  std::stable_sort(models.begin(), models.end(), [&](int64_t i, int64_t j) {
    return problem.held_out[static_cast<size_t>(i)] < problem.held_out[static_cast<size_t>(j)];
  });
  const int64_t model_floats = std::max<int64_t>(1, problem.x.rows * problem.classes);
  const size_t each = static_cast<size_t>(std::max<int64_t>(1, max_gradient_floats / model_floats));
  for (size_t first = 0; first < models.size(); first += each) {
    const std::span<const int64_t> part(models.data() + first, std::min(each, models.size() - first));
    compute_group(call, make_group(call, part, context.isa->nr + kReadAhead));
  }
  return {};
}

}  // namespace tracer::cpu
