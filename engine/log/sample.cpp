#include "engine/log/sample.h"

#include <algorithm>
#include <numeric>

#include "engine/maths/random.h"

namespace tracer {

std::vector<int32_t> sample_units(std::span<const int32_t> unit, std::span<const int32_t> fold, int64_t most,
                                  uint64_t seed) {
  const auto n = static_cast<int64_t>(unit.size());
  std::vector<int32_t> all(unit.size());
  std::iota(all.begin(), all.end(), 0);
  if (n <= most) return all;
  std::vector<int64_t> rows;
  std::vector<int32_t> fold_of;  // units never straddle folds
  for (int64_t i = 0; i < n; ++i) {
    if (unit[i] >= static_cast<int32_t>(rows.size())) rows.resize(unit[i] + 1, 0), fold_of.resize(unit[i] + 1, 0);
    ++rows[unit[i]];
    fold_of[unit[i]] = fold[i];
  }
  std::vector<uint8_t> taken(rows.size(), 0);
  int64_t total = 0;
  int32_t first_fold = -1;
  bool folds = false;  // more than one
  for (int32_t u : Random(seed, Stream::kSample).permutation(static_cast<int64_t>(rows.size()))) {
    if (rows[u] == 0) continue;
    if (total + rows[u] > most && 2 * total >= most && folds) break;
    taken[u] = 1;
    total += rows[u];
    if (first_fold < 0) first_fold = fold_of[u];
    folds |= fold_of[u] != first_fold;
  }
  std::erase_if(all, [&](int32_t i) { return taken[unit[i]] == 0; });
  return all;
}

void permute_rows(Matrix<float>& x, std::span<const int32_t> order) {
  std::vector<uint8_t> done(order.size(), 0);
  std::vector<float> held(static_cast<size_t>(x.cols()));
  for (size_t start = 0; start < order.size(); ++start) {
    if (done[start]) continue;
    std::copy_n(x.row(static_cast<int64_t>(start)), x.cols(), held.data());
    size_t at = start;
    for (; order[at] != static_cast<int32_t>(start); at = static_cast<size_t>(order[at])) {
      std::copy_n(x.row(order[at]), x.cols(), x.row(static_cast<int64_t>(at)));
      done[at] = 1;
    }
    std::copy_n(held.data(), x.cols(), x.row(static_cast<int64_t>(at)));
    done[at] = 1;
  }
}

Layout lay_out(const Split& split, std::span<const int32_t> sample, Matrix<float>& x) {
  Layout at;
  at.sample_rows = static_cast<int64_t>(sample.size());
  std::vector<uint8_t> sampled(split.learn.size(), 0), placed(static_cast<size_t>(x.rows()), 0);
  for (int32_t i : sample) sampled[i] = 1;
  for (uint8_t part : {1, 0})
    for (size_t i = 0; i < split.learn.size(); ++i) {
      if (sampled[i] != part) continue;
      at.learn.push_back(split.learn[i]), at.fold.push_back(split.fold[i]), at.unit.push_back(split.unit[i]);
      placed[split.learn[i]] = 1;
    }
  std::vector<int32_t> order = at.learn;
  for (int32_t row = 0; row < x.rows(); ++row)
    if (!placed[row]) order.push_back(row);
  permute_rows(x, order);
  at.place.resize(order.size());
  for (size_t i = 0; i < order.size(); ++i) at.place[order[i]] = static_cast<int32_t>(i);
  return at;
}

}  // namespace tracer
