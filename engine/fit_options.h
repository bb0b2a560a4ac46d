// What a fit is asked for.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/learn/choices.h"
#include "engine/learn/descriptions.h"
#include "engine/log/split.h"
#include "engine/log/traces.h"
#include "engine/prove/certify.h"
#include "kernels/matrix.h"
#include "kernels/status.h"

namespace tracer {

inline constexpr int64_t kFewestReferences = 100;

struct FitOptions {
  double alpha = 0.95;
  std::vector<double> sweep = {0.80, 0.85, 0.90, 0.95, 0.97, 0.98, 0.99};  // alpha is always included
  double delta = 0.05;
  double min_coverage = 0.05;
  bool simultaneous = false;  // delta / (number of alphas) each
  int looks = 1;              // fits of this log that share delta
  Unit unit = Unit::kAuto;
  bool approximate = false;
  SplitOptions split;
  std::optional<Split> given_split;  // of the traces, instead of one drawn as `split` says
  std::vector<int32_t> never;        // labels, by index: rows with such a surrogate label are always deferred
  int64_t max_references = 100000;   // learn rows that neighbours are looked up among and candidates compared on
  Choices choices;
  double label_floor = 0;                // labels that learn does not show to agree this often are deferred; 0: none
  int64_t keep_certify = 0;              // certify rows whose vectors the result keeps, at most
  std::optional<double> budget_seconds;  // of learning; once spent, no further candidate is tried
  // What labels mean, by index. A label that the log shows few times is learned from them. They must outlive the fit.
  const Descriptions* descriptions = nullptr;
  // n, not empty: a cascade (engine/learn/cascade.h), whose text stage learns from these texts of the traces.
  std::span<const std::string> cascade_texts;
  double cascade_tolerance = 0.005;  // share of all rows of planned coverage that the text stage may cost
};

// The alphas of the sweep and the one asked for, ascending, each once.
std::vector<double> tested_alphas(const FitOptions& options);

// kBadInput names the option that is out of range or at odds with another one; kInternal means that traces, vectors,
// texts or descriptions do not fit each other.
Status check_fit_options(const FitOptions& options, const Traces& traces, const Matrix<float>& x);

}  // namespace tracer
