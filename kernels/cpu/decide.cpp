// Rows go through in blocks, a row in each lane (kernels/cpu/head_kernels.h): mixture, vote and features of a block are
// done while its probabilities are in the first or second level of cache.
#include "kernels/cpu/decide.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "kernels/cpu/votes.h"

namespace tracer::cpu {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

// One value for each lane of a block.
struct Lanes {
  alignas(64) float best[kMaxHeadWidth];
  alignas(64) float second[kMaxHeadWidth];
  alignas(64) int32_t label[kMaxHeadWidth];
  alignas(64) float entropy[kMaxHeadWidth];
  alignas(64) float scale[kMaxHeadWidth];
};

// What one call is about.
struct Call {
  const Context& context;
  HostMatrix<const float> s;
  const NeighbourVote& vote;
  std::span<DecisionFeatures> features;
  double inverse_log_classes;

  const HeadKernels& kernels() const { return *context.isa->head; }
  int64_t classes() const { return s.cols; }
  int64_t width() const { return kernels().width; }
  bool votes() const { return vote.weight != 0.0f && vote.neighbour.cols > 0; }
};

// Arrays over classes have row stride `width`.
class Worker {
 public:
  Worker(const Call& call, float* memory)
      : call_(call),
        kernels_(call.kernels()),
        w_(call.width()),
        votes_(call.vote, w_, memory),
        s_(memory + vote_floats(call)),
        p_(call.votes() ? s_ + class_floats(call) : s_) {}
  static int64_t floats(const Call& call) { return vote_floats(call) + 2 * class_floats(call); }

  // False where a neighbour does not fit.
  bool decide(int64_t first, int64_t rows) {
    first_ = first;
    rows_ = rows;
    vectors_ = ceil_div(rows, kernels_.lanes);
    const bool fits = votes_.cast(first, rows, call_.classes());
    call_.context.isa->pack_b(true, call_.s.row(first), call_.s.stride, rows, call_.classes(), s_);
    kernels_.entropies(call_.classes(), vectors_, s_, lanes_.entropy);
    if (call_.votes()) mix();
    std::fill_n(lanes_.best, w_, kLowest);
    std::fill_n(lanes_.second, w_, kLowest);
    std::fill_n(lanes_.label, w_, 0);
    kernels_.best_two(call_.classes(), vectors_, 0, p_, lanes_.best, lanes_.second, lanes_.label);
    for (int64_t l = 0; l < rows_; ++l) describe(l);
    return fits;
  }

 private:
  static int64_t vote_floats(const Call& call) {
    return round_up(VoteBlock::floats(call.vote.neighbour.cols, call.width()), 16);
  }
  static int64_t class_floats(const Call& call) { return round_up(call.classes() * call.width(), 16); }

  // p from s, and its entropy from that of s.
  void mix() {
    for (int64_t l = 0; l < vectors_ * kernels_.lanes; ++l) {
      lanes_.scale[l] = l < rows_ && votes_.voted(l) ? 1.0f - call_.vote.weight : 1.0f;
    }
    kernels_.scale(call_.classes(), vectors_, s_, lanes_.scale, p_);
    for (int64_t l = 0; l < rows_; ++l) {
      if (votes_.voted(l)) lanes_.entropy[l] = votes_.add_to(*call_.context.isa, l, lanes_.entropy[l], p_);
    }
  }

  void describe(int64_t lane) const {
    DecisionFeatures& f = call_.features[static_cast<size_t>(first_ + lane)];
    f.label = lanes_.label[lane];
    f.top1 = lanes_.best[lane];
    f.top2 = call_.classes() == 1 ? 0.0f : lanes_.second[lane];
    const double scaled = static_cast<double>(lanes_.entropy[lane]) * call_.inverse_log_classes;
    f.entropy = std::clamp(static_cast<float>(scaled), 0.0f, 1.0f);
    f.softmax_p = s_[f.label * w_ + lane];
    votes_.describe(lane, f.softmax_p, f);
  }

  const Call& call_;
  const HeadKernels& kernels_;
  int64_t w_;
  VoteBlock votes_;
  float* s_;
  float* p_;  // s_ where nobody votes
  Lanes lanes_;
  int64_t first_ = 0;
  int64_t rows_ = 0;
  int64_t vectors_ = 0;
};

}  // namespace

Status decision_features_from(const Context& context, HostMatrix<const float> s, const NeighbourVote& vote,
                              std::span<DecisionFeatures> features) {
  if (s.cols < 1) return internal_error("decision_features_from: C >= 1");
  if (static_cast<int64_t>(features.size()) != s.rows) {
    return internal_error("decision_features_from: features must have n entries");
  }
  TRACER_RETURN_IF_ERROR(check_votes(vote, s.rows));
  if (s.rows == 0) return {};
  const double inverse_log_classes = s.cols > 1 ? 1.0 / std::log(static_cast<double>(s.cols)) : 0.0;
  const Call call{context, s, vote, features, inverse_log_classes};
  const int64_t width = call.width(), floats = Worker::floats(call);
  const Scratch scratch = context.scratch->take(floats * context.pool->threads());
  std::atomic<bool> fits{true};
  run(*context.pool, ceil_div(s.rows, width), [&](int64_t block, int worker) {
    Worker here(call, scratch.data() + worker * floats);
    const int64_t first = block * width;
    if (!here.decide(first, std::min(width, s.rows - first))) fits.store(false, std::memory_order_relaxed);
  });
  if (!fits) return internal_error("decision_features_from: a neighbour or its label is out of range");
  return {};
}

}  // namespace tracer::cpu
