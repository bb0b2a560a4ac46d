// Coverage against alpha over seeds and sizes of a log, for benchmarks. Nothing is kept of the policies: whoever looks
// at several seeds and keeps the best has no certificate.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/fit.h"
#include "engine/log/traces.h"
#include "kernels/backend.h"

namespace tracer {

// Labelled rows that are no part of the log.
struct FreshRows {
  Matrix<float> x;             // unit rows
  std::vector<int32_t> label;  // index into the log's labels; -1: a label that the log does not know

  int64_t rows() const { return static_cast<int64_t>(label.size()); }
};

// What one alpha came to. A refusal handles nothing: its coverage is 0 and it agrees on nothing.
struct SweepPoint {
  double alpha = 0;
  bool certified = false;
  Method method = Method::kRefused;
  ProofUnit unit = ProofUnit::kRows;
  double threshold = 1;
  int64_t n_learn = 0;
  int64_t n_certify = 0;
  int64_t n_handled = 0;  // of the certify rows
  int64_t n_agree = 0;
  std::optional<double> agreement_lower;  // what is certified
  double expected_coverage = 0;           // planned on learn
  int64_t fresh_handled = 0;
  int64_t fresh_agree = 0;

  double coverage() const;  // on certify rows
};

// One fit. Deterministic as fit() is, but for `seconds`.
struct SweepRun {
  int64_t traces = 0;  // rows asked for
  int64_t rows = 0;    // rows fitted: more where groups were drawn whole
  uint64_t seed = 0;
  int64_t fresh_rows = 0;
  std::vector<SweepPoint> points;  // ascending alpha
  std::vector<std::string> warnings;
  std::vector<std::pair<std::string, double>> seconds;  // by phase of fit(), and "fresh"

  double coverage(const SweepPoint& p) const;  // on fresh rows where there are some, else on certify rows
  std::optional<double> agreement(const SweepPoint& p) const;  // likewise; absent where nothing is handled
};

// Fits `traces` rows of the log (engine/log/subsample.h; all of them when there are no more) with options.split.seed,
// and scores the fresh rows where they are given. x is left as it is. Rows are drawn as the split of the whole log has
// it, also where a smaller log alone would not show that it is sorted by label. Memory: fit()'s, and x once more.
Result<SweepRun> sweep_run(Backend& backend, const Traces& log, const Matrix<float>& x, const FreshRows* fresh,
                           int64_t traces, FitOptions options,
                           const std::function<void(const std::string&)>& progress = {});

}  // namespace tracer
