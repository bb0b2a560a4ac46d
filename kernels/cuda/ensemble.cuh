// Decisions about rows (kernels/ensemble.h). decide_kernel goes from rows to features in one pass: the logits of a
// block's rows live in shared memory and nowhere else. decide_rows_kernel starts from logits, or from given
// probabilities, in device memory. A warp a row once the logits are there; sums over classes are taken by lanes in
// ascending class and joined by a butterfly, so their order depends on C alone.
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

inline constexpr int kDecideThreads = 128;
inline constexpr int kDecideRows = 16;  // rows of a block of decide_kernel, and accumulators of a thread
inline constexpr int kAcceptThreads = 128;
inline constexpr int kDistanceNeighbours = 10;

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
    if (available < kDistanceNeighbours) distance += 1.0 - static_cast<double>(s);
    ++available;
    same += voted == f.label ? 1 : 0;
  }
  if (available == 0) return;
  const int64_t near = available < kDistanceNeighbours ? available : kDistanceNeighbours;
  f.mean_distance_10 = static_cast<float>(distance / static_cast<double>(near));
  f.vote_share = static_cast<float>(static_cast<double>(same) / static_cast<double>(available));
  features[row] = f;
}

struct Members {
  int64_t count;
  int64_t classes;
  bool probabilities;                  // the "logits" are one member's probabilities already
  device::Global<const float> bias;    // count x classes
  device::Global<const float> weight;  // count
};

struct Decisions {
  device::Global<DecisionFeatures> features;
  bool want_member_p;
  device::Global<float> member_p;  // n x members
  bool want_probability;
  device::Global<float> probability;  // n x classes
};

// The vote of one class, in float64: in ascending neighbour.
TRACER_DEVICE double vote_mass(const Votes& votes, int64_t row, int32_t label) {
  double mass = 0.0;
  for (int64_t j = 0; j < votes.k; ++j) {
    if (votes.label[row * votes.k + j] == label) mass += votes.mass[row * votes.k + j];
  }
  return mass;
}

// Member m's logits z become its probabilities, in place. Returns the two largest logits of the warp's row, and the
// reciprocal of the sum of exponentials.
TRACER_DEVICE BestTwo softmax_row(device::Global<float> z, device::Global<const float> bias, int64_t classes,
                                  float& inverse) {
  BestTwo two = no_best();
  for (int64_t c = lane_index(); c < classes; c += device::kWarp) {
    const float b = bias[c];
    const float v = b <= kRemovedClassBias ? -INFINITY : z[c] + b;
    z[c] = v;
    take(two, v, static_cast<int32_t>(c));
  }
  two = warp_best_two(two);
  float sum = 0.0f;
  for (int64_t c = lane_index(); c < classes; c += device::kWarp) {
    const float e = expf(z[c] - two.best);
    z[c] = e;
    sum += e;
  }
  sum = warp_sum(sum);
  inverse = 1.0f / sum;
  for (int64_t c = lane_index(); c < classes; c += device::kWarp) z[c] = z[c] * inverse;
  return two;
}

// z: the row's members * classes logits, which become probabilities; a lane touches its own classes only.
TRACER_DEVICE void decide_row(device::Global<float> z, int64_t row, const Members& members, const Votes& votes,
                              const Decisions& out) {
  const int lane = lane_index();
  const int64_t classes = members.classes;
  BestTwo logits = no_best();
  float share = 0.0f;  // of the largest logit
  if (!members.probabilities) {
    for (int64_t m = 0; m < members.count; ++m) {
      logits = softmax_row(z + m * classes, members.bias + m * classes, classes, share);
    }
  }
  const double inverse = votes.k > 0 ? static_cast<double>(votes.inverse[row]) : 0.0;
  const bool voting = inverse > 0.0;
  const float keep = 1.0f - votes.weight;

  BestTwo two = no_best();
  float entropy = 0.0f;
  for (int64_t c = lane; c < classes; c += device::kWarp) {
    float s = z[c];
    if (!members.probabilities && members.count > 1) {
      s = 0.0f;
      for (int64_t m = 0; m < members.count; ++m) s += members.weight[m] * z[m * classes + c];
    }
    float p = s;
    if (voting && votes.weight != 0.0f) {
      const float vote = static_cast<float>(vote_mass(votes, row, static_cast<int32_t>(c)) * inverse);
      p = keep * s + votes.weight * vote;
    }
    take(two, p, static_cast<int32_t>(c));
    if (p > 0.0f) entropy -= p * logf(p);
    if (out.want_probability) out.probability[row * classes + c] = p;
  }
  two = warp_best_two(two);
  entropy = warp_sum(entropy);
  // With one member and no vote the logits decide: rounding p must not make ties.
  if (!members.probabilities && members.count == 1 && !(voting && votes.weight != 0.0f)) {
    two.index = logits.index;
    two.best = share;
    two.second = expf(logits.second - logits.best) * share;
  }
  device::sync_warp();  // the label's class was another lane's
  if (lane != 0) return;

  DecisionFeatures f;
  f.label = two.index;
  f.top1 = two.best;
  f.top2 = classes > 1 ? two.second : 0.0f;
  f.entropy = 0.0f;
  if (classes > 1) f.entropy = fminf(fmaxf(entropy / logf(static_cast<float>(classes)), 0.0f), 1.0f);
  f.softmax_p = z[f.label];
  if (!members.probabilities && members.count > 1) {
    f.softmax_p = 0.0f;
    for (int64_t m = 0; m < members.count; ++m) f.softmax_p += members.weight[m] * z[m * classes + f.label];
  }
  f.vote_p = voting ? static_cast<float>(vote_mass(votes, row, f.label) * inverse) : f.softmax_p;
  f.nearest = -2.0f;  // until describe_neighbours_kernel
  f.mean_distance_10 = 2.0f;
  f.vote_share = 0.0f;
  out.features[row] = f;
  if (out.want_member_p) {
    for (int64_t m = 0; m < members.count; ++m) out.member_p[row * members.count + m] = z[m * classes + f.label];
  }
}

// z (n x members * classes), dense; consumed.
TRACER_KERNEL TRACER_MAX_THREADS(kDecideThreads)
    decide_rows_kernel(device::Global<float> z, int64_t rows, Members members, Votes votes, Decisions out) {
  const int64_t row = warp_in_grid();
  if (row < rows) decide_row(z + row * members.count * members.classes, row, members, votes, out);
}

// Floats of dynamic shared memory that a block takes: logits, and a piece of its rows.
inline constexpr int64_t kDecideDepth = 64;  // divides kChain
static_assert(kChain % kDecideDepth == 0);
constexpr int64_t decide_shared_floats(int64_t logits) { return kDecideRows * (logits + kDecideDepth); }

// x (n x d), w (d x members * classes): X W by the chains of exact_gemm.cuh. A thread owns one column of logits for all
// rows of the block: each weight is read once a block, from the second-level cache, and meets kDecideRows rows.
template <class T>
TRACER_KERNEL TRACER_MAX_THREADS(kDecideThreads)
    decide_kernel(device::Global<const T> x, int64_t rows, int64_t d, device::Global<const T> w, Members members,
                  Votes votes, Decisions out) {
  TRACER_DYNAMIC_SHARED(float, shared);
  const int64_t width = members.count * members.classes;
  const device::Global<float> logits = shared;                       // kDecideRows x width
  const device::Global<float> piece = shared + kDecideRows * width;  // kDecideDepth x kDecideRows
  const int64_t row0 = device::block_index() * kDecideRows;
  const int t = device::thread_index();

  for (int64_t col0 = 0; col0 < width; col0 += kDecideThreads) {
    const int64_t col = col0 + t;
    float total[kDecideRows], chain[kDecideRows];
    TRACER_UNROLL
    for (int r = 0; r < kDecideRows; ++r) total[r] = chain[r] = 0.0f;
    for (int64_t k0 = 0; k0 < d; k0 += kDecideDepth) {
      const int depth = static_cast<int>(d - k0 < kDecideDepth ? d - k0 : kDecideDepth);
      for (int e = t; e < kDecideRows * kDecideDepth; e += kDecideThreads) {
        const int r = e / static_cast<int>(kDecideDepth);
        const int k = e % static_cast<int>(kDecideDepth);
        const bool inside = row0 + r < rows && k < depth;
        piece[k * kDecideRows + r] = inside ? widen(x[(row0 + r) * d + k0 + k]) : 0.0f;
      }
      device::sync_block();
      if (col < width) {
        for (int k = 0; k < depth; ++k) {
          const float weight = widen(w[(k0 + k) * width + col]);
          TRACER_UNROLL
          for (int r = 0; r < kDecideRows; r += 4) {
            const device::Four<float> x4 = device::load4(piece, k * kDecideRows + r);
            TRACER_UNROLL
            for (int e = 0; e < 4; ++e) chain[r + e] = fmaf(x4.v[e], weight, chain[r + e]);
          }
        }
      }
      device::sync_block();  // the piece is written again
      if ((k0 + kDecideDepth) % kChain == 0 || k0 + kDecideDepth >= d) {
        const bool first = k0 < kChain;
        TRACER_UNROLL
        for (int r = 0; r < kDecideRows; ++r) {
          total[r] = first ? chain[r] : total[r] + chain[r];
          chain[r] = 0.0f;
        }
      }
    }
    if (col < width) {
      TRACER_UNROLL
      for (int r = 0; r < kDecideRows; ++r) logits[r * width + col] = total[r];
    }
  }
  device::sync_block();
  for (int r = t / device::kWarp; r < kDecideRows; r += kDecideThreads / device::kWarp) {
    if (row0 + r < rows) decide_row(logits + r * width, row0 + r, members, votes, out);
  }
}

// The acceptor's head (kernels/ensemble.h), float64 as in engine/; a thread a row.
struct AcceptHead {
  device::Global<const double> mean;
  device::Global<const double> scale;
  device::Global<const double> coef;
  device::Global<const double> label_frequency;
};

TRACER_DEVICE double clamp_to(double x, double low, double high) { return fmin(fmax(x, low), high); }
TRACER_DEVICE double logit_of(double p) { return log(p / (1.0 - p)); }

TRACER_KERNEL accept_kernel(device::Global<const DecisionFeatures> features, int64_t rows, AcceptHead head,
                            device::Global<float> accept) {
  const int64_t row = device::block_index() * device::block_size() + device::thread_index();
  if (row >= rows) return;
  const DecisionFeatures f = features[row];
  const double top1 = clamp_to(f.top1, 1e-6, 1 - 1e-6);
  const double phi[LinearAcceptor::kFeatures] = {logit_of(top1),
                                                 static_cast<double>(f.top1) - static_cast<double>(f.top2),
                                                 f.entropy,
                                                 logit_of(clamp_to(f.softmax_p, 1e-6, 1 - 1e-6)),
                                                 logit_of(clamp_to(f.vote_p, 1e-3, 1 - 1e-3)),
                                                 f.vote_share,
                                                 f.mean_distance_10,
                                                 1.0 - static_cast<double>(f.nearest),
                                                 log(fmax(static_cast<double>(head.label_frequency[f.label]), 1e-9)),
                                                 log(top1) - log(clamp_to(f.top2, 1e-6, 1.0))};
  double z = head.coef[0];
  TRACER_UNROLL
  for (int j = 0; j < LinearAcceptor::kFeatures; ++j) z += head.coef[j + 1] * (phi[j] - head.mean[j]) / head.scale[j];
  accept[row] = static_cast<float>(1.0 / (1.0 + exp(-clamp_to(z, -30.0, 30.0))));
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
