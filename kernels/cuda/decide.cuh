// Decisions about rows (kernels/decisions.h). head_kernel goes from rows to probabilities in one pass: the logits of a
// block's rows live in shared memory and nowhere else. head_rows_kernel starts from logits in device memory, and
// decide_rows_kernel from given probabilities. Once those are there a row is a warp's; sums over classes are taken by
// lanes in ascending class and joined by a butterfly, so their order depends on C alone.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/backend.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/exact_gemm.cuh"
#include "kernels/cuda/warp.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

inline constexpr int kDecideThreads = 128;
inline constexpr int kHeadRows = 16;  // rows of a block of head_kernel, and accumulators of a thread
inline constexpr int kVoteThreads = 128;

// What each neighbour says: label -1 and weight 0 where there is none.
struct Votes {
  int64_t k;  // 0: nobody votes
  float weight;
  device::Global<const int32_t> label;   // n x k
  device::Global<const double> mass;     // n x k
  device::Global<const double> inverse;  // n: 1 / the sum of a row's masses; 0 where nobody votes
};

// One thread an entry.
TRACER_KERNEL cast_votes_kernel(device::Global<const int32_t> neighbour, device::Global<const float> similarity,
                                int64_t count, device::Global<const int32_t> reference_label, float sharpness,
                                device::Global<int32_t> label, device::Global<double> mass) {
  const int64_t i = device::block_index() * device::block_size() + device::thread_index();
  if (i >= count) return;
  const int32_t index = neighbour[i];
  if (index < 0) {
    label[i] = -1;
    mass[i] = 0.0;
    return;
  }
  label[i] = reference_label[index];
  const double s = static_cast<double>(similarity[i]);
  const double positive = s > 0.0 ? s : 0.0;
  mass[i] = sharpness == 1.0f ? positive : pow(positive, static_cast<double>(sharpness));
}

// One thread a row. Apart from decide_row: a division of doubles is a call, which costs its callers registers.
TRACER_KERNEL weigh_votes_kernel(device::Global<const double> mass, int64_t rows, int64_t k,
                                 device::Global<double> inverse) {
  const int64_t row = device::block_index() * device::block_size() + device::thread_index();
  if (row >= rows) return;
  double total = 0.0;
  for (int64_t j = 0; j < k; ++j) total += mass[row * k + j];
  inverse[row] = total > 0.0 ? 1.0 / total : 0.0;
}

// What the neighbours of a decided row say by themselves: nearest, mean_distance_10, vote_share. One thread a row.
TRACER_KERNEL describe_neighbours_kernel(device::Global<const int32_t> label, device::Global<const float> similarity,
                                         int64_t rows, int64_t k, device::Global<DecisionFeatures> features) {
  const int64_t row = device::block_index() * device::block_size() + device::thread_index();
  if (row >= rows) return;
  DecisionFeatures f = features[row];
  int64_t available = 0, same = 0;
  double distance = 0.0;
  for (int64_t j = 0; j < k; ++j) {
    const int32_t voted = label[row * k + j];
    if (voted < 0) continue;
    const float s = similarity[row * k + j];
    if (available == 0) f.nearest = s;
    if (available < kNeighbourhood) distance += 1.0 - static_cast<double>(s);
    ++available;
    same += voted == f.label ? 1 : 0;
  }
  if (available == 0) return;
  const int64_t near = available < kNeighbourhood ? available : kNeighbourhood;
  f.mean_distance_10 = static_cast<float>(distance / static_cast<double>(near));
  f.vote_share = static_cast<float>(static_cast<double>(same) / static_cast<double>(available));
  features[row] = f;
}

// The vote of one class, in float64: in ascending neighbour.
TRACER_DEVICE double vote_mass(const Votes& votes, int64_t row, int32_t label) {
  double mass = 0.0;
  for (int64_t j = 0; j < votes.k; ++j) {
    if (votes.label[row * votes.k + j] == label) mass += votes.mass[row * votes.k + j];
  }
  return mass;
}

// out = softmax(z + bias) of the warp's row of logits, which is consumed; a lane touches its own classes only. out may
// be z.
TRACER_DEVICE void softmax_row(device::Global<float> z, device::Global<const float> bias, int64_t classes,
                               device::Global<float> out) {
  float best = -INFINITY;
  for (int64_t c = lane_index(); c < classes; c += device::kWarp) {
    const float b = bias[c];
    const float v = b <= kRemovedBias ? -INFINITY : z[c] + b;
    z[c] = v;
    best = fmaxf(best, v);
  }
  best = warp_largest(best);
  float sum = 0.0f;
  for (int64_t c = lane_index(); c < classes; c += device::kWarp) {
    const float e = expf(z[c] - best);
    z[c] = e;
    sum += e;
  }
  const float inverse = 1.0f / warp_sum(sum);
  for (int64_t c = lane_index(); c < classes; c += device::kWarp) out[c] = z[c] * inverse;
}

// z (n x classes), dense: logits, which become probabilities.
TRACER_KERNEL TRACER_MAX_THREADS(kDecideThreads)
    head_rows_kernel(device::Global<float> z, int64_t rows, int64_t classes, device::Global<const float> bias) {
  const int64_t row = warp_in_grid();
  if (row < rows) softmax_row(z + row * classes, bias, classes, z + row * classes);
}

// The features of row `row`, but for what describe_neighbours_kernel adds. s: its classes probabilities.
TRACER_DEVICE void decide_row(device::Global<const float> s, int64_t row, int64_t classes, const Votes& votes,
                              device::Global<DecisionFeatures> features) {
  const int lane = lane_index();
  const double inverse = votes.k > 0 ? static_cast<double>(votes.inverse[row]) : 0.0;
  const bool voting = inverse > 0.0;
  const float keep = 1.0f - votes.weight;

  BestTwo two = no_best();
  float entropy = 0.0f;
  for (int64_t c = lane; c < classes; c += device::kWarp) {
    float p = s[c];
    if (voting && votes.weight != 0.0f) {
      const float vote = static_cast<float>(vote_mass(votes, row, static_cast<int32_t>(c)) * inverse);
      p = keep * p + votes.weight * vote;
    }
    take(two, p, static_cast<int32_t>(c));
    if (p > 0.0f) entropy -= p * logf(p);
  }
  two = warp_best_two(two);
  entropy = warp_sum(entropy);
  if (lane != 0) return;

  DecisionFeatures f;
  f.label = two.index;
  f.top1 = two.best;
  f.top2 = classes > 1 ? two.second : 0.0f;
  f.entropy = 0.0f;
  if (classes > 1) f.entropy = fminf(fmaxf(entropy / logf(static_cast<float>(classes)), 0.0f), 1.0f);
  f.softmax_p = s[f.label];
  f.vote_p = voting ? static_cast<float>(vote_mass(votes, row, f.label) * inverse) : f.softmax_p;
  f.nearest = -2.0f;  // until describe_neighbours_kernel
  f.mean_distance_10 = 2.0f;
  f.vote_share = 0.0f;
  features[row] = f;
}

// s (n x classes), dense.
TRACER_KERNEL TRACER_MAX_THREADS(kDecideThreads)
    decide_rows_kernel(device::Global<const float> s, int64_t rows, int64_t classes, Votes votes,
                       device::Global<DecisionFeatures> features) {
  const int64_t row = warp_in_grid();
  if (row < rows) decide_row(s + row * classes, row, classes, votes, features);
}

// Floats of dynamic shared memory that a block takes: logits, and a piece of its rows.
inline constexpr int64_t kHeadDepth = 64;  // divides kChain
static_assert(kChain % kHeadDepth == 0);
constexpr int64_t head_shared_floats(int64_t classes) { return kHeadRows * (classes + kHeadDepth); }

// x (n x d), w (d x classes): X W by the chains of exact_gemm.cuh. A thread owns one column of logits for all
// rows of the block: each weight is read once a block, from the second-level cache, and meets kHeadRows rows.
TRACER_KERNEL TRACER_MAX_THREADS(kDecideThreads)
    head_kernel(device::Global<const float> x, int64_t rows, int64_t d, device::Global<const float> w, int64_t classes,
                device::Global<const float> bias, device::Global<float> probability) {
  TRACER_DYNAMIC_SHARED(float, shared);
  const device::Global<float> logits = shared;                       // kHeadRows x classes
  const device::Global<float> piece = shared + kHeadRows * classes;  // kHeadDepth x kHeadRows
  const int64_t row0 = device::block_index() * kHeadRows;
  const int t = device::thread_index();

  for (int64_t col0 = 0; col0 < classes; col0 += kDecideThreads) {
    const int64_t col = col0 + t;
    float total[kHeadRows], chain[kHeadRows];
    TRACER_UNROLL
    for (int r = 0; r < kHeadRows; ++r) total[r] = chain[r] = 0.0f;
    for (int64_t k0 = 0; k0 < d; k0 += kHeadDepth) {
      const int depth = static_cast<int>(d - k0 < kHeadDepth ? d - k0 : kHeadDepth);
      for (int e = t; e < kHeadRows * kHeadDepth; e += kDecideThreads) {
        const int r = e / static_cast<int>(kHeadDepth);
        const int k = e % static_cast<int>(kHeadDepth);
        const bool inside = row0 + r < rows && k < depth;
        piece[k * kHeadRows + r] = inside ? x[(row0 + r) * d + k0 + k] : 0.0f;
      }
      device::sync_block();
      if (col < classes) {
        for (int k = 0; k < depth; ++k) {
          const float weight = w[(k0 + k) * classes + col];
          TRACER_UNROLL
          for (int r = 0; r < kHeadRows; r += 4) {
            const device::Four<float> x4 = device::load4(piece, k * kHeadRows + r);
            TRACER_UNROLL
            for (int e = 0; e < 4; ++e) chain[r + e] = fmaf(x4.v[e], weight, chain[r + e]);
          }
        }
      }
      device::sync_block();  // the piece is written again
      if ((k0 + kHeadDepth) % kChain == 0 || k0 + kHeadDepth >= d) {
        const bool first = k0 < kChain;
        TRACER_UNROLL
        for (int r = 0; r < kHeadRows; ++r) {
          total[r] = first ? chain[r] : total[r] + chain[r];
          chain[r] = 0.0f;
        }
      }
    }
    if (col < classes) {
      TRACER_UNROLL
      for (int r = 0; r < kHeadRows; ++r) logits[r * classes + col] = total[r];
    }
  }
  device::sync_block();
  for (int r = t / device::kWarp; r < kHeadRows; r += kDecideThreads / device::kWarp) {
    if (row0 + r < rows) {
      softmax_row(logits + r * classes, bias, classes, probability + (row0 + r) * classes);
    }
  }
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
