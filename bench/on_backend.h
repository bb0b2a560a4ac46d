// What the benches of kernels/ share: the backend under test, its label, and main(). TRACER_ISA and --threads=N choose.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/processor_time.h"
#include "kernels/backend.h"

namespace tracer::bench {

inline Backend* backend = nullptr;

inline std::string backend_label() {
  return std::string(backend->name()) + "/" + std::string(backend->isa()) + "/" + std::to_string(backend->threads()) +
         " threads";
}

inline Matrix<float> random_matrix(int64_t rows, int64_t cols, uint32_t seed) {
  Matrix<float> m(rows, cols);
  std::mt19937 rng(seed);
  std::uniform_real_distribution<float> dist(-1.0f, 1.0f);
  for (int64_t i = 0; i < m.size(); ++i) m.data()[i] = dist(rng);
  return m;
}

// Processor time over threads: what the clock on the wall shows where no other process wants the processors.
template <class F>
double seconds(F&& f) {
  const double start = processor_seconds();
  f();
  return (processor_seconds() - start) / backend->threads();
}

// `announce` runs once the backend is there. Returns the exit status.
template <class F>
int run_on_backend(int argc, char** argv, F&& announce) {
  BackendOptions options;
  std::vector<char*> rest;
  for (int i = 0; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg.starts_with("--threads=")) {
      options.threads = std::atoi(arg.c_str() + 10);
    } else {
      rest.push_back(argv[i]);
    }
  }
#ifndef NDEBUG
  std::fprintf(stderr, "warning: assertions are on; this is not a release build\n");
#endif
  Result<std::unique_ptr<Backend>> made = make_backend(options);
  if (!made.ok()) {
    std::fprintf(stderr, "%s\n", made.status().message().c_str());
    return 1;
  }
  backend = made->get();
  announce();
  int count = static_cast<int>(rest.size());
  benchmark::Initialize(&count, rest.data());
  if (benchmark::ReportUnrecognizedArguments(count, rest.data())) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace tracer::bench
