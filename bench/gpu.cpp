// The GPU's operations as fractions of their bounds: the larger of the time that the host link, the device's memory and
// its arithmetic need on paper, over the time measured from host memory to host memory. Answers are compared with the
// CPU's before anything is timed. The peaks are an H100's; TRACER_PEAKS="link,memory,fp32,bf16" (GB/s, GB/s, TFLOP/s,
// TFLOP/s) names others. Without a GPU it says why, and measures nothing.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace tracer {
namespace {

struct Peaks {
  double link = 55e9, memory = 3.35e12, fp32 = 67e12, bf16 = 990e12;
};

Peaks peaks() {
  Peaks p;
  const char* given = std::getenv("TRACER_PEAKS");
  if (given != nullptr && std::sscanf(given, "%lf,%lf,%lf,%lf", &p.link, &p.memory, &p.fp32, &p.bf16) == 4) {
    p.link *= 1e9;
    p.memory *= 1e9;
    p.fp32 *= 1e12;
    p.bf16 *= 1e12;
  }
  return p;
}

std::unique_ptr<Backend> make(const char* device) {
  BackendOptions options;
  options.device = device;
  Result<std::unique_ptr<Backend>> made = make_backend(options);
  return made.ok() ? std::move(made).value() : nullptr;
}

Backend& gpu() {
  static const std::unique_ptr<Backend> backend = make("cuda");
  return *backend;
}

Matrix<float> uniform(int64_t rows, int64_t cols, uint32_t seed) {
  Matrix<float> m(rows, cols);
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> d(-1.0f, 1.0f);
  for (int64_t i = 0; i < m.size(); ++i) m.data()[i] = d(random);
  return m;
}

Matrix<float> unit_rows(int64_t rows, int64_t cols, uint32_t seed) {
  Matrix<float> m = uniform(rows, cols, seed);
  const Status status = make("cpu")->normalise_rows(m.view());
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.message().c_str());
  return m;
}

// Runs the call, checks it against nothing more than its Status, and reports how near it comes to its bound.
template <class F>
void measure(benchmark::State& state, double items, double link_bytes, double memory_bytes, double fp32, double bf16,
             F&& call) {
  const Peaks p = peaks();
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    const Status status = call();
    if (!status.ok()) {
      state.SkipWithError(status.message().c_str());
      return;
    }
  }
  const double bound = std::max({link_bytes / p.link, memory_bytes / p.memory, fp32 / p.fp32, bf16 / p.bf16});
  state.SetItemsProcessed(static_cast<int64_t>(items) * state.iterations());
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  state.counters["of_bound"] = bound * static_cast<double>(state.iterations()) / seconds.count();
  state.SetLabel(std::string(gpu().name()) + " " + std::string(gpu().isa()));
}

// Made once for all repetitions: a million take longer than what is measured.
const Matrix<float>& references_of(int64_t rows, int64_t cols) {
  static std::map<int64_t, Matrix<float>> made;
  const auto found = made.find(rows);
  return found != made.end() ? found->second : made.emplace(rows, unit_rows(rows, cols, 2)).first->second;
}

void topk(benchmark::State& state) {
  const int64_t n = state.range(0), m = state.range(1), d = 384, k = 10;
  const Matrix<float> q = unit_rows(n, d, 1);
  const Matrix<float>& r = references_of(m, d);
  Matrix<int32_t> index(n, k), expected(100, k);
  Matrix<float> score(n, k), expected_score(100, k);
  const auto references = gpu().prepare_references(HostMatrix<const float>(r.view()), {});
  if (!references.ok()) return state.SkipWithError(references.status().message().c_str());
  TopKReport report;
  const auto call = [&] {
    return gpu().topk_cosine(HostMatrix<const float>(q.view()), **references, {}, {index.view(), score.view()}, {},
                             &report);
  };
  const Status cpu = make("cpu")->topk_cosine(HostMatrix<const float>(q.view()).rows_from(0, 100), r.view(), {}, {},
                                              {expected.view(), expected_score.view()});
  if (!cpu.ok() || !call().ok() || !std::equal(expected.data(), expected.data() + 100 * k, index.data()) ||
      !std::equal(expected_score.data(), expected_score.data() + 100 * k, score.data())) {
    return state.SkipWithError("the neighbours differ from the CPU's");
  }
  const double products = 2.0 * static_cast<double>(n) * static_cast<double>(m) * static_cast<double>(d);
  measure(state, static_cast<double>(n), static_cast<double>(n * (d + 2 * k)) * 4, static_cast<double>(m * d) * 2, 0,
          products, call);
  state.counters["rescanned"] = static_cast<double>(report.rescanned);
}
BENCHMARK(topk)->Args({3080, 10003})->Args({10000, 1000000})->UseRealTime()->Unit(benchmark::kMillisecond);

void probabilities(benchmark::State& state) {
  const int64_t n = 200000, d = 384, classes = state.range(0);
  const Matrix<float> x = uniform(n, d, 1), w = uniform(d, classes, 2);
  const std::vector<float> bias(static_cast<size_t>(classes), 0.0f);
  Matrix<float> out(n, classes), expected(1000, classes);
  const auto head = gpu().prepare_head(w.view(), bias);
  if (!head.ok()) return state.SkipWithError(head.status().message().c_str());
  const auto call = [&] { return gpu().head_probabilities(HostMatrix<const float>(x.view()), **head, out.view()); };
  const auto cpu = make("cpu");
  const auto cpu_head = cpu->prepare_head(w.view(), bias);
  const Status status =
      cpu->head_probabilities(HostMatrix<const float>(x.view()).rows_from(0, 1000), **cpu_head, expected.view());
  bool same = status.ok() && call().ok();
  for (int64_t i = 0; same && i < expected.size(); ++i) {
    same = std::abs(expected.data()[i] - out.data()[i]) <= 1e-5f;
  }
  if (!same) return state.SkipWithError("the probabilities differ from the CPU's");
  const double rows = static_cast<double>(n), width = static_cast<double>(classes);
  measure(state, rows, rows * (static_cast<double>(d) + width) * 4, rows * (static_cast<double>(d) + width) * 4,
          2 * rows * static_cast<double>(d) * width, 0, call);
}
BENCHMARK(probabilities)->Arg(77)->Arg(1000)->UseRealTime()->Unit(benchmark::kMillisecond);

void parity(benchmark::State& state) {
  const int64_t segments = 20, rows = 1000000, n = segments * rows, alphas = 7;
  std::mt19937 random(3);
  std::vector<float> score(static_cast<size_t>(n));
  std::vector<uint8_t> agree(static_cast<size_t>(n));
  for (float& s : score) s = static_cast<float>(random() % 1000000) * 1e-6f;
  for (uint8_t& a : agree) a = random() % 20 != 0;
  std::vector<int64_t> begin;
  for (int64_t s = 0; s <= segments; ++s) begin.push_back(s * rows);
  Matrix<int32_t> allowed(alphas, rows + 1);
  for (int64_t a = 0; a < alphas; ++a) {
    for (int64_t r = 0; r <= rows; ++r) allowed(a, r) = static_cast<int32_t>(r * (a + 1) / 100) - 1;
  }
  Matrix<ParityPoint> out(segments, alphas);
  const double count = static_cast<double>(n);
  // On the device: the keys and the order through eight passes of the sort, once written and once read each.
  measure(state, count, count * 5 + static_cast<double>(allowed.size()) * 4, count * 12 * 2 * 8, 0, 0, [&] {
    return gpu().parity_sweep({score, agree, begin, allowed.view()}, out.view());
  });
}
BENCHMARK(parity)->UseRealTime()->Unit(benchmark::kMillisecond);

void kmeans(benchmark::State& state) {
  const int64_t n = 200000, d = 384, k = state.range(0);
  const Matrix<float> x = uniform(n, d, 1), centroid = uniform(k, d, 2);
  std::vector<int32_t> label(static_cast<size_t>(n));
  const double rows = static_cast<double>(n);
  measure(state, rows, rows * static_cast<double>(d) * 4, rows * static_cast<double>(k) * 8,
          2 * rows * static_cast<double>(d) * static_cast<double>(k), 0,
          [&] { return gpu().kmeans_assign(x.view(), centroid.view(), label, {}); });
}
BENCHMARK(kmeans)->Arg(256)->Arg(4096)->UseRealTime()->Unit(benchmark::kMillisecond);

void wide_softmax(benchmark::State& state) {
  const int64_t n = 10000, d = 384, classes = 77, models = 20, cols = classes * models;
  const Matrix<float> x = uniform(n, d, 1), w = uniform(d, cols, 2);
  Matrix<float> grad(d, cols);
  Matrix<uint8_t> seen(models, classes);
  std::fill_n(seen.data(), seen.size(), uint8_t{1});
  std::vector<int32_t> label, fold, held_out;
  for (int64_t i = 0; i < n; ++i) {
    label.push_back(static_cast<int32_t>(i % classes));
    fold.push_back(static_cast<int32_t>(i * 5 / n));
  }
  for (int64_t m = 0; m < models; ++m) held_out.push_back(static_cast<int32_t>(m % 5));
  const std::vector<float> b(static_cast<size_t>(cols), 0.0f);
  const std::vector<uint8_t> active(static_cast<size_t>(models), 1);
  std::vector<double> loss(static_cast<size_t>(models));
  std::vector<float> grad_b(static_cast<size_t>(cols));
  const WideSoftmaxProblem problem{x.view(), label, classes, fold, held_out, seen.view()};
  const double rows = static_cast<double>(n), width = static_cast<double>(cols);
  measure(state, rows, rows * static_cast<double>(d) * 4 + 2 * static_cast<double>(d) * width * 4, rows * width * 4 * 5,
          4 * rows * static_cast<double>(d) * width, 0,
          [&] { return gpu().wide_softmax(problem, w.view(), b, active, loss, grad.view(), grad_b, {}); });
}
BENCHMARK(wide_softmax)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tracer

int main(int argc, char** argv) {
  const tracer::BackendInfo cuda = tracer::list_backends()[0];
  if (!cuda.usable) {
    std::printf("bench_gpu: not applicable: %s\n", cuda.detail.c_str());
    return 0;
  }
  std::printf("bench_gpu: %s\n", cuda.detail.c_str());
#if !defined(NDEBUG)
  std::printf("bench_gpu: a debug build: its figures mean nothing\n");
#endif
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
