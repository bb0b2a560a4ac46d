// Speed of neighbour search against prepared references, and of preparing them: 7,500 rows, 384 dimensions, clustered
// the way that sentence embeddings are. Equality with the float32 search is checked first, and an unequal result is an
// error. The label of each line says which backend and instruction set answered, whether 8-bit integers screened, and
// how many queries went back to float32. TRACER_ISA and TRACER_BENCH_THREADS vary them.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>

#include "kernels/backend.h"

namespace tracer {
namespace {

constexpr int64_t kReferences = 7500, kWidth = 384, kNeighbours = 10;

Result<std::unique_ptr<Backend>> open_backend() {
  const char* threads = std::getenv("TRACER_BENCH_THREADS");
  BackendOptions options;
  options.threads = threads == nullptr ? 0 : std::atoi(threads);
  return make_backend(options);
}

// Unit rows near 77 centres in 96 directions, with noise in all.
Matrix<float> embeddings(Backend& backend, int64_t rows, uint32_t seed) {
  std::mt19937 shape(1), rng(seed);
  std::normal_distribution<float> normal;
  Matrix<float> direction(96, kWidth), along(rows, 96), x(rows, kWidth), centre(77, 96);
  for (Matrix<float>* m : {&direction, &centre}) {
    for (int64_t i = 0; i < m->size(); ++i) m->data()[i] = normal(shape);
  }
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t c = static_cast<int64_t>(rng() % 77);
    for (int64_t j = 0; j < 96; ++j) along(i, j) = centre(c, j) + 0.7f * normal(rng);
  }
  (void)backend.gemm(Trans::kNo, Trans::kNo, along.view(), direction.view(), {}, x.view());
  for (int64_t i = 0; i < x.size(); ++i) x.data()[i] += 3.0f * normal(rng);
  (void)backend.normalise_rows(x.view());
  return x;
}

// Few queries a call are searched in float32 alone.
Status search_plainly(Backend& backend, const Matrix<float>& q, const Matrix<float>& r, Matrix<int32_t>& index,
                      Matrix<float>& similarity) {
  for (int64_t i = 0; i < q.rows(); i += 64) {
    const int64_t n = std::min<int64_t>(64, q.rows() - i);
    TRACER_RETURN_IF_ERROR(backend.topk_cosine(q.view().rows_from(i, n), r.view(), {}, {},
                                               {index.view().rows_from(i, n), similarity.view().rows_from(i, n)}));
  }
  return {};
}

void search(benchmark::State& state) {
  Result<std::unique_ptr<Backend>> backend = open_backend();
  if (!backend.ok()) return state.SkipWithError(backend.status().message().c_str());
  const int64_t n = state.range(0);
  const Matrix<float> q = embeddings(**backend, n, 2), r = embeddings(**backend, kReferences, 3);
  Matrix<int32_t> index(n, kNeighbours), expected(n, kNeighbours);
  Matrix<float> similarity(n, kNeighbours), expected_similarity(n, kNeighbours);
  const auto references = (*backend)->prepare_references(r.view(), {});
  if (!references.ok()) return state.SkipWithError(references.status().message().c_str());
  TopKReport report;
  const auto run = [&] {
    return (*backend)->topk_cosine(q.view(), **references, {}, {index.view(), similarity.view()}, {}, &report);
  };
  if (!run().ok() || !search_plainly(**backend, q, r, expected, expected_similarity).ok() ||
      !std::equal(index.data(), index.data() + index.size(), expected.data()) ||
      !std::equal(similarity.data(), similarity.data() + similarity.size(), expected_similarity.data())) {
    return state.SkipWithError("not the neighbours of the float32 search");
  }
  for (auto _ : state) {
    if (!run().ok()) state.SkipWithError("the search failed");
  }
  state.counters["rows/s"] = benchmark::Counter(static_cast<double>(n), benchmark::Counter::kIsIterationInvariantRate);
  state.SetLabel(std::string((*backend)->name()) + "/" + std::string((*backend)->isa()) + "/" +
                 std::to_string((*backend)->threads()) + " threads, " +
                 (report.screened ? "screened, " + std::to_string(report.rescanned) + " rescanned" : "not screened"));
}
BENCHMARK(search)->Arg(1)->Arg(64)->Arg(4096)->UseRealTime()->Unit(benchmark::kMillisecond);

void prepare(benchmark::State& state) {
  Result<std::unique_ptr<Backend>> backend = open_backend();
  if (!backend.ok()) return state.SkipWithError(backend.status().message().c_str());
  const Matrix<float> r = embeddings(**backend, state.range(0), 3);
  for (auto _ : state) {
    if (!(*backend)->prepare_references(r.view(), {}).ok()) state.SkipWithError("preparing failed");
  }
  state.SetLabel(std::string((*backend)->name()) + "/" + std::string((*backend)->isa()) + "/" +
                 std::to_string((*backend)->threads()) + " threads");
}
BENCHMARK(prepare)->Arg(kReferences)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tracer

BENCHMARK_MAIN();
