// Decision features beside the bound that this machine sets. TRACER_ISA and --threads=N vary it, as in bench_gemm.
//
// The bound of a shape is the slower of two: its flops at the measured rate of products of matrices in the storage type
// (bfloat16: of independent products in registers), and its bytes at the measured rate of reading. Seconds are
// processor seconds over threads.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "bench/on_backend.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tracer::bench {
namespace {

// The fastest of several goes.
template <class F>
double fastest(F&& f) {
  double best = 1e30;
  for (int i = 0; i < 9; ++i) best = std::min(best, seconds(f));
  return best;
}

#if defined(__x86_64__)
constexpr int64_t kSteps = 2'000'000;
constexpr int kChains = 12;

// Flops of bfloat16 products in registers, one thread.
__attribute__((target("avx512f,avx512bf16"))) double bfloat16_flops() {
  __m512 sum[kChains];
#pragma GCC unroll 12
  for (int j = 0; j < kChains; ++j) sum[j] = _mm512_setzero_ps();
  const __m512 one = _mm512_set1_ps(1e-9f);
  for (int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < kChains; ++j) {
      sum[j] = _mm512_dpbf16_ps(sum[j], (__m512bh)one, (__m512bh)one);
      asm volatile("" : "+v"(sum[j]));
    }
  }
  return 64.0 * kChains * static_cast<double>(kSteps);
}

// The same by tiles: 16 x 16 sums over 32 inner indices an instruction, four sums at a time.
__attribute__((target("amx-tile,amx-bf16"))) double tile_flops() {
  struct alignas(64) {
    uint8_t bytes[64];
  } configuration = {};
  configuration.bytes[0] = 1;
  for (int tile = 0; tile < 8; ++tile) configuration.bytes[16 + 2 * tile] = 64, configuration.bytes[48 + tile] = 16;
  asm volatile("ldtilecfg %0" : : "m"(configuration));
  constexpr int64_t kSteps = 500000;
  for (int64_t i = 0; i < kSteps; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
  return 4 * 2.0 * 16 * 16 * 32 * static_cast<double>(kSteps);
}
#endif

bool has_pairs(std::string_view isa) { return isa == "avx512_bf16" || isa == "avx512_amx"; }

// Products of bfloat16 in registers on all threads, in flops a second; 0 where this processor has none.
double bfloat16_peak() {
#if defined(__x86_64__)
  if (!has_pairs(backend->isa())) return 0;
  const bool tiles = backend->isa() == "avx512_amx";
  const int64_t threads = backend->threads();
  double flops = 0;
  const double seconds = fastest([&] {
    std::vector<double> each(static_cast<size_t>(threads));
    parallel_for(*backend, threads,
                 [&](int64_t i) { each[static_cast<size_t>(i)] = tiles ? tile_flops() : bfloat16_flops(); });
    flops = each[0] * static_cast<double>(threads);
  });
  return flops / seconds;
#else
  return 0;
#endif
}

// What our own product of large matrices does.
double float32_rate() {
  const Matrix<float> a = random_matrix(4096, 384, 1), b = random_matrix(384, 1536, 2);
  Matrix<float> c(4096, 1536);
  Status status;
  const double seconds =
      fastest([&] { status = backend->gemm(Trans::kNo, Trans::kNo, a.view(), b.view(), {}, c.view()); });
  return status.ok() ? 2.0 * 4096 * 384 * 1536 / seconds : 0;
}

// Bytes a second of reading what lies beyond the caches.
double read_rate() {
  const Matrix<float> m(64, int64_t{1} << 20);
  std::vector<float> sums(64);
  const double seconds = fastest([&] {
    parallel_for(*backend, 64, [&](int64_t i) {
      float s[16] = {};
      for (int64_t j = 0; j < m.cols(); j += 16) {
        for (int64_t l = 0; l < 16; ++l) s[l] += m(i, j + l);
      }
      for (const float v : s) sums[static_cast<size_t>(i)] += v;
    });
    benchmark::DoNotOptimize(sums.data());
  });
  return static_cast<double>(m.size()) * sizeof(float) / seconds;
}

struct Rates {
  double float32, bfloat16, bytes;
};
const Rates& rates() {
  static const Rates kRates{float32_rate(), bfloat16_peak(), read_rate()};
  return kRates;
}

struct Problem {
  Problem(int64_t n, int64_t classes, int64_t members) : x(random_matrix(n, 384, 1)), b(static_cast<size_t>(classes)) {
    if (const Status s = backend->normalise_rows(x.view()); !s.ok()) std::exit(1);
    for (int64_t m = 0; m < members; ++m) w.push_back(random_matrix(384, classes, static_cast<uint32_t>(m + 2)));
    for (const auto& m : w) member.push_back({m.view(), b, 1.0f / static_cast<float>(members)});
  }
  Matrix<float> x;
  std::vector<Matrix<float>> w;
  std::vector<float> b;
  std::vector<LinearMember> member;
};

// Against float64 on a few rows, before anything is timed.
bool agrees(const Problem& p, const std::vector<DecisionFeatures>& f, Storage storage) {
  const auto value = [&](float v) {
    return static_cast<double>(storage == Storage::kBFloat16 ? to_float(to_bfloat16(v)) : v);
  };
  const size_t classes = p.b.size();
  for (int64_t i = 0; i < p.x.rows(); i += p.x.rows() / 5) {
    std::vector<double> s(classes, 0.0);
    for (const LinearMember& m : p.member) {
      std::vector<double> z(classes);
      double sum = 0;
      for (size_t c = 0; c < classes; ++c) {
        for (int64_t k = 0; k < 384; ++k) z[c] += value(p.x(i, k)) * value(m.w(k, static_cast<int64_t>(c)));
        sum += std::exp(z[c]);
      }
      for (size_t c = 0; c < classes; ++c) s[c] += static_cast<double>(m.weight) * std::exp(z[c]) / sum;
    }
    double entropy = 0;
    for (const double v : s) entropy -= v * std::log(v) / std::log(static_cast<double>(classes));
    std::vector<double> sorted = s;
    std::sort(sorted.rbegin(), sorted.rend());
    const DecisionFeatures& g = f[static_cast<size_t>(i)];
    const bool near = std::fabs(g.top1 - sorted[0]) < 1e-5 && std::fabs(g.top2 - sorted[1]) < 1e-5 &&
                      std::fabs(g.entropy - entropy) < 1e-5 && s[static_cast<size_t>(g.label)] > sorted[0] - 1e-5;
    if (!near) return false;
  }
  return true;
}

void decision_features(benchmark::State& state) {
  const int64_t classes = state.range(0), members = state.range(1), n = 10003;
  const Storage storage = state.range(2) != 0 ? Storage::kBFloat16 : Storage::kFloat32;
  if (storage == Storage::kBFloat16 && !has_pairs(backend->isa())) {
    state.SkipWithError("not applicable: this instruction set has no products of bfloat16");
    return;
  }
  const Problem p(n, classes, members);
  const auto head = backend->prepare_head(p.member, storage);
  std::vector<DecisionFeatures> out(static_cast<size_t>(n));
  const auto once = [&] { return backend->decision_features(p.x.view(), **head, {}, nullptr, {out}).ok(); };
  if (!head.ok() || !once() || !agrees(p, out, storage)) {
    state.SkipWithError("not what float64 says");
    return;
  }
  for (auto _ : state) state.SetIterationTime(seconds(once));
  const double flops = 2.0 * 384 * static_cast<double>(classes * members);
  const double rate = storage == Storage::kBFloat16 ? rates().bfloat16 : rates().float32;
  const double bytes = 384 * sizeof(float) + sizeof(DecisionFeatures);
  const double bound = 1 / std::max(flops / rate, bytes / rates().bytes);
  state.counters["rows/s"] = benchmark::Counter(static_cast<double>(n), benchmark::Counter::kIsIterationInvariantRate);
  state.counters["bound"] = bound;
  state.counters["of_bound"] =
      benchmark::Counter(static_cast<double>(n) / bound, benchmark::Counter::kIsIterationInvariantRate);
  state.SetLabel(backend_label() + ", " + (storage == Storage::kBFloat16 ? "bfloat16" : "float32") + ", " +
                 std::to_string(members) + (members == 1 ? " member" : " members"));
}
BENCHMARK(decision_features)
    ->ArgNames({"classes", "members", "bf16"})
    ->ArgsProduct({{77, 1000}, {1, 3}, {0, 1}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tracer::bench

int main(int argc, char** argv) {
  using namespace tracer::bench;
  return run_on_backend(argc, argv, [] {
    std::printf("bound: float32 product %.0f GF/s, bfloat16 in registers %.0f GF/s, reading %.1f GB/s, %d threads\n",
                1e-9 * rates().float32, 1e-9 * rates().bfloat16, 1e-9 * rates().bytes, backend->threads());
  });
}
