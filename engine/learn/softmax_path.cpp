#include "engine/learn/softmax_path.h"

#include <algorithm>
#include <cmath>

#include "engine/maths/logistic.h"

namespace tracer {
namespace {

constexpr int64_t kHistory = 10;          // correction pairs in use
constexpr int64_t kSlots = kHistory + 1;  // and one being written, which may turn out not to be fit for use

// Vectors of one model are C-wide column slices of (d + 1)-row matrices.
struct Slice {
  float* data;
  int64_t rows, cols, stride;
};

double dot(const Slice& a, const Slice& b) {
  double total = 0;
  for (int64_t r = 0; r < a.rows; ++r) {
    const float* x = a.data + r * a.stride;
    const float* y = b.data + r * b.stride;
    float lane[16] = {};  // independent sums, so that the compiler may use vector registers
    int64_t c = 0;
    for (; c + 16 <= a.cols; c += 16)
      for (int l = 0; l < 16; ++l) lane[l] += x[c + l] * y[c + l];
    for (int l = 0; c < a.cols; ++c, ++l) lane[l] += x[c] * y[c];
    for (float l : lane) total += l;
  }
  return total;
}

void axpy(double scale, const Slice& x, const Slice& y) {
  const float s = static_cast<float>(scale);
  for (int64_t r = 0; r < x.rows; ++r)
    for (int64_t c = 0; c < x.cols; ++c) y.data[r * y.stride + c] += s * x.data[r * x.stride + c];
}

// y = x + scale * d
void step_to(const Slice& x, double scale, const Slice& d, const Slice& y) {
  const float s = static_cast<float>(scale);
  for (int64_t r = 0; r < x.rows; ++r)
    for (int64_t c = 0; c < x.cols; ++c)
      y.data[r * y.stride + c] = x.data[r * x.stride + c] + s * d.data[r * d.stride + c];
}

void subtract(const Slice& a, const Slice& b, const Slice& out) { step_to(a, -1.0, b, out); }

void copy(const Slice& from, const Slice& to) {
  for (int64_t r = 0; r < from.rows; ++r) std::copy_n(from.data + r * from.stride, from.cols, to.data + r * to.stride);
}

void fill_problem(const SoftmaxData& data, const SoftmaxState& state, const Matrix<uint8_t>& seen,
                  WideSoftmaxProblem& problem) {
  problem.x = data.x;
  problem.label = data.label;
  problem.classes = data.classes;
  problem.fold = data.fold;
  problem.held_out = state.held_out;
  problem.class_seen = seen.view();
}

// models x C: whether a model learns from any row of the class.
Matrix<uint8_t> classes_seen(const SoftmaxData& data, const SoftmaxState& state) {
  const int64_t models = static_cast<int64_t>(state.held_out.size());
  int32_t folds = 1;
  for (int32_t f : data.fold) folds = std::max(folds, f + 1);
  Matrix<uint8_t> in_fold(folds, data.classes);
  for (size_t i = 0; i < data.label.size(); ++i) in_fold(data.fold.empty() ? 0 : data.fold[i], data.label[i]) = 1;
  Matrix<uint8_t> seen(models, data.classes);
  for (int64_t m = 0; m < models; ++m)
    for (int32_t f = 0; f < folds; ++f) {
      if (f == state.held_out[m]) continue;
      for (int64_t c = 0; c < data.classes; ++c) seen(m, c) |= in_fold(f, c);
    }
  return seen;
}

constexpr int64_t kPanel = 16;  // columns of an inverse solved together

// The inverse of L L' from its lower factor, a panel of columns at a time so that the inner loops run along memory.
void invert(Backend& backend, const Matrix<double>& lower, Matrix<float>& inverse) {
  const int64_t n = lower.rows(), panels = (n + kPanel - 1) / kPanel;
  Matrix<double> scratch(panels, n * kPanel);
  parallel_for(backend, panels, [&](int64_t panel) {
    const HostMatrix<double> b(scratch.row(panel), n, kPanel);
    const int64_t first = panel * kPanel, width = std::min(kPanel, n - first);
    for (int64_t c = 0; c < width; ++c) b(first + c, c) = 1;
    const auto scale = [&](int64_t i) {
      const double pivot = 1 / lower(i, i);
      for (int64_t c = 0; c < kPanel; ++c) b(i, c) *= pivot;
    };
    const auto eliminate = [&](int64_t from, int64_t to, double factor) {
      const double* source = b.row(from);
      double* target = b.row(to);
      for (int64_t c = 0; c < kPanel; ++c) target[c] -= factor * source[c];
    };
    for (int64_t i = first; i < n; ++i) {  // rows above the panel's ones are zero
      for (int64_t k = first; k < i; ++k) eliminate(k, i, lower(i, k));
      scale(i);
    }
    for (int64_t i = n; i-- > 0;) {
      scale(i);
      for (int64_t k = 0; k < i; ++k) eliminate(i, k, lower(i, k));
    }
    for (int64_t i = 0; i < n; ++i)
      for (int64_t c = 0; c < width; ++c) inverse(i, first + c) = static_cast<float>(b(i, c));
  });
}

// The preconditioner (s X'X/n + ridge I, bias included)^-1 as a dense (d+1) x (d+1) matrix.
Result<Matrix<float>> preconditioner(Backend& backend, const SoftmaxData& data, const RowMoments& moments,
                                     double ridge) {
  const int64_t d = data.x.cols;
  const double n = static_cast<double>(data.x.rows);
  // Mean curvature p (1 - p) of a class, lower as the fit grows confident.
  const double s = 0.25 / static_cast<double>(std::max<int64_t>(data.classes, 2));
  double largest = 1;  // of the diagonal of X'X/n, the constant column's 1 included
  for (int64_t j = 0; j < d; ++j) largest = std::max(largest, moments.gram(j, j) / n);
  // The Gram matrix was summed in float32: where vectors repeat or lie in a plane its rounding is larger than the
  // ridge, and can make it indefinite. It only preconditions, so a floor changes the path and not the minimum.
  double floor = 1e-5 * s * largest;
  for (int attempt = 0; attempt < 8 && std::isfinite(floor); ++attempt, floor *= 10) {
    Matrix<double> a(d + 1, d + 1);
    for (int64_t i = 0; i < d; ++i)
      for (int64_t j = 0; j <= i; ++j) a(i, j) = s * moments.gram(i, j) / n + (i == j ? ridge : 0.0);
    for (int64_t j = 0; j < d; ++j) a(d, j) = s * moments.mean[j];
    a(d, d) = s;
    for (int64_t i = 0; i <= d; ++i) a(i, i) += floor;
    if (!cholesky_factor(a)) continue;
    Matrix<float> inverse(d + 1, d + 1);
    invert(backend, a, inverse);
    return inverse;
  }
  return internal_error("softmax preconditioner is not positive definite: are the vectors finite?");
}

// Lockstep L-BFGS over the models.
class Minimiser {
 public:
  Minimiser(Backend& backend, const SoftmaxData& data, double cost, const SoftmaxOptions& options, SoftmaxState& state)
      : backend_(backend),
        data_(data),
        options_(options),
        state_(state),
        models_(static_cast<int64_t>(state.held_out.size())),
        rows_(data.x.cols + 1),
        width_(models_ * data.classes),
        seen_(classes_seen(data, state)),
        ridge_(models_),
        trial_(rows_, width_),
        gradient_(rows_, width_),
        trial_gradient_(rows_, width_),
        direction_(rows_, width_),
        scaled_(rows_, width_) {
    std::vector<int64_t> learns(models_, 0);
    for (int64_t m = 0; m < models_; ++m) {
      for (int32_t f : data.fold) learns[m] += state.held_out[m] < 0 || f != state.held_out[m];
      ridge_[m] = 1 / (cost * static_cast<double>(std::max<int64_t>(learns[m], 1)));
    }
    for (int64_t h = 0; h < kSlots; ++h) {
      s_.emplace_back(rows_, width_);
      y_.emplace_back(rows_, width_);
    }
    rho_.assign(models_, std::vector<double>(kSlots, 0.0));
    pairs_.assign(models_, 0);
    scale_.assign(models_, 1.0);
    fill_problem(data, state, seen_, problem_);
  }

  Status run() {
    RowMoments own;
    if (data_.moments == nullptr) {
      TRACER_ASSIGN_OR_RETURN(own, row_moments(backend_, data_.x));
    }
    TRACER_ASSIGN_OR_RETURN(auto inverse,
                            preconditioner(backend_, data_, data_.moments == nullptr ? own : *data_.moments,
                                           *std::min_element(ridge_.begin(), ridge_.end())));
    inverse_ = std::move(inverse);
    std::vector<uint8_t> going(models_, 1);
    loss_.assign(models_, 0.0);
    TRACER_RETURN_IF_ERROR(evaluate(state_.weights, going, loss_, gradient_));
    state_.iterations.assign(models_, 0);
    retire(going);
    for (int iteration = 0; iteration < options_.max_iterations; ++iteration) {
      if (std::none_of(going.begin(), going.end(), [](uint8_t g) { return g != 0; })) break;
      TRACER_RETURN_IF_ERROR(find_directions(going));
      TRACER_RETURN_IF_ERROR(line_search(going));
      retire(going);
    }
    state_.objective = loss_;
    return {};
  }

 private:
  Slice slice(Matrix<float>& m, int64_t model) const {
    return {m.data() + model * data_.classes, rows_, data_.classes, width_};
  }

  // Loss and gradient with the ridge term; removed classes have neither.
  Status evaluate(Matrix<float>& at, const std::vector<uint8_t>& active, std::vector<double>& loss,
                  Matrix<float>& grad) {
    const int64_t d = rows_ - 1;
    TRACER_RETURN_IF_ERROR(backend_.wide_softmax(
        problem_, HostMatrix<const float>(at.data(), d, width_), std::span<const float>(at.row(d), width_), active,
        loss, HostMatrix<float>(grad.data(), d, width_), std::span<float>(grad.row(d), width_), {}));
    parallel_for(backend_, models_, [&](int64_t m) {
      if (!active[m]) return;
      const Slice w{slice(at, m).data, d, data_.classes, width_};
      const Slice g{slice(grad, m).data, d, data_.classes, width_};
      loss[m] += 0.5 * ridge_[m] * dot(w, w);
      axpy(ridge_[m], w, g);
    });
    return {};
  }

  void retire(std::vector<uint8_t>& going) {
    state_.gradient_norm.resize(models_);
    for (int64_t m = 0; m < models_; ++m) {
      if (!going[m]) continue;
      const Slice g = slice(gradient_, m);
      state_.gradient_norm[m] = std::sqrt(dot(g, g));
      if (state_.gradient_norm[m] <= options_.tolerance) going[m] = 0;
    }
  }

  // gamma = s'y / y'Py on the newest pair: the length of the initial matrix.
  Status rescale(const std::vector<uint8_t>& wanted) {
    const auto newest = [&](int64_t m) { return slice(y_[(pairs_[m] - 1) % kSlots], m); };
    bool any = false;
    for (int64_t m = 0; m < models_; ++m)
      if (wanted[m] && pairs_[m] > 0) copy(newest(m), slice(direction_, m)), any = true;
    if (!any) return {};
    TRACER_RETURN_IF_ERROR(
        backend_.gemm(Trans::kNo, Trans::kNo, inverse_.view(), direction_.view(), {}, scaled_.view()));
    for (int64_t m = 0; m < models_; ++m) {
      if (!wanted[m] || pairs_[m] == 0) continue;
      const double ypy = dot(newest(m), slice(scaled_, m));
      if (ypy > 0) scale_[m] = 1 / (rho_[m][(pairs_[m] - 1) % kSlots] * ypy);
    }
    return {};
  }

  // Two-loop recursion (Nocedal and Wright, algorithm 7.4) with the preconditioner as the initial matrix. The
  // directions of other models stay as they are.
  Status find_directions(const std::vector<uint8_t>& wanted) {
    TRACER_RETURN_IF_ERROR(rescale(wanted));
    std::vector<std::vector<double>> alpha(models_, std::vector<double>(kSlots, 0.0));
    parallel_for(backend_, models_, [&](int64_t m) {
      if (!wanted[m]) return;
      const Slice q = slice(direction_, m);
      copy(slice(gradient_, m), q);
      for (int64_t p = pairs_[m] - 1; p >= std::max<int64_t>(0, pairs_[m] - kHistory); --p) {
        const int64_t h = p % kSlots;
        alpha[m][h] = rho_[m][h] * dot(slice(s_[h], m), q);
        axpy(-alpha[m][h], slice(y_[h], m), q);
      }
    });
    TRACER_RETURN_IF_ERROR(
        backend_.gemm(Trans::kNo, Trans::kNo, inverse_.view(), direction_.view(), {}, scaled_.view()));
    parallel_for(backend_, models_, [&](int64_t m) {
      if (!wanted[m]) return;
      const Slice r = slice(scaled_, m);
      const float gamma = static_cast<float>(scale_[m]);
      for (int64_t row = 0; row < r.rows; ++row)
        for (int64_t c = 0; c < r.cols; ++c) r.data[row * r.stride + c] *= gamma;
      for (int64_t p = std::max<int64_t>(0, pairs_[m] - kHistory); p < pairs_[m]; ++p) {
        const int64_t h = p % kSlots;
        const double beta = rho_[m][h] * dot(slice(y_[h], m), r);
        axpy(alpha[m][h] - beta, slice(s_[h], m), r);
      }
      const Slice d = slice(direction_, m);
      for (int64_t row = 0; row < r.rows; ++row)
        for (int64_t c = 0; c < r.cols; ++c) d.data[row * d.stride + c] = -r.data[row * r.stride + c];
    });
    return {};
  }

  // The slope of each model's direction. A history that no longer points downhill is dropped, and the preconditioned
  // gradient tried in its place; when that fails too, float32 has nothing left to give and the model retires.
  Status find_slopes(std::vector<uint8_t>& going, std::vector<double>& slope) {
    const auto fill = [&](const std::vector<uint8_t>& wanted) {
      for (int64_t m = 0; m < models_; ++m)
        if (wanted[m]) slope[m] = dot(slice(direction_, m), slice(gradient_, m));
    };
    fill(going);
    std::vector<uint8_t> again(models_, 0);
    bool any = false;
    for (int64_t m = 0; m < models_; ++m) {
      if (!going[m] || slope[m] < 0 || pairs_[m] == 0) continue;
      pairs_[m] = 0;
      scale_[m] = 1;
      again[m] = any = true;
    }
    if (any) {
      TRACER_RETURN_IF_ERROR(find_directions(again));
      fill(again);
    }
    for (int64_t m = 0; m < models_; ++m)
      if (going[m] && !(slope[m] < 0)) going[m] = 0;
    return {};
  }

  // Backtracking to sufficient decrease, for each model on its own; the objective is strictly convex, so s'y > 0.
  Status line_search(std::vector<uint8_t>& going) {
    std::vector<double> slope(models_, 0), length(models_, 1.0), trial_loss(models_, 0);
    TRACER_RETURN_IF_ERROR(find_slopes(going, slope));
    std::vector<uint8_t> pending = going;
    for (int halving = 0; halving < 25; ++halving) {
      if (std::none_of(pending.begin(), pending.end(), [](uint8_t p) { return p != 0; })) break;
      parallel_for(backend_, models_, [&](int64_t m) {
        if (pending[m]) step_to(slice(state_.weights, m), length[m], slice(direction_, m), slice(trial_, m));
      });
      TRACER_RETURN_IF_ERROR(evaluate(trial_, pending, trial_loss, trial_gradient_));
      for (int64_t m = 0; m < models_; ++m) {
        if (!pending[m]) continue;
        if (trial_loss[m] <= loss_[m] + 1e-4 * length[m] * slope[m]) {
          accept(m, trial_loss[m]);
          pending[m] = 0;
        } else {
          // Minimum of the parabola through f(0), f'(0), f(t), kept in [0.1, 0.5] t.
          const double curve = trial_loss[m] - loss_[m] - length[m] * slope[m];
          const double t = curve > 0 ? -slope[m] * length[m] * length[m] / (2 * curve) : 0.5 * length[m];
          length[m] = std::clamp(t, 0.1 * length[m], 0.5 * length[m]);
        }
      }
    }
    for (int64_t m = 0; m < models_; ++m)
      if (pending[m]) going[m] = 0;  // no decrease left at float32
    return {};
  }

  void accept(int64_t m, double trial_loss) {
    const int64_t h = pairs_[m] % kSlots;
    const Slice s = slice(s_[h], m), y = slice(y_[h], m);
    subtract(slice(trial_, m), slice(state_.weights, m), s);
    subtract(slice(trial_gradient_, m), slice(gradient_, m), y);
    copy(slice(trial_, m), slice(state_.weights, m));
    copy(slice(trial_gradient_, m), slice(gradient_, m));
    loss_[m] = trial_loss;
    ++state_.iterations[m];
    const double sy = dot(s, y);
    if (sy > 1e-12 * std::sqrt(dot(s, s) * dot(y, y))) {
      rho_[m][h] = 1 / sy;
      ++pairs_[m];
    }
  }

  Backend& backend_;
  const SoftmaxData& data_;
  const SoftmaxOptions& options_;
  SoftmaxState& state_;
  const int64_t models_, rows_, width_;
  const Matrix<uint8_t> seen_;
  std::vector<double> ridge_;
  WideSoftmaxProblem problem_;
  Matrix<float> inverse_, trial_, gradient_, trial_gradient_, direction_, scaled_;
  std::vector<Matrix<float>> s_, y_;
  std::vector<std::vector<double>> rho_;
  std::vector<int64_t> pairs_;
  std::vector<double> loss_, scale_;
};

}  // namespace

Result<RowMoments> row_moments(Backend& backend, HostMatrix<const float> x) {
  RowMoments moments{Matrix<float>(x.cols, x.cols), std::vector<double>(x.cols, 0.0)};
  TRACER_RETURN_IF_ERROR(backend.gemm(Trans::kYes, Trans::kNo, x, x, {}, moments.gram.view()));
  for (int64_t i = 0; i < x.rows; ++i)
    for (int64_t j = 0; j < x.cols; ++j) moments.mean[j] += x(i, j);
  for (double& v : moments.mean) v /= static_cast<double>(x.rows);
  return moments;
}

SoftmaxState initial_softmax(const SoftmaxData& data, int folds) {
  SoftmaxState state;
  if (folds == 0) state.held_out = {-1};
  for (int f = 0; f < folds; ++f) state.held_out.push_back(f);
  const int64_t d = data.x.cols, models = static_cast<int64_t>(state.held_out.size());
  state.weights = Matrix<float>(d + 1, models * data.classes);
  const auto seen = classes_seen(data, state);
  for (int64_t m = 0; m < models; ++m)
    for (int64_t c = 0; c < data.classes; ++c)
      if (!seen(m, c)) state.weights(d, m * data.classes + c) = kRemovedBias;
  return state;
}

Status minimise_softmax(Backend& backend, const SoftmaxData& data, double cost, const SoftmaxOptions& options,
                        SoftmaxState& state) {
  return Minimiser(backend, data, cost, options, state).run();
}

Status out_of_fold_probability(Backend& backend, const SoftmaxData& data, const SoftmaxState& state,
                               HostMatrix<float> probability) {
  const auto seen = classes_seen(data, state);
  WideSoftmaxProblem problem;
  fill_problem(data, state, seen, problem);
  const auto rows = static_cast<size_t>(probability.rows);
  problem.x = data.x.rows_from(0, probability.rows);
  problem.label = problem.label.first(rows);
  problem.fold = problem.fold.first(rows);
  const int64_t d = data.x.cols, width = state.weights.cols();
  std::vector<uint8_t> active(state.held_out.size(), 1);
  std::vector<double> loss(state.held_out.size());
  return backend.wide_softmax(problem, HostMatrix<const float>(state.weights.data(), d, width),
                              std::span<const float>(state.weights.row(d), width), active, loss, {}, {}, probability);
}

}  // namespace tracer
