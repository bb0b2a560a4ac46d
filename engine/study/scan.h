// What could be handled, before anything is trained: the vote of the nearest labelled rows stands in for a surrogate,
// and the parity gate tests it as it would test one (docs/guarantee.md), on rows that cast no vote. A certificate of a
// scan is as valid as one of a fit, and a fit usually certifies more.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/log/dependence.h"
#include "engine/log/split.h"
#include "engine/log/traces.h"
#include "engine/policy/policy.h"
#include "engine/prove/certify.h"
#include "engine/study/regions.h"
#include "kernels/backend.h"

namespace tracer {

struct ScanOptions {
  double alpha = 0.95;
  std::vector<double> sweep = {0.80, 0.85, 0.90, 0.95, 0.97, 0.98, 0.99};  // alpha is always included
  double delta = 0.05;
  double min_coverage = 0.05;
  Unit unit = Unit::kAuto;
  SplitOptions split;
  int64_t max_references = 100000;  // rows that vote, at most
};

// A region of the certify rows, with bounds that hold for all cells together: the agreement of the votes in a cell lies
// outside of [lower, upper] in any of them with probability at most delta (Clopper-Pearson, divided among cells and
// sides; rows of a cell are taken to be drawn one by one).
struct ScanCell {
  enum class Verdict { kHandle, kDefer, kOpen };  // lower >= alpha; upper < alpha; neither

  int64_t rows = 0;
  int64_t agree = 0;    // votes that are the teacher's label
  int64_t handled = 0;  // rows that the certificate at alpha handles
  double lower = 0, upper = 1;
  Verdict verdict = Verdict::kOpen;
  int32_t example = 0;                              // row of the log nearest to the centre
  std::vector<std::pair<int32_t, int64_t>> labels;  // teacher labels and their rows: the most frequent three
};

struct Scan {
  Split split;
  Dependence dependence;
  UnitChoice unit;
  std::vector<Certificate> certificates;  // ascending alpha
  std::vector<std::string> warnings;
  // Of the certify rows, in the split's order.
  std::vector<int32_t> vote;
  std::vector<double> score;  // lead of the vote over the next label's, as a share of all, times the nearest similarity
  std::vector<uint8_t> agree;  // vote is the teacher's label
  Matrix<float> x;             // unit rows
  Regions regions;
  std::vector<ScanCell> cells;  // of regions.region
};

// The fewest traces of a scan: certify rows, the share `split` makes of them, twice as many as the fewest that could
// certify alpha if all agreed.
int64_t fewest_scan_rows(const ScanOptions& options);

// x: n x d vectors aligned with the traces, taken over. Too few rows to split give certificates that are refusals, and
// no cells. kBadInput: bad options. Deterministic in (traces, x, options), for any number of threads. Cost: one
// self-join of the learn rows and one search of the certify rows: 2 n r d flops with r voting rows.
Result<Scan> scan(Backend& backend, const Traces& traces, Matrix<float> x, const ScanOptions& options);

}  // namespace tracer
