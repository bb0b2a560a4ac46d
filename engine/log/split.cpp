#include "engine/log/split.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "engine/maths/random.h"

namespace tracer {
namespace {

// Below this there are too few runs for guards to leave anything to learn from.
constexpr int64_t kFewestRowsForRuns = 400;

enum Side : uint8_t { kLearn, kCertify, kUnused };

// Deals units to folds in a random order, so that folds differ by at most one unit.
void deal_folds(Split& split, const SplitOptions& options) {
  const auto units = static_cast<int32_t>(count_units(split.unit));
  split.folds = static_cast<int>(std::min<int64_t>(options.folds, units));
  if (split.folds < 2) split.folds = 0;
  const auto order = Random(options.seed, Stream::kFold).permutation(units);
  std::vector<int32_t> fold_of(units);
  for (int32_t i = 0; i < units; ++i) fold_of[order[i]] = split.folds == 0 ? 0 : i % split.folds;
  split.fold.resize(split.unit.size());
  for (size_t i = 0; i < split.unit.size(); ++i) split.fold[i] = fold_of[split.unit[i]];
}

// Lists the rows of each side in ascending order.
void collect(const std::vector<uint8_t>& side, Split& split) {
  for (size_t row = 0; row < side.size(); ++row) {
    auto& list = side[row] == kLearn ? split.learn : side[row] == kCertify ? split.certify : split.unused;
    list.push_back(static_cast<int32_t>(row));
  }
}

// Cuts the rows of one side, listed in log order, into runs of kRunRows that do not cross a gap in place.
std::vector<int32_t> cut_runs(const std::vector<int64_t>& place) {
  std::vector<int32_t> unit(place.size());
  int32_t current = -1;
  int64_t length = 0;
  for (size_t i = 0; i < place.size(); ++i) {
    if (i == 0 || place[i] != place[i - 1] + 1 || length == kRunRows) {
      ++current;
      length = 0;
    }
    unit[i] = current;
    ++length;
  }
  return unit;
}

// Runs, given the order in which rows arrived and the side of each place in that order.
void finish_runs(const std::vector<int32_t>& order, const std::vector<uint8_t>& side_of_place, Split& split) {
  const int64_t n = static_cast<int64_t>(order.size());
  std::vector<uint8_t> side(n);
  std::vector<int64_t> learn_place, certify_place;
  std::vector<int32_t> learn_row, certify_row;
  for (int64_t p = 0; p < n; ++p) {
    side[order[p]] = side_of_place[p];
    if (side_of_place[p] == kLearn) learn_place.push_back(p), learn_row.push_back(order[p]);
    if (side_of_place[p] == kCertify) certify_place.push_back(p), certify_row.push_back(order[p]);
  }
  collect(side, split);
  // Units were cut in arrival order; the lists are in row order.
  std::vector<int32_t> unit_of_row(n, -1);
  const auto learn_units = cut_runs(learn_place), certify_units = cut_runs(certify_place);
  for (size_t i = 0; i < learn_row.size(); ++i) unit_of_row[learn_row[i]] = learn_units[i];
  for (size_t i = 0; i < certify_row.size(); ++i) unit_of_row[certify_row[i]] = certify_units[i];
  for (int32_t row : split.learn) split.unit.push_back(unit_of_row[row]);
  for (int32_t row : split.certify) split.certify_unit.push_back(unit_of_row[row]);
  split.unit_rows = kRunRows;
}

void split_rows(int64_t n, const SplitOptions& options, Split& split) {
  const auto order = Random(options.seed, Stream::kCertify).permutation(n);
  const int64_t certify = std::llround(options.certify_fraction * static_cast<double>(n));
  std::vector<uint8_t> side(n, kLearn);
  for (int64_t i = 0; i < certify; ++i) side[order[i]] = kCertify;
  collect(side, split);
  split.unit.resize(split.learn.size());
  std::iota(split.unit.begin(), split.unit.end(), 0);
  split.certify_unit.resize(split.certify.size());
  std::iota(split.certify_unit.begin(), split.certify_unit.end(), 0);
}

// Certify runs are drawn in stretches of neighbouring runs: a guard then costs 2 * kGuardRows rows a stretch and not a
// run. Stretches: one for every 500 rows, from 4 to 64, at random among the equal parts of the log.
void split_runs(int64_t n, const SplitOptions& options, Split& split) {
  const int64_t stretches = std::clamp<int64_t>(n / 500, 4, 64);
  // Never more parts than rows (1000 where there are few), however small the fraction.
  const double most = static_cast<double>(std::max<int64_t>(n, 1000));
  const int64_t parts = std::max<int64_t>(
      stretches, std::llround(std::min(static_cast<double>(stretches) / options.certify_fraction, most)));
  const auto order = Random(options.seed, Stream::kCertify).permutation(parts);
  std::vector<uint8_t> side(n, kLearn);
  const auto edge = [&](int64_t part) { return part * n / parts; };
  for (int64_t i = 0; i < stretches; ++i)
    std::fill(side.begin() + edge(order[i]), side.begin() + edge(order[i] + 1), kCertify);
  std::vector<uint8_t> guarded = side;
  for (int64_t p = 0; p < n && options.guard; ++p) {
    if (side[p] != kCertify) continue;
    for (int64_t q = std::max<int64_t>(0, p - kGuardRows); q < std::min(n, p + kGuardRows + 1); ++q)
      if (side[q] == kLearn) guarded[q] = kUnused;
  }
  std::vector<int32_t> arrival(n);
  std::iota(arrival.begin(), arrival.end(), 0);
  finish_runs(arrival, guarded, split);
}

Status split_time(const Traces& traces, const SplitOptions& options, Split& split) {
  const int64_t n = traces.rows();
  if (traces.timestamp.empty()) return bad_input(option("split") + " time: no row has a timestamp");
  for (int64_t i = 0; i < n; ++i)
    if (!std::isfinite(traces.timestamp[i]))
      return bad_input(option("split") + " time: line " + std::to_string(traces.line[i]) + " has no timestamp");
  std::vector<int32_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return traces.timestamp[a] < traces.timestamp[b]; });
  const int64_t certify = std::llround(options.certify_fraction * static_cast<double>(n));
  std::vector<uint8_t> side(n, kLearn);
  for (int64_t p = n - certify; p < n; ++p) side[p] = kCertify;
  for (int64_t p = std::max<int64_t>(0, n - certify - kGuardRows); p < n - certify; ++p) side[p] = kUnused;
  finish_runs(order, side, split);
  return {};
}

Status split_groups(const Traces& traces, const SplitOptions& options, Split& split) {
  if (traces.group.empty()) return bad_input("a split by groups needs " + option("group_by") + " KEY");
  const int64_t groups = *std::max_element(traces.group.begin(), traces.group.end()) + 1;
  const auto order = Random(options.seed, Stream::kCertify).permutation(groups);
  const int64_t certify = std::llround(options.certify_fraction * static_cast<double>(groups));
  std::vector<uint8_t> certifies(groups, 0);
  for (int64_t i = 0; i < certify; ++i) certifies[order[i]] = 1;
  std::vector<uint8_t> side(traces.rows());
  std::vector<int64_t> size(groups, 0);
  for (int64_t row = 0; row < traces.rows(); ++row) {
    side[row] = certifies[traces.group[row]] ? kCertify : kLearn;
    if (side[row] == kLearn) ++size[traces.group[row]];
  }
  collect(side, split);
  // Dense unit numbers on each side, in order of first appearance.
  const auto dense = [&](const std::vector<int32_t>& rows, std::vector<int32_t>& unit) {
    std::vector<int32_t> number(groups, -1);
    int32_t next = 0;
    for (int32_t row : rows) {
      int32_t& u = number[traces.group[row]];
      if (u < 0) u = next++;
      unit.push_back(u);
    }
  };
  dense(split.learn, split.unit);
  dense(split.certify, split.certify_unit);
  // From learn alone: a bound read off the certify groups would know what they hold.
  split.unit_rows = std::max<int64_t>(1, *std::max_element(size.begin(), size.end()));
  return {};
}

}  // namespace

const char* to_string(SplitKind kind) {
  switch (kind) {
    case SplitKind::kAuto:
      return "auto";
    case SplitKind::kRows:
      return "rows";
    case SplitKind::kRuns:
      return "runs";
    case SplitKind::kTime:
      return "time";
    case SplitKind::kGroups:
      return "groups";
  }
  return "?";
}

int64_t count_units(const std::vector<int32_t>& unit) {
  return unit.empty() ? 0 : *std::max_element(unit.begin(), unit.end()) + 1;
}

bool sorted_by_label(const std::vector<int32_t>& label) {
  const int64_t n = static_cast<int64_t>(label.size());
  if (n == 0) return false;
  int64_t blocks = 1;
  for (int64_t i = 1; i < n; ++i) blocks += label[i] != label[i - 1];
  std::vector<int32_t> distinct(label);
  std::sort(distinct.begin(), distinct.end());
  const int64_t labels = std::unique(distinct.begin(), distinct.end()) - distinct.begin();
  // A few long blocks a label. Traffic with few labels changes label far more often than this.
  return labels >= 2 && blocks <= 4 * labels && n >= 8 * blocks;
}

Result<Split> make_split(const Traces& traces, const SplitOptions& options) {
  const int64_t n = traces.rows();
  Split split;
  split.kind = options.kind;
  if (options.kind == SplitKind::kAuto) {
    if (!traces.group.empty()) {
      split.kind = SplitKind::kGroups;
      split.reason = "groups were named: each stays on one side";
    } else if (sorted_by_label(traces.label)) {
      split.kind = SplitKind::kRows;
      split.reason = "the file is sorted by label, so its order says nothing about arrival: rows are drawn one by one";
    } else if (n < kFewestRowsForRuns) {
      split.kind = SplitKind::kRows;
      split.reason = "fewer than " + std::to_string(kFewestRowsForRuns) + " rows: too few for runs";
    } else {
      split.kind = SplitKind::kRuns;
      split.reason = "neighbours in a log are often related: runs of about 20 rows stay together";
    }
  } else {
    split.reason = "asked for";
  }
  switch (split.kind) {
    case SplitKind::kRows:
      split_rows(n, options, split);
      break;
    case SplitKind::kRuns:
      split_runs(n, options, split);
      break;
    case SplitKind::kTime:
      TRACER_RETURN_IF_ERROR(split_time(traces, options, split));
      break;
    default:
      TRACER_RETURN_IF_ERROR(split_groups(traces, options, split));
      break;
  }
  deal_folds(split, options);
  return split;
}

Split learn_only_split(int64_t rows, SplitKind kind, const SplitOptions& options) {
  Split split;
  split.kind = kind == SplitKind::kRows ? SplitKind::kRows : SplitKind::kRuns;
  split.reason = "all rows learn";
  split.learn.resize(static_cast<size_t>(rows));
  std::iota(split.learn.begin(), split.learn.end(), 0);
  if (split.kind == SplitKind::kRows) {
    split.unit = split.learn;
  } else {
    split.unit = cut_runs({split.learn.begin(), split.learn.end()});
    split.unit_rows = kRunRows;
  }
  deal_folds(split, options);
  return split;
}

void order_by_fold(Split& split) {
  std::vector<int32_t> order(split.learn.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return split.fold[a] < split.fold[b]; });
  for (auto* list : {&split.learn, &split.fold, &split.unit}) {
    std::vector<int32_t> sorted;
    sorted.reserve(order.size());
    for (int32_t i : order) sorted.push_back((*list)[i]);
    *list = std::move(sorted);
  }
}

LeftOut leave_out_large_units(Split& split) {
  LeftOut left;
  std::vector<int64_t> size;
  for (int32_t u : split.certify_unit) {
    if (u >= static_cast<int32_t>(size.size())) size.resize(u + 1, 0);
    ++size[u];
  }
  std::vector<int32_t> number(size.size(), -1);
  int32_t next = 0;
  for (size_t u = 0; u < size.size(); ++u) {
    if (size[u] <= split.unit_rows)
      number[u] = next++;
    else
      ++left.units, left.rows += size[u];
  }
  if (left.units == 0) return left;
  std::vector<int32_t> certify, unit;
  for (size_t i = 0; i < split.certify.size(); ++i) {
    const int32_t u = number[split.certify_unit[i]];
    if (u < 0)
      split.unused.push_back(split.certify[i]);
    else
      certify.push_back(split.certify[i]), unit.push_back(u);
  }
  split.certify = std::move(certify);
  split.certify_unit = std::move(unit);
  std::sort(split.unused.begin(), split.unused.end());
  return left;
}

}  // namespace tracer
