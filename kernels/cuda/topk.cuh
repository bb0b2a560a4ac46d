// Top-k search over tiles of scores. A product gives the scores of a batch of queries against a tile of references
// (which stay in the second-level cache); select_kernel folds each tile into one sorted list a query, so that nothing
// of size queries x references is ever kept.
//
// float32 scores (exact_gemm.cuh): the list's first k entries are the answer (emit_kernel).
// bfloat16 scores: the list, longer than k, only proposes. rescore_kernel computes the float32 scores of all it holds;
// what the list excludes has a bfloat16 score of at most its last entry's, hence a float32 score of at most that plus
//   bound(q) = |q - q'| max|r| + |q'| max|r - r'| + 1.25 d 2^-22 |q| max|r|     (' rounds to bfloat16)
// by Cauchy-Schwarz for the rounding of the operands; the products of bfloat16s are exact in float32, and d additions
// err by at most 2^-22 of sum|q_i r_i| each in the tensor cores (they truncate), by 2^-24 in float32. A query whose
// k-th float32 score lies above is certified; any other is searched again in float32.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/backend.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/exact_gemm.cuh"
#include "kernels/cuda/storage.cuh"
#include "kernels/cuda/warp.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

inline constexpr int kTopkThreads = 128;  // four queries a block
inline constexpr int kMaxNeighbours = 64;

// Length of a row and of what rounding it to bfloat16 took away, both a little too large rather than too small.
struct RowNorm {
  float length;
  float lost;
};

// out (rows x padded): x rounded, 0 beyond cols; norm: of each row; largest (2 values, as bits, 0 before): the largest
// length and loss of all rows. A warp a row.
TRACER_KERNEL round_rows_kernel(device::Global<const float> x, int64_t rows, int64_t cols, int64_t padded,
                                device::Global<BFloat16> out, device::Global<RowNorm> norm,
                                device::Global<int32_t> largest) {
  const int64_t row = warp_in_grid();
  if (row >= rows) return;
  double length = 0.0, lost = 0.0;
  for (int64_t c = lane_index(); c < padded; c += device::kWarp) {
    const float v = c < cols ? static_cast<float>(x[row * cols + c]) : 0.0f;
    const BFloat16 rounded = round_to_bfloat16(v);
    out[row * padded + c] = rounded;
    const double difference = static_cast<double>(v) - static_cast<double>(widen(rounded));
    length += static_cast<double>(v) * static_cast<double>(v);
    lost += difference * difference;
  }
  length = warp_sum(length);
  lost = warp_sum(lost);
  if (lane_index() != 0) return;
  constexpr double kUp = 1.000001;  // more than the roundings of the sums and of the narrowing
  RowNorm n;
  n.length = static_cast<float>(sqrt(length) * kUp);
  n.lost = static_cast<float>(sqrt(lost) * kUp);
  norm[row] = n;
  // Floats that are not negative order as their bits do.
  device::atomic_max(largest, 0, static_cast<int32_t>(device::float_bits(n.length)));
  device::atomic_max(largest, 1, static_cast<int32_t>(device::float_bits(n.lost)));
}

// The lists of all queries between tiles: queries x kLength.
struct Lists {
  device::Global<float> score;
  device::Global<int32_t> index;
};

template <int kSlots>
TRACER_DEVICE WarpList<kSlots> load_list(const Lists& lists, int64_t query) {
  WarpList<kSlots> list;
  TRACER_UNROLL
  for (int s = 0; s < kSlots; ++s) {
    const int64_t at = query * WarpList<kSlots>::kLength + s * device::kWarp + lane_index();
    list.score[s] = lists.score[at];
    list.index[s] = lists.index[at];
  }
  return list;
}

// Which references a query may have: all, or those of other groups.
struct Groups {
  bool excluding;
  device::Global<const int32_t> query;
  device::Global<const int32_t> reference;
};

// tile (queries x cols, row stride stride): scores against the references from first on. A warp a query. fresh: the
// lists start empty. Eight columns a lane are in flight before anything is decided about them, and most of the time one
// vote says that none of them enters.
template <int kSlots>
TRACER_KERNEL TRACER_MAX_THREADS(kTopkThreads)
    select_kernel(device::Global<const float> tile, int64_t queries, int64_t cols, int64_t stride, int64_t first,
                  bool fresh, Groups groups, Lists lists) {
  constexpr int kAhead = 8;
  const int64_t query = warp_in_grid();
  if (query >= queries) return;  // the whole warp
  const int lane = lane_index();
  WarpList<kSlots> list;
  if (fresh) {
    list.clear();
  } else {
    list = load_list<kSlots>(lists, query);
  }
  const int32_t group = groups.excluding ? static_cast<int32_t>(groups.query[query]) : 0;
  float last_score = list.last_score();
  int32_t last_index = list.last_index();

  for (int64_t base = 0; base < cols; base += kAhead * device::kWarp) {
    float score[kAhead];
    TRACER_UNROLL
    for (int a = 0; a < kAhead; ++a) {
      const int64_t col = base + a * device::kWarp + lane;
      score[a] = col < cols ? static_cast<float>(tile[query * stride + col]) : -INFINITY;
    }
    float best = score[0];
    TRACER_UNROLL
    for (int a = 1; a < kAhead; ++a) best = score[a] > best ? score[a] : best;
    if (!device::any(best >= last_score)) continue;
    TRACER_UNROLL
    for (int a = 0; a < kAhead; ++a) {
      const int64_t col = base + a * device::kWarp + lane;
      const int32_t index = static_cast<int32_t>(first + col);
      bool enters = col < cols && before(score[a], index, last_score, last_index);
      if (enters && groups.excluding) enters = groups.reference[index] != group;
      uint32_t waiting = device::ballot(enters);
      while (waiting != 0) {
        const int from = device::lowest_bit(waiting);
        waiting &= waiting - 1;
        list.insert(device::shuffle(score[a], from), device::shuffle(index, from));
        last_score = list.last_score();
        last_index = list.last_index();
      }
    }
  }

  TRACER_UNROLL
  for (int s = 0; s < kSlots; ++s) {
    const int64_t at = query * WarpList<kSlots>::kLength + s * device::kWarp + lane;
    lists.score[at] = list.score[s];
    lists.index[at] = list.index[s];
  }
}

// Where the answers of a batch go: queries x k, and a summary each where summarising.
struct Answers {
  int64_t k;
  device::Global<int32_t> index;
  device::Global<float> score;
  bool summarising;
  bool labelled;
  device::Global<const int32_t> label;  // of the references
  device::Global<NeighbourSummary> summary;
};

template <int kSlots>
TRACER_DEVICE void answer(const WarpList<kSlots>& list, int64_t query, const Answers& out) {
  const int lane = lane_index();
  int found = 0;
  TRACER_UNROLL
  for (int s = 0; s < kSlots; ++s) {
    const int entry = s * device::kWarp + lane;
    const bool used = entry < out.k && list.index[s] != INT32_MAX;
    found += device::popcount(device::ballot(used));
    if (entry < out.k) {
      out.index[query * out.k + entry] = used ? list.index[s] : -1;
      out.score[query * out.k + entry] = used ? list.score[s] : -2.0f;
    }
  }
  if (!out.summarising) return;
  NeighbourSummary sum;
  sum.nearest = -2.0f;
  sum.mean_distance_10 = 2.0f;
  sum.vote = -1;
  sum.vote_share = 0.0f;
  if (found > 0) {
    sum.nearest = device::shuffle(list.score[0], 0);
    const int near = found < kNeighbourhood ? found : static_cast<int>(kNeighbourhood);
    double distance = 0.0;
    for (int j = 0; j < near; ++j) distance += 1.0 - static_cast<double>(device::shuffle(list.score[0], j));
    sum.mean_distance_10 = static_cast<float>(distance / near);
  }
  if (found > 0 && out.labelled) {
    int32_t label[kSlots];
    int votes[kSlots];
    TRACER_UNROLL
    for (int s = 0; s < kSlots; ++s) {
      const bool used = s * device::kWarp + lane < found;
      label[s] = used ? static_cast<int32_t>(out.label[list.index[s]]) : INT32_MAX;
      votes[s] = 0;
    }
    TRACER_UNROLL
    for (int s = 0; s < kSlots; ++s) {
      for (int l = 0; l < device::kWarp && s * device::kWarp + l < found; ++l) {
        const int32_t other = device::shuffle(label[s], l);
        TRACER_UNROLL
        for (int t = 0; t < kSlots; ++t) votes[t] += other == label[t] ? 1 : 0;
      }
    }
    int most = 0;
    int32_t winner = INT32_MAX;
    TRACER_UNROLL
    for (int s = 0; s < kSlots; ++s) {
      if (label[s] == INT32_MAX && s * device::kWarp + lane >= found) continue;
      if (votes[s] > most || (votes[s] == most && label[s] < winner)) {
        most = votes[s];
        winner = label[s];
      }
    }
    TRACER_UNROLL
    for (int mask = device::kWarp / 2; mask > 0; mask /= 2) {
      const int other_most = device::shuffle_xor(most, mask);
      const int32_t other_winner = device::shuffle_xor(winner, mask);
      if (other_most > most || (other_most == most && other_winner < winner)) {
        most = other_most;
        winner = other_winner;
      }
    }
    sum.vote = winner;
    sum.vote_share = static_cast<float>(most) / static_cast<float>(found);
  }
  if (lane == 0) out.summary[query] = sum;
}

// The answers are the heads of the lists. A warp a query; kSlots * 32 >= k.
template <int kSlots>
TRACER_KERNEL TRACER_MAX_THREADS(kTopkThreads) emit_kernel(int64_t queries, Lists lists, Answers out) {
  const int64_t query = warp_in_grid();
  if (query < queries) answer(load_list<kSlots>(lists, query), query, out);
}

// The float32 score, by the chains of exact_gemm.cuh.
TRACER_DEVICE float exact_score(device::Global<const float> q, device::Global<const float> r, int64_t d) {
  float total = 0.0f;
  for (int64_t k0 = 0; k0 < d; k0 += kChain) {
    const int64_t last = k0 + kChain < d ? k0 + kChain : d;
    float chain = 0.0f;
    if (d % 4 == 0) {
      for (int64_t k = k0; k < last; k += 4) {
        const device::Four<float> qs = device::load4(q, k), rs = device::load4(r, k);
        TRACER_UNROLL
        for (int e = 0; e < 4; ++e) chain = fmaf(qs.v[e], rs.v[e], chain);
      }
    } else {
      for (int64_t k = k0; k < last; ++k) chain = fmaf(q[k], r[k], chain);
    }
    total = k0 == 0 ? chain : total + chain;
  }
  return total;
}

// q (queries x d), r (references x d); certified[query]: 1 where the answer is proven, else 0. A warp a query, a lane
// a candidate: the query's elements are the same address in all lanes, and each lane walks its own reference's lines.
template <int kSlots>
TRACER_KERNEL TRACER_MAX_THREADS(kTopkThreads)
    rescore_kernel(device::Global<const float> q, int64_t queries, int64_t d, device::Global<const float> r,
                   device::Global<const RowNorm> q_norm, device::Global<const int32_t> largest, Lists lists,
                   device::Global<int32_t> certified, Answers out) {
  const int64_t query = warp_in_grid();
  if (query >= queries) return;
  const WarpList<kSlots> proposed = load_list<kSlots>(lists, query);
  WarpList<kSlots> list;
  list.clear();
  TRACER_UNROLL
  for (int s = 0; s < kSlots; ++s) {
    const bool used = proposed.index[s] != INT32_MAX;
    float score = 0.0f;
    if (used) score = exact_score(q + query * d, r + static_cast<int64_t>(proposed.index[s]) * d, d);
    uint32_t waiting = device::ballot(used);
    while (waiting != 0) {
      const int from = device::lowest_bit(waiting);
      waiting &= waiting - 1;
      list.insert(device::shuffle(score, from), device::shuffle(proposed.index[s], from));
    }
  }
  const bool excludes = proposed.last_index() != INT32_MAX;
  const float excluded = proposed.last_score();
  float kth = -INFINITY;
  TRACER_UNROLL
  for (int s = 0; s < kSlots; ++s) {  // the same branch in all lanes
    const float here = device::shuffle(list.score[s], static_cast<int>((out.k - 1) % device::kWarp));
    if (s == (out.k - 1) / device::kWarp) kth = here;
  }
  answer(list, query, out);
  if (lane_index() != 0) return;
  const RowNorm n = q_norm[query];
  const double r_length = static_cast<double>(device::float_of_bits(static_cast<uint32_t>(largest[0])));
  const double r_lost = static_cast<double>(device::float_of_bits(static_cast<uint32_t>(largest[1])));
  const double length = static_cast<double>(n.length), lost = static_cast<double>(n.lost);
  const double additions = 1.25 * static_cast<double>(d) * 2.384185791015625e-7;
  const double bound = lost * r_length + (length + lost) * r_lost + additions * (length + lost) * (r_length + r_lost);
  // Above, not at: an excluded reference of the same score could have the lower index.
  const bool proven = !excludes || static_cast<double>(kth) > static_cast<double>(excluded) + bound;
  certified[query] = proven ? 1 : 0;
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
