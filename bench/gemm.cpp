// Speed of the operations of kernels/ at the shapes of a fit and of routing: 7,500 rows, 384 dimensions, 77 classes.
// The label of each run says which backend and instruction set answered; set TRACER_ISA and pass --threads=N to vary.
#include <benchmark/benchmark.h>

#include <vector>

#include "bench/on_backend.h"
#include "kernels/backend.h"

namespace tracer {
namespace {

using bench::backend;
using bench::random_matrix;

void fail_unless_ok(benchmark::State& state, const Status& status) {
  if (!status.ok()) state.SkipWithError(status.message().c_str());
}

void label(benchmark::State& state) { state.SetLabel(bench::backend_label()); }

void run_gemm(benchmark::State& state, Trans ta, Trans tb) {
  const int64_t m = state.range(0), k = state.range(1), n = state.range(2);
  const Matrix<float> a = ta == Trans::kNo ? random_matrix(m, k, 1) : random_matrix(k, m, 1);
  const Matrix<float> b = tb == Trans::kNo ? random_matrix(k, n, 2) : random_matrix(n, k, 2);
  Matrix<float> c(m, n);
  for (auto _ : state) fail_unless_ok(state, backend->gemm(ta, tb, a.view(), b.view(), {}, c.view()));
  state.counters["GF/s"] =
      benchmark::Counter(2e-9 * static_cast<double>(m * k * n), benchmark::Counter::kIsIterationInvariantRate);
  label(state);
}

void gemm_nn(benchmark::State& state) { run_gemm(state, Trans::kNo, Trans::kNo); }
void gemm_tn(benchmark::State& state) { run_gemm(state, Trans::kYes, Trans::kNo); }
void gemm_nt(benchmark::State& state) { run_gemm(state, Trans::kNo, Trans::kYes); }
BENCHMARK(gemm_nn)->Args({7500, 384, 385})->Args({7500, 384, 1540})->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(gemm_tn)->Args({384, 7500, 385})->Args({384, 7500, 1540})->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(gemm_nt)->Args({3080, 384, 7500})->UseRealTime()->Unit(benchmark::kMillisecond);

void topk(benchmark::State& state) {
  const int64_t queries = state.range(0), references = 7500, d = 384, k = 10;
  Matrix<float> q = random_matrix(queries, d, 1), r = random_matrix(references, d, 2);
  fail_unless_ok(state, backend->normalise_rows(q.view()));
  fail_unless_ok(state, backend->normalise_rows(r.view()));
  Matrix<int32_t> index(queries, k);
  Matrix<float> similarity(queries, k);
  for (auto _ : state) {
    fail_unless_ok(state, backend->topk_cosine(q.view(), r.view(), {}, {}, {index.view(), similarity.view()}));
  }
  state.counters["rows/s"] =
      benchmark::Counter(static_cast<double>(queries), benchmark::Counter::kIsIterationInvariantRate);
  label(state);
}
BENCHMARK(topk)->Arg(1)->Arg(64)->Arg(3080)->UseRealTime()->Unit(benchmark::kMillisecond);

// The probabilities of a softmax regression: the product beside gemm_nn's, and the softmax on top.
void probabilities(benchmark::State& state) {
  const int64_t n = state.range(0), d = 384, classes = state.range(1);
  const Matrix<float> x = random_matrix(n, d, 1), w = random_matrix(d, classes, 2);
  const std::vector<float> b(static_cast<size_t>(classes), 0.0f);
  Matrix<float> out(n, classes);
  const auto head = backend->prepare_head(w.view(), b);
  fail_unless_ok(state, head.status());
  for (auto _ : state) fail_unless_ok(state, backend->head_probabilities(x.view(), **head, out.view()));
  state.counters["GF/s"] =
      benchmark::Counter(2e-9 * static_cast<double>(n * d * classes), benchmark::Counter::kIsIterationInvariantRate);
  state.counters["rows/s"] = benchmark::Counter(static_cast<double>(n), benchmark::Counter::kIsIterationInvariantRate);
  label(state);
}
BENCHMARK(probabilities)->Args({10003, 77})->Args({10003, 1000})->UseRealTime()->Unit(benchmark::kMillisecond);

// What routing a batch costs: neighbours, probabilities, then features.
void route(benchmark::State& state) {
  const int64_t queries = state.range(0), classes = state.range(1), references = 7500, d = 384, k = 10;
  Matrix<float> q = random_matrix(queries, d, 1), r = random_matrix(references, d, 2), p(queries, classes);
  fail_unless_ok(state, backend->normalise_rows(q.view()));
  fail_unless_ok(state, backend->normalise_rows(r.view()));
  const Matrix<float> w = random_matrix(d, classes, 3);
  const std::vector<float> b(static_cast<size_t>(classes), 0.0f);
  std::vector<int32_t> labels(static_cast<size_t>(references));
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int32_t>(i % static_cast<size_t>(classes));
  Matrix<int32_t> index(queries, k);
  Matrix<float> similarity(queries, k);
  std::vector<DecisionFeatures> out(static_cast<size_t>(queries));
  const auto head = backend->prepare_head(w.view(), b);
  fail_unless_ok(state, head.status());
  for (auto _ : state) {
    fail_unless_ok(state, backend->topk_cosine(q.view(), r.view(), {}, {}, {index.view(), similarity.view()}));
    const NeighbourVote vote{index.view(), similarity.view(), labels, 0.3f, 4.0f};
    fail_unless_ok(state, backend->head_probabilities(q.view(), **head, p.view()));
    fail_unless_ok(state, backend->decision_features_from(p.view(), vote, out));
  }
  state.counters["rows/s"] =
      benchmark::Counter(static_cast<double>(queries), benchmark::Counter::kIsIterationInvariantRate);
  label(state);
}
BENCHMARK(route)->Args({4096, 77})->Args({4096, 150})->UseRealTime()->Unit(benchmark::kMillisecond);

// One iteration of a fit: models = 5 folds x strengths; rows in order of their fold or not.
void wide_softmax(benchmark::State& state) {
  const bool sorted = state.range(1) != 0;
  const int64_t models = state.range(0), n = 7500, d = 384, classes = 77, cols = models * classes;
  const Matrix<float> x = random_matrix(n, d, 1), w = random_matrix(d, cols, 2);
  const std::vector<float> b(static_cast<size_t>(cols), 0.0f);
  std::vector<int32_t> labels(static_cast<size_t>(n)), fold(static_cast<size_t>(n)), held(static_cast<size_t>(models));
  for (size_t i = 0; i < labels.size(); ++i) {
    labels[i] = static_cast<int32_t>(i * 7919 % static_cast<size_t>(classes));
    fold[i] = static_cast<int32_t>(sorted ? i / 1500 : i % 5);
  }
  for (size_t m = 0; m < held.size(); ++m) held[m] = static_cast<int32_t>(m % 5);
  Matrix<uint8_t> seen(models, classes);
  std::fill_n(seen.data(), seen.size(), uint8_t{1});
  const std::vector<uint8_t> active(static_cast<size_t>(models), 1);
  std::vector<double> loss(static_cast<size_t>(models));
  Matrix<float> grad_w(d, cols);
  std::vector<float> grad_b(static_cast<size_t>(cols));
  const WideSoftmaxProblem problem{x.view(), labels, classes, fold, held, seen.view()};
  for (auto _ : state) {
    fail_unless_ok(state, backend->wide_softmax(problem, w.view(), b, active, loss, grad_w.view(), grad_b, {}));
  }
  state.counters["GF/s"] =
      benchmark::Counter(4e-9 * static_cast<double>(n * d * cols), benchmark::Counter::kIsIterationInvariantRate);
  label(state);
}
BENCHMARK(wide_softmax)
    ->Args({1, 0})
    ->Args({5, 0})
    ->Args({20, 0})
    ->Args({20, 1})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tracer

int main(int argc, char** argv) {
  return tracer::bench::run_on_backend(argc, argv, [] {});
}
