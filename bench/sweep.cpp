// The parity sweep at the size of a large fit, and k-means.
#include <algorithm>
#include <utility>

#include "bench/on_backend.h"
#include "engine/maths/binomial.h"

namespace tracer::bench {
namespace {

constexpr double kAlphas[] = {0.80, 0.85, 0.90, 0.925, 0.95, 0.975, 0.99};

// Candidates side by side; scores in (0, 1), disagreements where they are low.
struct Log {
  Log(int64_t rows, int64_t candidates) : allowed(std::size(kAlphas), rows + 1) {
    std::mt19937 rng(7);
    for (int64_t c = 0; c < candidates; ++c) {
      for (int64_t i = 0; i < rows; ++i) {
        const float u = static_cast<float>(rng() >> 8) * 0x1p-24f;
        score.push_back(u);
        agree.push_back(rng() % 1000 >= static_cast<uint32_t>(600 * (1 - u) * (1 - u)));
      }
      begin.push_back(static_cast<int64_t>(score.size()));
    }
    for (size_t a = 0; a < std::size(kAlphas); ++a) {
      const std::vector<int64_t> c = critical_values(rows, 1 - kAlphas[a], 0.05);
      for (int64_t r = 0; r <= rows; ++r)
        allowed(static_cast<int64_t>(a), r) = static_cast<int32_t>(c[static_cast<size_t>(r)]);
    }
  }
  std::vector<float> score;
  std::vector<uint8_t> agree;
  std::vector<int64_t> begin{0};
  Matrix<int32_t> allowed;
};

// The first segment by a plain sort.
bool agrees(const Log& log, const Matrix<ParityPoint>& out) {
  const int64_t rows = log.begin[1];
  std::vector<std::pair<float, int>> sorted;
  for (size_t i = 0; i < static_cast<size_t>(rows); ++i) sorted.emplace_back(-log.score[i], log.agree[i] == 0);
  std::sort(sorted.begin(), sorted.end());
  for (int64_t a = 0; a < out.cols(); ++a) {
    int64_t disagree = 0, best = 0;
    for (int64_t r = 1; r <= rows; ++r) {
      const auto& here = sorted[static_cast<size_t>(r - 1)];
      disagree += here.second;
      const bool cuts = r < rows && sorted[static_cast<size_t>(r)].first == here.first;
      if (!cuts && disagree <= log.allowed(a, r)) best = r;
    }
    if (out(0, a).handled != best) return false;
  }
  return true;
}

void parity_sweep(benchmark::State& state) {
  const Log log(state.range(0), state.range(1));
  const ParitySweepProblem problem{log.score, log.agree, log.begin, log.allowed.view()};
  Matrix<ParityPoint> out(state.range(1), log.allowed.rows());
  const auto once = [&] { return backend->parity_sweep(problem, out.view()).ok(); };
  if (!once() || !agrees(log, out)) return state.SkipWithError("not what a plain sort says");
  for (auto _ : state) state.SetIterationTime(seconds(once));
  state.counters["rows/s"] =
      benchmark::Counter(static_cast<double>(log.score.size()), benchmark::Counter::kIsIterationInvariantRate);
  state.SetLabel(backend_label() + ", 7 alphas");
}
BENCHMARK(parity_sweep)
    ->ArgNames({"rows", "candidates"})
    ->Args({7500, 20})
    ->Args({1000000, 20})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

void kmeans(benchmark::State& state) {
  const int64_t n = 10003, d = 384, k = state.range(0);
  const Matrix<float> x = random_matrix(n, d, 1);
  Matrix<float> centroid = random_matrix(k, d, 2);
  std::vector<int32_t> label(static_cast<size_t>(n));
  std::vector<int64_t> count(static_cast<size_t>(k));
  const bool update = state.range(1) != 0;
  const auto once = [&] {
    return update ? backend->kmeans_update(x.view(), label, centroid.view(), count).ok()
                  : backend->kmeans_assign(x.view(), std::as_const(centroid).view(), label, {}).ok();
  };
  if (!backend->kmeans_assign(x.view(), std::as_const(centroid).view(), label, {}).ok() || !once()) {
    return state.SkipWithError("refused");
  }
  for (auto _ : state) state.SetIterationTime(seconds(once));
  state.counters["rows/s"] = benchmark::Counter(static_cast<double>(n), benchmark::Counter::kIsIterationInvariantRate);
  if (!update) {
    state.counters["GF/s"] =
        benchmark::Counter(2e-9 * static_cast<double>(n * d * k), benchmark::Counter::kIsIterationInvariantRate);
  }
  state.SetLabel(backend_label() + (update ? ", update" : ", assign"));
}
BENCHMARK(kmeans)
    ->ArgNames({"centroids", "update"})
    ->ArgsProduct({{77, 1000, 4096}, {0, 1}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

// One layer of 512 units over a batch of 4,096 rows: forward with GELU, and the gradient before it.
void layer(benchmark::State& state) {
  const int64_t n = 4096, d = 384, h = 512, c = 77;
  const bool backward = state.range(0) != 0;
  const Matrix<float> x = random_matrix(n, d, 1), w = random_matrix(d, h, 2), bias = random_matrix(1, h, 3);
  const Matrix<float> delta = random_matrix(n, c, 4), next = random_matrix(h, c, 5);
  Matrix<float> pre(n, h), out(n, h);
  const auto once = [&] {
    if (backward) {
      return backend
          ->gemm_backward(Trans::kNo, Trans::kYes, delta.view(), next.view(), Activation::kGelu,
                          std::as_const(pre).view(), out.view())
          .ok();
    }
    return backend
        ->gemm(Trans::kNo, Trans::kNo, x.view(), w.view(),
               {{bias.data(), static_cast<size_t>(h)}, Activation::kGelu, pre.view()}, out.view())
        .ok();
  };
  if (!once()) return state.SkipWithError("refused");
  for (auto _ : state) state.SetIterationTime(seconds(once));
  state.counters["GF/s"] = benchmark::Counter(2e-9 * static_cast<double>(n * h * (backward ? c : d)),
                                              benchmark::Counter::kIsIterationInvariantRate);
  state.SetLabel(backend_label() + (backward ? ", backward" : ", forward") + ", GELU");
}
BENCHMARK(layer)->ArgName("backward")->Arg(0)->Arg(1)->UseManualTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tracer::bench

int main(int argc, char** argv) {
  return tracer::bench::run_on_backend(argc, argv, [] {});
}
