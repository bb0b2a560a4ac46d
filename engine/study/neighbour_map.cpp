#include "engine/study/neighbour_map.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "engine/maths/random.h"

namespace tracer {
namespace {

constexpr int kEpochs = 200;
constexpr int kNegatives = 5;     // rows pushed away for each row drawn near
constexpr double kWidth = 10;     // half the width of the start
constexpr double kJitter = 1e-3;  // equal rows must not start on one point: nothing would part them
constexpr double kMostStep = 4;   // of a gradient, as UMAP has it

struct Edge {
  int32_t from = 0, to = 0;
  double weight = 0;  // in (0, 1]: the share of epochs in which it pulls
};

// The k nearest other rows of each.
Status nearest_rows(Backend& backend, HostMatrix<const float> x, int64_t k, Matrix<int32_t>& index,
                    Matrix<float>& similarity) {
  std::vector<int32_t> self(static_cast<size_t>(x.rows));
  std::iota(self.begin(), self.end(), 0);
  index = Matrix<int32_t>(x.rows, k), similarity = Matrix<float>(x.rows, k);
  ReferenceOptions options;
  options.group = self;
  options.queries = x.rows;
  TRACER_ASSIGN_OR_RETURN(auto references, backend.prepare_references(x, options));
  return backend.topk_cosine(x, *references, self, {index.view(), similarity.view()});
}

// exp(-(distance - nearest) / scale), the scale such that the weights sum to log2(k).
void fuzzy_weights(std::vector<double>& distance) {
  const double nearest = distance[0], wanted = std::log2(static_cast<double>(distance.size()));
  const auto weight = [&](double d, double scale) { return std::exp(-(d - nearest) / scale); };
  double low = 1e-6, high = 4;  // of distances of unit rows
  for (int i = 0; i < 40; ++i) {
    const double scale = std::sqrt(low * high);
    double sum = 0;
    for (const double d : distance) sum += weight(d, scale);
    (sum > wanted ? high : low) = scale;
  }
  for (double& d : distance) d = weight(d, high);
}

// a + b - a b of the two directions, one edge a pair, ascending.
std::vector<Edge> fuzzy_graph(const Matrix<int32_t>& index, const Matrix<float>& similarity) {
  std::vector<Edge> edges;
  std::vector<double> weights;
  for (int64_t i = 0; i < index.rows(); ++i) {
    weights.clear();
    for (int64_t j = 0; j < index.cols(); ++j)
      weights.push_back(std::max(0.0, 1 - static_cast<double>(similarity(i, j))));
    fuzzy_weights(weights);
    for (int64_t j = 0; j < index.cols(); ++j) {
      const auto [a, b] = std::minmax({static_cast<int32_t>(i), index(i, j)});
      edges.push_back({a, b, weights[static_cast<size_t>(j)]});
    }
  }
  std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) {
    return a.from != b.from ? a.from < b.from : a.to != b.to ? a.to < b.to : a.weight < b.weight;
  });
  std::vector<Edge> merged;
  for (const Edge& e : edges) {
    if (!merged.empty() && merged.back().from == e.from && merged.back().to == e.to)
      merged.back().weight += e.weight - merged.back().weight * e.weight;
    else
      merged.push_back(e);
  }
  return merged;
}

class Plane {
 public:
  explicit Plane(HostMatrix<const float> start) : at_(static_cast<size_t>(2 * start.rows)) {
    double most = 0;
    for (int64_t i = 0; i < start.rows; ++i)
      for (int64_t j = 0; j < 2; ++j) most = std::max(most, std::abs(static_cast<double>(start(i, j))));
    const double scale = most > 0 ? kWidth / most : 0;
    for (int64_t i = 0; i < start.rows; ++i)
      for (int64_t j = 0; j < 2; ++j)
        at_[static_cast<size_t>(2 * i + j)] = scale * start(i, j) + kJitter * centred(static_cast<uint64_t>(2 * i + j));
  }

  void pull(int32_t a, int32_t b, double rate) {
    double *p = point(a), *q = point(b);
    const double dx = p[0] - q[0], dy = p[1] - q[1];
    const double force = -2 / (1 + dx * dx + dy * dy);
    const double x = rate * clipped(force * dx), y = rate * clipped(force * dy);
    p[0] += x, p[1] += y, q[0] -= x, q[1] -= y;
  }
  void push(int32_t a, int32_t b, double rate) {
    double *p = point(a), *q = point(b);
    const double dx = p[0] - q[0], dy = p[1] - q[1], distance2 = dx * dx + dy * dy;
    const double force = 2 / ((0.001 + distance2) * (1 + distance2));
    p[0] += rate * clipped(force * dx), p[1] += rate * clipped(force * dy);
  }
  Matrix<float> centred_points() const {
    const auto rows = static_cast<int64_t>(at_.size() / 2);
    Matrix<float> out(rows, 2);
    double mean[2] = {};
    for (size_t i = 0; i < at_.size(); ++i) mean[i % 2] += at_[i] / static_cast<double>(rows);
    for (size_t i = 0; i < at_.size(); ++i) out.data()[i] = static_cast<float>(at_[i] - mean[i % 2]);
    return out;
  }

 private:
  double* point(int32_t i) { return at_.data() + 2 * static_cast<size_t>(i); }
  static double clipped(double v) { return std::clamp(v, -kMostStep, kMostStep); }
  static double centred(uint64_t i) { return static_cast<double>(mix64(i) >> 11) * 0x1p-52 - 1; }
  std::vector<double> at_;
};

}  // namespace

Result<Matrix<float>> neighbour_map(Backend& backend, HostMatrix<const float> x, HostMatrix<const float> start) {
  Plane plane(start);
  const int64_t k = std::min<int64_t>(kMapNeighbours, x.rows - 1);
  if (k < 2) return plane.centred_points();
  Matrix<int32_t> index;
  Matrix<float> similarity;
  TRACER_RETURN_IF_ERROR(nearest_rows(backend, x, k, index, similarity));
  const std::vector<Edge> edges = fuzzy_graph(index, similarity);
  std::vector<double> due(edges.size());  // pulls owed to each edge
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    const double rate = 1 - static_cast<double>(epoch) / kEpochs;
    for (size_t e = 0; e < edges.size(); ++e) {
      due[e] += edges[e].weight;
      if (due[e] < 1) continue;
      due[e] -= 1;
      // Each end in turn: both are pulled together, and one is pushed from rows drawn at random.
      uint64_t draw = mix64(static_cast<uint64_t>(epoch) << 40 ^ e);
      const int32_t end = (draw & 1) != 0 ? edges[e].from : edges[e].to;
      plane.pull(edges[e].from, edges[e].to, rate);
      for (int i = 0; i < kNegatives; ++i) {
        draw = mix64(draw);
        const auto other = static_cast<int32_t>(draw % static_cast<uint64_t>(x.rows));
        if (other != end) plane.push(end, other, rate);
      }
    }
  }
  return plane.centred_points();
}

}  // namespace tracer
