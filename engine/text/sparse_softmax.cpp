#include "engine/text/sparse_softmax.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace tracer {
namespace {

constexpr int64_t kHistory = 6;      // correction pairs
constexpr int64_t kChunk = 1 << 14;  // values of a task
constexpr int64_t kRows = 64;        // of a task

// Columns of x as rows, and one more of ones, for the bias.
SparseMatrix with_ones(SparseMatrix columns, int64_t rows) {
  for (int64_t i = 0; i < rows; ++i) columns.add(static_cast<int32_t>(i), 1.0f);
  columns.end_row();
  return columns;
}

class Minimiser {
 public:
  Minimiser(Backend& backend, const SparseMatrix& x, std::span<const int32_t> label,
            const SparseSoftmaxOptions& options, Matrix<float>& w)
      : backend_(backend),
        x_(x),
        label_(label),
        options_(options),
        w_(w),
        columns_(w.rows() - 1),
        classes_(w.cols()),
        transposed_(with_ones(transposed(x, columns_), x.rows())),
        ridge_(1 / (options.cost * static_cast<double>(std::max<int64_t>(x.rows(), 1)))),
        residual_(x.rows(), classes_),
        gradient_(w.rows(), classes_),
        trial_(w.rows(), classes_),
        trial_gradient_(w.rows(), classes_),
        direction_(w.rows(), classes_),
        inverse_(static_cast<size_t>(w.rows())) {
    // Mean curvature p (1 - p) of a class, lower as the fit grows confident.
    const double s = 0.25 / static_cast<double>(std::max<int64_t>(classes_, 2));
    for (int64_t j = 0; j <= columns_; ++j) {
      double squares = 0;
      for (int64_t e = transposed_.begin[static_cast<size_t>(j)]; e < transposed_.begin[static_cast<size_t>(j) + 1];
           ++e)
        squares +=
            double{transposed_.weight[static_cast<size_t>(e)]} * double{transposed_.weight[static_cast<size_t>(e)]};
      inverse_[static_cast<size_t>(j)] =
          static_cast<float>(1 / (s * squares / static_cast<double>(x.rows()) + (j < columns_ ? ridge_ : 0)));
    }
  }

  Status run() {
    double loss = 0;
    TRACER_RETURN_IF_ERROR(evaluate(w_, loss, gradient_));
    for (int iteration = 0; iteration < options_.max_iterations; ++iteration) {
      if (!(std::sqrt(dot(gradient_, gradient_)) > options_.tolerance)) return {};
      find_direction();
      double slope = dot(direction_, gradient_);
      if (!(slope < 0) && !s_.empty()) {
        s_.clear(), y_.clear(), rho_.clear();
        find_direction();
        slope = dot(direction_, gradient_);
      }
      if (!(slope < 0)) return {};
      bool found = false;
      for (double length = 1; !found && length > 1e-6; length *= 0.5) {
        each([&](int64_t i) { trial_.data()[i] = w_.data()[i] + static_cast<float>(length) * direction_.data()[i]; });
        double trial_loss = 0;
        TRACER_RETURN_IF_ERROR(evaluate(trial_, trial_loss, trial_gradient_));
        if (!(trial_loss <= loss + 1e-4 * length * slope)) continue;
        found = true;
        loss = trial_loss;
        accept();
      }
      if (!found) return {};
    }
    return {};
  }

 private:
  template <class F>
  void each(F&& f) {
    const int64_t count = w_.size();
    parallel_for(backend_, (count + kChunk - 1) / kChunk, [&](int64_t chunk) {
      for (int64_t i = chunk * kChunk; i < std::min(count, (chunk + 1) * kChunk); ++i) f(i);
    });
  }

  double dot(const Matrix<float>& a, const Matrix<float>& b) {
    const int64_t count = a.size(), chunks = (count + kChunk - 1) / kChunk;
    std::vector<double> part(static_cast<size_t>(chunks));
    parallel_for(backend_, chunks, [&](int64_t chunk) {
      double sum[4] = {};  // independent, so that the compiler may use vector registers
      const int64_t first = chunk * kChunk, last = std::min(count, first + kChunk);
      for (int64_t i = first; i < last; ++i) sum[(i - first) % 4] += double{a.data()[i]} * double{b.data()[i]};
      part[static_cast<size_t>(chunk)] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    });
    return std::accumulate(part.begin(), part.end(), 0.0);
  }

  Status evaluate(const Matrix<float>& at, double& loss, Matrix<float>& gradient) {
    const int64_t n = x_.rows(), blocks = (n + kRows - 1) / kRows;
    TRACER_RETURN_IF_ERROR(backend_.sparse_product(x_.view(), at.view(), residual_.view()));
    std::vector<double> part(static_cast<size_t>(blocks));
    const float* bias = at.row(columns_);
    const double weight = 1 / static_cast<double>(n);
    parallel_for(backend_, blocks, [&](int64_t block) {
      for (int64_t i = block * kRows; i < std::min(n, (block + 1) * kRows); ++i) {
        float* z = residual_.row(i);
        float largest = z[0] + bias[0];
        for (int64_t c = 0; c < classes_; ++c) largest = std::max(largest, z[c] += bias[c]);
        const int32_t label = label_[static_cast<size_t>(i)];
        const double own = double{z[label]} - largest;
        double sum = 0;
        for (int64_t c = 0; c < classes_; ++c) sum += z[c] = std::exp(z[c] - largest);
        part[static_cast<size_t>(block)] += std::log(sum) - own;
        const float scale = static_cast<float>(weight / sum);
        for (int64_t c = 0; c < classes_; ++c) z[c] *= scale;
        z[label] -= static_cast<float>(weight);
      }
    });
    TRACER_RETURN_IF_ERROR(backend_.sparse_product(transposed_.view(), residual_.view(), gradient.view()));
    const int64_t learned = columns_ * classes_;  // the bias is free
    const auto ridge = static_cast<float>(ridge_);
    each([&](int64_t i) {
      if (i < learned) gradient.data()[i] += ridge * at.data()[i];
    });
    std::vector<double> squares(static_cast<size_t>((columns_ + kRows - 1) / kRows));
    parallel_for(backend_, static_cast<int64_t>(squares.size()), [&](int64_t block) {
      const int64_t last = std::min(columns_, (block + 1) * kRows) * classes_;
      double sum = 0;
      for (int64_t i = block * kRows * classes_; i < last; ++i) sum += double{at.data()[i]} * double{at.data()[i]};
      squares[static_cast<size_t>(block)] = sum;
    });
    loss = std::accumulate(part.begin(), part.end(), 0.0) * weight +
           0.5 * ridge_ * std::accumulate(squares.begin(), squares.end(), 0.0);
    if (!std::isfinite(loss)) return internal_error("sparse softmax regression: the loss is not finite");
    return {};
  }

  // Two-loop recursion (Nocedal and Wright, algorithm 7.4).
  void find_direction() {
    std::vector<double> alpha(s_.size());
    each([&](int64_t i) { direction_.data()[i] = -gradient_.data()[i]; });
    for (size_t h = s_.size(); h-- > 0;) {
      alpha[h] = rho_[h] * dot(s_[h], direction_);
      add(-alpha[h], y_[h]);
    }
    double scale = 1;
    if (!s_.empty()) scale = 1 / (rho_.back() * scaled_square(y_.back()));
    each([&](int64_t i) {
      direction_.data()[i] *= static_cast<float>(scale) * inverse_[static_cast<size_t>(i / classes_)];
    });
    for (size_t h = 0; h < s_.size(); ++h) add(alpha[h] - rho_[h] * dot(y_[h], direction_), s_[h]);
  }

  void add(double scale, const Matrix<float>& m) {
    const auto factor = static_cast<float>(scale);
    each([&](int64_t i) { direction_.data()[i] += factor * m.data()[i]; });
  }

  // y' P y under the first matrix P.
  double scaled_square(const Matrix<float>& y) {
    std::vector<double> part(static_cast<size_t>((y.rows() + kRows - 1) / kRows));
    parallel_for(backend_, static_cast<int64_t>(part.size()), [&](int64_t block) {
      for (int64_t r = block * kRows; r < std::min(y.rows(), (block + 1) * kRows); ++r) {
        double sum = 0;
        for (int64_t c = 0; c < classes_; ++c) sum += double{y(r, c)} * double{y(r, c)};
        part[static_cast<size_t>(block)] += sum * double{inverse_[static_cast<size_t>(r)]};
      }
    });
    return std::accumulate(part.begin(), part.end(), 0.0);
  }

  void accept() {
    Matrix<float> s(w_.rows(), classes_), y(w_.rows(), classes_);
    each([&](int64_t i) {
      s.data()[i] = trial_.data()[i] - w_.data()[i];
      y.data()[i] = trial_gradient_.data()[i] - gradient_.data()[i];
    });
    std::swap(w_, trial_);
    std::swap(gradient_, trial_gradient_);
    const double sy = dot(s, y);
    if (!(sy > 1e-12 * std::sqrt(dot(s, s) * dot(y, y)))) return;
    if (static_cast<int64_t>(s_.size()) == kHistory)
      s_.erase(s_.begin()), y_.erase(y_.begin()), rho_.erase(rho_.begin());
    s_.push_back(std::move(s)), y_.push_back(std::move(y)), rho_.push_back(1 / sy);
  }

  Backend& backend_;
  const SparseMatrix& x_;
  std::span<const int32_t> label_;
  const SparseSoftmaxOptions& options_;
  Matrix<float>& w_;
  const int64_t columns_, classes_;
  const SparseMatrix transposed_;
  const double ridge_;
  Matrix<float> residual_, gradient_, trial_, trial_gradient_, direction_;
  std::vector<float> inverse_;  // diagonal of the first matrix, by row of w
  std::vector<Matrix<float>> s_, y_;
  std::vector<double> rho_;
};

}  // namespace

Status minimise_sparse_softmax(Backend& backend, const SparseMatrix& x, std::span<const int32_t> label,
                               const SparseSoftmaxOptions& options, Matrix<float>& w) {
  if (x.rows() == 0) return {};
  return Minimiser(backend, x, label, options, w).run();
}

}  // namespace tracer
