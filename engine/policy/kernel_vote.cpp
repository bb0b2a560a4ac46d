#include "engine/policy/kernel_vote.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/maths/sparse_matrix.h"

namespace tracer {
namespace {

constexpr int64_t kBlock = 256;  // rows of a task and of a partial sum: fixed, so that sums have one order

float kappa(float similarity) {
  const float s = std::max(similarity, 0.0f), s2 = s * s, s4 = s2 * s2;
  return s4 * s4;
}

// The kernel among the rows `kept`, cut off and with the rows themselves; indices count kept rows.
SparseMatrix kernel_rows(const NeighbourGraph& graph, const std::vector<int32_t>& kept,
                         const std::vector<int32_t>& place) {
  SparseMatrix k;
  k.begin.reserve(kept.size() + 1);
  for (size_t i = 0; i < kept.size(); ++i) {
    k.add(static_cast<int32_t>(i), 1.0f);
    for (int64_t j = 0; j < graph.neighbour.cols(); ++j) {
      const int32_t other = graph.neighbour(kept[i], j);
      if (other < 0) break;
      const float weight = kappa(graph.similarity(kept[i], j));
      if (place[other] < 0 || weight == 0) continue;
      k.add(place[other], weight);
    }
    k.end_row();
  }
  return k;
}

// Runs body(row, its partial sums of `classes` values) over all rows, in blocks; the sums of the blocks in order.
template <class Body>
std::vector<double> sum_rows(Backend& backend, int64_t rows, int64_t classes, Body&& body) {
  const int64_t blocks = (rows + kBlock - 1) / kBlock;
  Matrix<double> partial(blocks, classes);
  parallel_for(backend, blocks, [&](int64_t b) {
    for (int64_t i = b * kBlock; i < std::min(rows, (b + 1) * kBlock); ++i) body(i, partial.row(b));
  });
  std::vector<double> total(static_cast<size_t>(classes), 0.0);
  for (int64_t b = 0; b < blocks; ++b)
    for (int64_t c = 0; c < classes; ++c) total[static_cast<size_t>(c)] += partial(b, c);
  return total;
}

// CGLS for min |B - K X|^2 + ridge |X|^2, each column of B a problem of its own.
class Solver {
 public:
  Solver(Backend& backend, const SparseMatrix& k, int64_t classes)
      : backend_(backend),
        k_(k),
        kt_(transposed(k, k.rows())),
        rows_(k.rows()),
        classes_(classes),
        residual_(rows_, classes),
        x_(rows_, classes),
        gradient_(rows_, classes),
        direction_(rows_, classes),
        image_(rows_, classes) {}

  Matrix<float>& target() { return residual_; }  // B, used up

  Result<Matrix<float>> run(double ridge, int steps) {
    TRACER_RETURN_IF_ERROR(backend_.sparse_product(kt_.view(), residual_.view(), gradient_.view()));
    std::vector<double> size = square(gradient_);
    const std::vector<double> start = size;
    std::copy_n(gradient_.data(), gradient_.size(), direction_.data());
    for (int step = 0; step < steps; ++step) {
      TRACER_RETURN_IF_ERROR(backend_.sparse_product(k_.view(), direction_.view(), image_.view()));
      const std::vector<double> length = sum_rows(backend_, rows_, classes_, [&](int64_t i, double* sum) {
        const float *q = image_.row(i), *p = direction_.row(i);
        for (int64_t c = 0; c < classes_; ++c)
          sum[c] += double{q[c]} * double{q[c]} + ridge * double{p[c]} * double{p[c]};
      });
      std::vector<float> alpha(size.size());
      for (size_t c = 0; c < size.size(); ++c)
        alpha[c] = length[c] > 0 ? static_cast<float>(size[c] / length[c]) : 0.0f;
      each_row([&](int64_t i) {
        float *x = x_.row(i), *r = residual_.row(i);
        const float *q = image_.row(i), *p = direction_.row(i);
        for (int64_t c = 0; c < classes_; ++c) {
          x[c] += alpha[static_cast<size_t>(c)] * p[c];
          r[c] -= alpha[static_cast<size_t>(c)] * q[c];
        }
      });
      if (step + 1 == steps) break;
      TRACER_RETURN_IF_ERROR(backend_.sparse_product(kt_.view(), residual_.view(), gradient_.view()));
      const std::vector<double> next = sum_rows(backend_, rows_, classes_, [&](int64_t i, double* sum) {
        float* g = gradient_.row(i);
        const float* x = x_.row(i);
        for (int64_t c = 0; c < classes_; ++c) {
          g[c] -= static_cast<float>(ridge) * x[c];
          sum[c] += double{g[c]} * double{g[c]};
        }
      });
      std::vector<float> beta(size.size());
      bool going = false;
      for (size_t c = 0; c < size.size(); ++c) {
        beta[c] = size[c] > 0 ? static_cast<float>(next[c] / size[c]) : 0.0f;
        going |= next[c] > 1e-10 * start[c];
      }
      size = next;
      if (!going) break;
      each_row([&](int64_t i) {
        float* p = direction_.row(i);
        const float* g = gradient_.row(i);
        for (int64_t c = 0; c < classes_; ++c) p[c] = g[c] + beta[static_cast<size_t>(c)] * p[c];
      });
    }
    return std::move(x_);
  }

 private:
  std::vector<double> square(const Matrix<float>& m) {
    return sum_rows(backend_, rows_, classes_, [&](int64_t i, double* sum) {
      for (int64_t c = 0; c < classes_; ++c) sum[c] += double{m(i, c)} * double{m(i, c)};
    });
  }
  template <class Body>
  void each_row(Body&& body) {
    parallel_for(backend_, (rows_ + kBlock - 1) / kBlock, [&](int64_t b) {
      for (int64_t i = b * kBlock; i < std::min(rows_, (b + 1) * kBlock); ++i) body(i);
    });
  }

  Backend& backend_;
  const SparseMatrix& k_;
  const SparseMatrix kt_;
  const int64_t rows_, classes_;
  Matrix<float> residual_, x_, gradient_, direction_, image_;
};

}  // namespace

Result<NeighbourGraph> neighbour_graph(Backend& backend, HostMatrix<const float> x, int64_t k,
                                       std::span<const int32_t> unit) {
  NeighbourGraph graph{Matrix<int32_t>(x.rows, k), Matrix<float>(x.rows, k)};
  std::vector<int32_t> self;
  if (unit.empty()) {
    self.resize(static_cast<size_t>(x.rows));
    std::iota(self.begin(), self.end(), 0);
    unit = self;
  }
  TRACER_RETURN_IF_ERROR(backend.topk_cosine(x, x, unit, unit, TopK{graph.neighbour.view(), graph.similarity.view()}));
  return graph;
}

Result<KernelVotes> fit_kernel_votes(Backend& backend, const NeighbourGraph& graph, std::span<const int32_t> label,
                                     int64_t classes, std::span<const uint8_t> learns,
                                     const KernelVoteOptions& options) {
  const int64_t n = graph.neighbour.rows();
  std::vector<int32_t> kept, place(static_cast<size_t>(n), -1);
  for (int64_t i = 0; i < n; ++i) {
    if (!learns.empty() && learns[static_cast<size_t>(i)] == 0) continue;
    place[static_cast<size_t>(i)] = static_cast<int32_t>(kept.size());
    kept.push_back(static_cast<int32_t>(i));
  }
  KernelVotes votes{Matrix<float>(n, classes), std::vector<float>(static_cast<size_t>(classes), 0.0f)};
  if (kept.empty()) return votes;
  std::vector<int64_t> count(static_cast<size_t>(classes), 0);
  for (int32_t i : kept) ++count[static_cast<size_t>(label[static_cast<size_t>(i)])];
  for (size_t c = 0; c < count.size(); ++c)
    votes.prior[c] = static_cast<float>(static_cast<double>(count[c]) / static_cast<double>(kept.size()));
  const SparseMatrix kernel = kernel_rows(graph, kept, place);
  Solver solver(backend, kernel, classes);
  for (size_t i = 0; i < kept.size(); ++i) {
    float* target = solver.target().row(static_cast<int64_t>(i));
    for (int64_t c = 0; c < classes; ++c) target[c] = -votes.prior[static_cast<size_t>(c)];
    target[label[static_cast<size_t>(kept[i])]] += 1.0f;
  }
  TRACER_ASSIGN_OR_RETURN(auto solved, solver.run(options.ridge, options.steps));
  for (size_t i = 0; i < kept.size(); ++i)
    std::copy_n(solved.row(static_cast<int64_t>(i)), classes, votes.vote.row(kept[i]));
  return votes;
}

Status kernel_scores(Backend& backend, HostMatrix<const int32_t> neighbour, HostMatrix<const float> similarity,
                     HostMatrix<const float> vote, std::span<const float> prior, HostMatrix<float> out) {
  // Every row has k entries; where there are fewer neighbours the others weigh nothing.
  const int64_t k = neighbour.cols;
  SparseMatrix a;
  a.begin.resize(static_cast<size_t>(neighbour.rows) + 1);
  a.index.resize(static_cast<size_t>(neighbour.rows * k));
  a.weight.resize(static_cast<size_t>(neighbour.rows * k));
  parallel_for(backend, (neighbour.rows + kBlock - 1) / kBlock, [&](int64_t b) {
    for (int64_t i = b * kBlock; i < std::min(neighbour.rows, (b + 1) * kBlock); ++i) {
      a.begin[static_cast<size_t>(i) + 1] = (i + 1) * k;
      for (int64_t j = 0; j < k; ++j) {
        const bool none = neighbour(i, j) < 0;
        a.index[static_cast<size_t>(i * k + j)] = none ? 0 : neighbour(i, j);
        a.weight[static_cast<size_t>(i * k + j)] = none ? 0.0f : kappa(similarity(i, j));
      }
    }
  });
  TRACER_RETURN_IF_ERROR(backend.sparse_product(a.view(), vote, out));
  parallel_for(backend, (out.rows + kBlock - 1) / kBlock, [&](int64_t b) {
    for (int64_t i = b * kBlock; i < std::min(out.rows, (b + 1) * kBlock); ++i)
      for (int64_t c = 0; c < out.cols; ++c) out(i, c) += prior[static_cast<size_t>(c)];
  });
  return {};
}

void blend(Backend& backend, HostMatrix<const float> a, HostMatrix<const float> b, float weight,
           HostMatrix<float> out) {
  parallel_for(backend, (a.rows + kBlock - 1) / kBlock, [&](int64_t block) {
    for (int64_t i = block * kBlock; i < std::min(a.rows, (block + 1) * kBlock); ++i)
      for (int64_t c = 0; c < a.cols; ++c) out(i, c) = (1 - weight) * a(i, c) + weight * b(i, c);
  });
}

void kernel_probabilities(Backend& backend, float temperature, HostMatrix<float> y) {
  parallel_for(backend, (y.rows + kBlock - 1) / kBlock, [&](int64_t b) {
    for (int64_t i = b * kBlock; i < std::min(y.rows, (b + 1) * kBlock); ++i) {
      float* row = y.row(i);
      const float best = *std::max_element(row, row + y.cols);
      double sum = 0;
      for (int64_t c = 0; c < y.cols; ++c) {
        row[c] = std::exp(temperature * (row[c] - best));
        sum += double{row[c]};
      }
      const float scale = static_cast<float>(1 / sum);
      for (int64_t c = 0; c < y.cols; ++c) row[c] *= scale;
    }
  });
}

}  // namespace tracer
