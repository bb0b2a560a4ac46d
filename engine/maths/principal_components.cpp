#include "engine/maths/principal_components.h"

#include <algorithm>
#include <cmath>

#include "engine/maths/random.h"

namespace tracer {
namespace {

constexpr int64_t kMore = 6;  // directions beyond those asked for: the gap to the first one left out decides the speed
constexpr int kIterations = 60;
constexpr double kSettled = 1e-5;  // relative change of the variances asked for

// Columns of q made orthonormal, in order (Gram-Schmidt, twice); those that depend on earlier ones become 0.
void orthonormalise(Matrix<float>& q) {
  std::vector<double> column(static_cast<size_t>(q.rows()));
  for (int64_t j = 0; j < q.cols(); ++j) {
    double before = 0, after = 0;
    for (int64_t i = 0; i < q.rows(); ++i) {
      column[static_cast<size_t>(i)] = q(i, j);
      before += static_cast<double>(q(i, j)) * q(i, j);
    }
    for (int pass = 0; pass < 2; ++pass)
      for (int64_t other = 0; other < j; ++other) {
        double dot = 0;
        for (int64_t i = 0; i < q.rows(); ++i) dot += column[static_cast<size_t>(i)] * q(i, other);
        for (int64_t i = 0; i < q.rows(); ++i) column[static_cast<size_t>(i)] -= dot * q(i, other);
      }
    for (const double v : column) after += v * v;
    const double scale = after > 1e-10 * before && after > 0 ? 1 / std::sqrt(after) : 0;
    for (int64_t i = 0; i < q.rows(); ++i) q(i, j) = static_cast<float>(scale * column[static_cast<size_t>(i)]);
  }
}

// Eigenvectors of a symmetric matrix as columns, by falling eigenvalue (Jacobi's rotations).
Matrix<double> eigenvectors(Matrix<double> a, std::vector<double>& value) {
  const int64_t n = a.rows();
  Matrix<double> v(n, n);
  for (int64_t i = 0; i < n; ++i) v(i, i) = 1;
  for (int sweep = 0; sweep < 30; ++sweep)
    for (int64_t p = 0; p < n; ++p)
      for (int64_t q = p + 1; q < n; ++q) {
        if (std::abs(a(p, q)) <= 1e-300) continue;
        const double theta = (a(q, q) - a(p, p)) / (2 * a(p, q));
        const double t = (theta >= 0 ? 1 : -1) / (std::abs(theta) + std::sqrt(theta * theta + 1));
        const double c = 1 / std::sqrt(t * t + 1), s = t * c;
        const auto turn = [&](double& x, double& y) {
          const double before = x;
          x = c * before - s * y, y = s * before + c * y;
        };
        for (int64_t i = 0; i < n; ++i) turn(a(i, p), a(i, q));
        for (int64_t i = 0; i < n; ++i) turn(a(p, i), a(q, i));
        for (int64_t i = 0; i < n; ++i) turn(v(i, p), v(i, q));
      }
  std::vector<int64_t> order(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) order[static_cast<size_t>(i)] = i;
  std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) { return a(i, i) > a(j, j); });
  Matrix<double> sorted(n, n);
  value.clear();
  for (int64_t j = 0; j < n; ++j) {
    const int64_t from = order[static_cast<size_t>(j)];
    value.push_back(std::max(a(from, from), 0.0));
    for (int64_t i = 0; i < n; ++i) sorted(i, j) = v(i, from);
  }
  return sorted;
}

// Subtracts the mean row; gives the sum of squares left.
double centre(HostMatrix<float> x) {
  std::vector<double> mean(static_cast<size_t>(x.cols));
  for (int64_t i = 0; i < x.rows; ++i)
    for (int64_t j = 0; j < x.cols; ++j) mean[static_cast<size_t>(j)] += x(i, j);
  for (double& m : mean) m /= static_cast<double>(x.rows);
  double squares = 0;
  for (int64_t i = 0; i < x.rows; ++i)
    for (int64_t j = 0; j < x.cols; ++j) {
      x(i, j) = static_cast<float>(x(i, j) - mean[static_cast<size_t>(j)]);
      squares += static_cast<double>(x(i, j)) * x(i, j);
    }
  return squares;
}

// y's columns turned to the principal axes of the rows of y; values: their sums of squares.
void rotate(Matrix<float>& y, std::vector<double>& values) {
  Matrix<double> gram(y.cols(), y.cols());
  for (int64_t i = 0; i < y.rows(); ++i)
    for (int64_t a = 0; a < y.cols(); ++a)
      for (int64_t b = a; b < y.cols(); ++b) gram(a, b) += static_cast<double>(y(i, a)) * y(i, b);
  for (int64_t a = 0; a < y.cols(); ++a)
    for (int64_t b = 0; b < a; ++b) gram(a, b) = gram(b, a);
  const Matrix<double> turn = eigenvectors(std::move(gram), values);
  std::vector<double> row(static_cast<size_t>(y.cols()));
  for (int64_t i = 0; i < y.rows(); ++i) {
    for (int64_t b = 0; b < y.cols(); ++b) {
      double sum = 0;
      for (int64_t a = 0; a < y.cols(); ++a) sum += y(i, a) * turn(a, b);
      row[static_cast<size_t>(b)] = sum;
    }
    for (int64_t b = 0; b < y.cols(); ++b) y(i, b) = static_cast<float>(row[static_cast<size_t>(b)]);
  }
}

}  // namespace

Result<PrincipalComponents> principal_components(Backend& backend, HostMatrix<float> x, int64_t k) {
  PrincipalComponents out;
  out.coordinates = Matrix<float>(x.rows, k);
  out.share.assign(static_cast<size_t>(k), 0);
  if (x.rows == 0 || x.cols == 0) return out;
  const double total = centre(x);
  if (!(total > 1e-9 * static_cast<double>(x.rows))) return out;  // unit rows in float32 do not vary by less
  const int64_t width = std::min(k + kMore, x.cols);
  Matrix<float> q(x.cols, width), y(x.rows, width);
  for (int64_t i = 0; i < q.size(); ++i)
    q.data()[i] = static_cast<float>(static_cast<double>(mix64(static_cast<uint64_t>(i)) >> 11) * 0x1p-52 - 1);
  std::vector<double> values, before;
  for (int i = 0; i < kIterations; ++i) {
    orthonormalise(q);
    TRACER_RETURN_IF_ERROR(backend.gemm(Trans::kNo, Trans::kNo, x, q.view(), {}, y.view()));
    before = std::move(values);
    rotate(y, values);
    bool settled = !before.empty();
    for (int64_t j = 0; settled && j < std::min(k, width); ++j)
      settled = std::abs(values[static_cast<size_t>(j)] - before[static_cast<size_t>(j)]) <= kSettled * values[0];
    if (settled) break;
    TRACER_RETURN_IF_ERROR(backend.gemm(Trans::kYes, Trans::kNo, x, y.view(), {}, q.view()));
  }
  for (int64_t j = 0; j < std::min(k, width); ++j) {
    float most = 0;
    for (int64_t i = 0; i < x.rows; ++i)
      if (std::abs(y(i, j)) > std::abs(most)) most = y(i, j);
    for (int64_t i = 0; i < x.rows; ++i) out.coordinates(i, j) = most < 0 ? -y(i, j) : y(i, j);
    out.share[static_cast<size_t>(j)] = std::min(values[static_cast<size_t>(j)] / total, 1.0);
  }
  return out;
}

}  // namespace tracer
