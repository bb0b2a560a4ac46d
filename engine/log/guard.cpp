#include "engine/log/guard.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "engine/maths/percent.h"
#include "engine/maths/pick.h"
#include "engine/maths/random.h"

namespace tracer {
namespace {

constexpr int64_t kBlockRows = 1024;
constexpr int64_t kMostBlocks = 8;
constexpr int64_t kPermutations = 199;

struct Counts {
  int64_t near = 0;
  int64_t same_label = 0;
};

// Neighbouring rows of the log, and which of them is each one's nearest.
struct Block {
  std::vector<int32_t> place, label, nearest;
  std::vector<std::pair<int32_t, int32_t>> close;  // pairs within kGuardRows places
};

Result<Block> block_of(Backend& backend, HostMatrix<const float> x, std::span<const int32_t> label,
                       std::span<const int32_t> row) {
  Block b;
  b.place.assign(row.begin(), row.end());
  const auto n = static_cast<int64_t>(row.size());
  const Matrix<float> rows = pick_rows(x, b.place);
  Matrix<float> similarity(n, 1);
  Matrix<int32_t> nearest(n, 1);
  std::vector<int32_t> self(static_cast<size_t>(n));
  std::iota(self.begin(), self.end(), 0);
  for (int32_t r : row) b.label.push_back(label[static_cast<size_t>(r)]);
  TRACER_RETURN_IF_ERROR(
      backend.topk_cosine(rows.view(), rows.view(), self, self, TopK{nearest.view(), similarity.view()}));
  b.nearest.assign(nearest.data(), nearest.data() + n);
  for (int32_t i = 0; i < n; ++i)
    for (int32_t j = i + 1; j < n && b.place[j] - b.place[i] <= kGuardRows; ++j) b.close.emplace_back(i, j);
  return b;
}

// at[i]: where row i of the block stands.
Counts count(const Block& b, std::span<const int32_t> at) {
  Counts c;
  std::vector<int32_t> label(at.size());
  for (size_t i = 0; i < at.size(); ++i) {
    label[at[i]] = b.label[i];
    c.near += std::abs(b.place[at[i]] - b.place[at[b.nearest[i]]]) <= kGuardRows;
  }
  for (const auto& [i, j] : b.close) c.same_label += label[i] == label[j];
  return c;
}

}  // namespace

Result<OrderCheck> check_order(Backend& backend, HostMatrix<const float> x, std::span<const int32_t> label,
                               std::span<const int32_t> row, uint64_t seed) {
  OrderCheck check;
  const auto n = static_cast<int64_t>(row.size());
  if (n < 2) return check;
  const int64_t blocks = std::min((n + kBlockRows - 1) / kBlockRows, kMostBlocks);
  const int64_t size = std::min(n / blocks, kBlockRows);
  Counts seen;
  std::vector<Counts> permuted(kPermutations);
  int64_t pairs = 0;
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t first = blocks > 1 ? b * (n - size) / (blocks - 1) : 0;
    TRACER_ASSIGN_OR_RETURN(
        auto block, block_of(backend, x, label, row.subspan(static_cast<size_t>(first), static_cast<size_t>(size))));
    std::vector<int32_t> own(static_cast<size_t>(size));
    std::iota(own.begin(), own.end(), 0);
    const Counts c = count(block, own);
    seen.near += c.near, seen.same_label += c.same_label;
    pairs += static_cast<int64_t>(block.close.size());
    const Random random(mix64(seed) + static_cast<uint64_t>(b), Stream::kPermute);
    for (int64_t p = 0; p < kPermutations; ++p) {
      const Counts d = count(block, random.permutation(size, static_cast<uint64_t>(p * size)));
      permuted[p].near += d.near, permuted[p].same_label += d.same_label;
    }
  }
  check.rows = blocks * size;
  int64_t near = 0, same = 0, near_sum = 0, same_sum = 0;
  for (const Counts& c : permuted) {
    near += c.near >= seen.near, same += c.same_label >= seen.same_label;
    near_sum += c.near, same_sum += c.same_label;
  }
  const auto rows = static_cast<double>(check.rows), all = static_cast<double>(std::max<int64_t>(pairs, 1));
  constexpr auto kRuns = static_cast<double>(kPermutations);
  check.near_share = static_cast<double>(seen.near) / rows;
  check.near_chance = static_cast<double>(near_sum) / kRuns / rows;
  check.near_p = static_cast<double>(1 + near) / (1 + kRuns);
  check.label_share = static_cast<double>(seen.same_label) / all;
  check.label_chance = static_cast<double>(same_sum) / kRuns / all;
  check.label_p = static_cast<double>(1 + same) / (1 + kRuns);
  return check;
}

Result<Split> draw_split(Backend& backend, const Traces& traces, HostMatrix<const float> x, SplitOptions options) {
  auto split = make_split(traces, options);
  if (!split.ok() || options.kind != SplitKind::kAuto || split->kind != SplitKind::kRuns || split->unused.empty())
    return split;
  std::vector<int32_t> outside;
  std::merge(split->learn.begin(), split->learn.end(), split->unused.begin(), split->unused.end(),
             std::back_inserter(outside));
  TRACER_ASSIGN_OR_RETURN(const auto check, check_order(backend, x, traces.label, outside, options.seed));
  const std::string seen = check.near_p <= 0.05 || !check.bursts()
                               ? percent(check.near_share) + " of rows have their nearest within " +
                                     std::to_string(kGuardRows) + " places, by chance " + percent(check.near_chance)
                               : percent(check.label_share) + " of pairs within " + std::to_string(kGuardRows) +
                                     " places share a label, by chance " + percent(check.label_chance);
  if (check.related()) {
    split->reason += "; " + seen;
    return split;
  }
  options.guard = false;
  auto whole = make_split(traces, options);
  if (whole.ok())
    whole->reason = split->reason + "; but " + seen + ", so rows next to a certify run are learned from too";
  return whole;
}

}  // namespace tracer
