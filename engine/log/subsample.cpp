#include "engine/log/subsample.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "engine/maths/pick.h"
#include "engine/maths/random.h"

namespace tracer {
namespace {

// What is drawn whole, as lists of rows.
std::vector<std::vector<int32_t>> units_of(const Traces& traces, SplitKind kind) {
  const int64_t n = traces.rows();
  std::vector<std::vector<int32_t>> units;
  if (kind == SplitKind::kGroups) {
    for (int64_t row = 0; row < n; ++row) {
      const auto group = static_cast<size_t>(traces.group[row]);
      if (group >= units.size()) units.resize(group + 1);
      units[group].push_back(static_cast<int32_t>(row));
    }
    return units;
  }
  std::vector<int32_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  if (kind == SplitKind::kTime)
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return traces.timestamp[a] < traces.timestamp[b]; });
  const int64_t size = kind == SplitKind::kRows ? 1 : kRunRows;
  for (int64_t first = 0; first < n; first += size)
    units.emplace_back(order.begin() + first, order.begin() + std::min(n, first + size));
  return units;
}

}  // namespace

std::vector<int32_t> subsample(const Traces& traces, SplitKind kind, int64_t n, uint64_t seed) {
  std::vector<int32_t> rows;
  if (n >= traces.rows()) {
    rows.resize(traces.rows());
    std::iota(rows.begin(), rows.end(), 0);
    return rows;
  }
  const auto units = units_of(traces, kind);
  for (int32_t u : Random(seed, Stream::kSubsample).permutation(static_cast<int64_t>(units.size()))) {
    if (static_cast<int64_t>(rows.size()) >= n) break;
    rows.insert(rows.end(), units[u].begin(), units[u].end());
  }
  if (kind != SplitKind::kGroups && static_cast<int64_t>(rows.size()) > n) rows.resize(n);
  std::sort(rows.begin(), rows.end());
  return rows;
}

Traces take_rows(const Traces& traces, const std::vector<int32_t>& rows) {
  Traces out;
  out.labels = traces.labels;
  out.label = pick(traces.label, rows);
  out.text_hash = pick(traces.text_hash, rows);
  out.group = pick(traces.group, rows);
  out.timestamp = pick(traces.timestamp, rows);
  out.id = pick(traces.id, rows);
  out.line = pick(traces.line, rows);
  std::unordered_map<int64_t, int64_t> number;
  for (int64_t& group : out.group) group = number.try_emplace(group, static_cast<int64_t>(number.size())).first->second;
  return out;
}

}  // namespace tracer
