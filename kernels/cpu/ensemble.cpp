// Rows go through in blocks, a row in each lane (kernels/cpu/head_kernels.h): product, ensemble, vote and features of a
// block are done while its logits are in the first or second level of cache.
#include "kernels/cpu/ensemble.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "kernels/cpu/acceptor_score.h"
#include "kernels/cpu/linear_head.h"
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
  alignas(64) float sum[kMaxHeadWidth];
  alignas(64) float dot[kMaxHeadWidth];
  alignas(64) float scale[kMaxHeadWidth];
};

// What one call is about, and the layout of a worker's memory. Arrays over classes have row stride `width`.
struct Call {
  const Context& context;
  const NeighbourVote& vote;
  const LinearAcceptor* acceptor;
  const DecisionOutputs& out;
  const CpuLinearHead* head;  // null: s is given
  int64_t classes;
  double inverse_log_classes;

  const HeadKernels& kernels() const { return *context.isa->head; }
  int64_t width() const { return kernels().width; }
  int64_t members() const { return head != nullptr ? head->members() : 1; }
  bool votes() const { return vote.weight != 0.0f && vote.neighbour.cols > 0; }
  // One member, no vote: features come straight from the logits.
  bool plain() const { return head != nullptr && members() == 1 && !votes(); }
  bool keeps_members() const { return out.member_p.data != nullptr && members() > 1; }
};

class Worker {
 public:
  Worker(const Call& call, float* memory)
      : call_(call), kernels_(call.kernels()), w_(call.width()), votes_(call.vote, w_, memory) {
    memory += round_up(VoteBlock::floats(call.vote.neighbour.cols, w_), 16);
    const auto take = [&](int64_t floats) { return std::exchange(memory, memory + round_up(floats, 16)); };
    const int64_t inner = call.head != nullptr ? call.head->inner() : 0;
    x_ = take(inner * w_);
    row_ = take(row_floats(call));
    z_ = take(call.classes * w_ * (call.keeps_members() ? call.members() : 1));
    s_ = call.plain() ? z_ : take(call.classes * w_);
    p_ = call.votes() ? take(call.classes * w_) : s_;
    member_scale_ = take(call.members() * w_);
  }
  static int64_t floats(const Call& call) {
    const int64_t w = call.width(), inner = call.head != nullptr ? call.head->inner() : 0;
    const int64_t arrays = 2 + (call.keeps_members() ? call.members() : 1);
    // 16 more for each piece that is rounded up.
    return round_up(VoteBlock::floats(call.vote.neighbour.cols, w) + 2 * inner * w + arrays * call.classes * w +
                        call.members() * w + 7 * 16,
                    16);
  }

  // Each returns false where a neighbour does not fit.
  template <class T>
  bool decide(HostMatrix<const T> x, int64_t first, int64_t rows) {
    begin(first, rows);
    load_rows(x);
    // The rows of the block that follows, where they lie close enough together to be fetched as one piece.
    const int64_t next = std::min(w_, x.rows - first - rows);
    if (next > 0 && x.stride < 2 * x.cols) {
      ahead_ = {reinterpret_cast<uintptr_t>(x.row(first + rows)),
                next * x.stride * static_cast<int64_t>(sizeof(T)) / kLineBytes};
    }
    if (call_.plain()) {
      decide_plain();
    } else {
      combine();
      mix();
    }
    return finish();
  }

  bool decide_from(HostMatrix<const float> s, int64_t first, int64_t rows) {
    begin(first, rows);
    call_.context.isa->pack_b(true, s.row(first), s.stride, rows, call_.classes, s_);
    kernels_.entropies(call_.classes, vectors_, s_, lanes_.entropy);
    mix();
    return finish();
  }

 private:
  // Rows are converted in row-major order before they are turned into lanes.
  static int64_t row_floats(const Call& call) { return call.head == nullptr ? 0 : call.head->inner() * call.width(); }

  void begin(int64_t first, int64_t rows) {
    first_ = first;
    rows_ = rows;
    vectors_ = ceil_div(rows, kernels_.lanes);
    fits_ = votes_.cast(first, rows, call_.classes);
  }

  template <class T>
  void load_rows(HostMatrix<const T> x) {
    const CpuLinearHead& head = *call_.head;
    const int64_t d = head.dimension(), inner = head.inner();
    const float* from = nullptr;
    int64_t stride = inner;
    if (head.pairs()) {
      uint16_t* out = reinterpret_cast<uint16_t*>(row_);
      for (int64_t r = 0; r < rows_; ++r, out += 2 * inner) {
        if constexpr (std::is_same_v<T, float>) {
          kernels_.narrow(x.row(first_ + r), d, out);
        } else {
          std::memcpy(out, x.row(first_ + r), static_cast<size_t>(d) * sizeof(T));
        }
        std::fill(out + d, out + 2 * inner, uint16_t{0});
      }
      from = row_;
    } else if constexpr (std::is_same_v<T, float>) {
      if (head.storage() == Storage::kFloat32) {
        from = x.row(first_);
        stride = x.stride;
      } else {
        for (int64_t r = 0; r < rows_; ++r) {
          for (int64_t j = 0; j < d; ++j) row_[r * d + j] = to_float(to_bfloat16(x(first_ + r, j)));
        }
        from = row_;
      }
    } else {
      for (int64_t r = 0; r < rows_; ++r) {
        for (int64_t j = 0; j < d; ++j) row_[r * d + j] = to_float(x(first_ + r, j));
      }
      from = row_;
    }
    call_.context.isa->pack_b(true, from, stride, rows_, inner, x_);
  }

  void logits(int64_t m, float* z) {
    const CpuLinearHead& head = *call_.head;
    const auto product = head.pairs() ? kernels_.logits_pairs : kernels_.logits;
    product(call_.classes, vectors_, head.inner(), head.panels(m), x_, head.bias(m), z, m == 0 ? ahead_ : ReadAhead{});
  }

  void find_best(const float* values) {
    std::fill_n(lanes_.best, w_, kLowest);
    std::fill_n(lanes_.second, w_, kLowest);
    std::fill_n(lanes_.label, w_, 0);
    kernels_.best_two(call_.classes, vectors_, 0, values, lanes_.best, lanes_.second, lanes_.label);
  }

  void decide_plain() {
    logits(0, z_);
    find_best(z_);
    const bool wanted = call_.out.probability.data != nullptr;
    kernels_.exponentials(call_.classes, vectors_, z_, lanes_.best, wanted ? z_ : nullptr, lanes_.sum, lanes_.dot);
    kernels_.conclude(vectors_, lanes_.best, lanes_.second, lanes_.sum, lanes_.dot, lanes_.best, lanes_.second,
                      lanes_.entropy);
    if (wanted) kernels_.scale(call_.classes, vectors_, z_, lanes_.best, false, z_);
  }

  // s and its entropy.
  void combine() {
    const int64_t members = call_.members();
    for (int64_t m = 0; m < members; ++m) {
      float* z = z_ + (call_.keeps_members() ? m * call_.classes * w_ : 0);
      logits(m, z);
      find_best(z);
      kernels_.exponentials(call_.classes, vectors_, z, lanes_.best, z, lanes_.sum, lanes_.dot);
      kernels_.conclude(vectors_, lanes_.best, lanes_.second, lanes_.sum, lanes_.dot, member_scale_ + m * w_,
                        lanes_.second, lanes_.entropy);
      const float weight = members > 1 ? call_.head->weight(m) : 1.0f;
      for (int64_t l = 0; l < vectors_ * kernels_.lanes; ++l) lanes_.scale[l] = weight * member_scale_[m * w_ + l];
      kernels_.scale(call_.classes, vectors_, z, lanes_.scale, m > 0, s_);
    }
    if (members > 1) kernels_.entropies(call_.classes, vectors_, s_, lanes_.entropy);
  }

  // p from s, its best two and its entropy.
  void mix() {
    if (call_.votes()) {
      for (int64_t l = 0; l < vectors_ * kernels_.lanes; ++l) {
        lanes_.scale[l] = l < rows_ && votes_.voted(l) ? 1.0f - call_.vote.weight : 1.0f;
      }
      kernels_.scale(call_.classes, vectors_, s_, lanes_.scale, false, p_);
      for (int64_t l = 0; l < rows_; ++l) {
        if (votes_.voted(l)) lanes_.entropy[l] = votes_.add_to(*call_.context.isa, l, lanes_.entropy[l], p_);
      }
    }
    find_best(p_);
  }

  bool finish() {
    const DecisionOutputs& out = call_.out;
    const bool one_class = call_.classes == 1;
    for (int64_t l = 0; l < rows_; ++l) {
      const int64_t row = first_ + l;
      DecisionFeatures& f = out.features[static_cast<size_t>(row)];
      f.label = lanes_.label[l];
      f.top1 = lanes_.best[l];
      f.top2 = one_class ? 0.0f : lanes_.second[l];
      const double scaled = static_cast<double>(lanes_.entropy[l]) * call_.inverse_log_classes;
      f.entropy = std::clamp(static_cast<float>(scaled), 0.0f, 1.0f);
      f.softmax_p = call_.plain() ? f.top1 : s_[f.label * w_ + l];
      votes_.describe(l, f.softmax_p, f);
      if (out.member_p.data != nullptr) {
        for (int64_t m = 0; m < call_.members(); ++m) {
          out.member_p(row, m) = call_.keeps_members()
                                     ? z_[(m * call_.classes + f.label) * w_ + l] * member_scale_[m * w_ + l]
                                     : f.softmax_p;
        }
      }
      if (!out.accept.empty()) out.accept[static_cast<size_t>(row)] = acceptor_score(*call_.acceptor, f);
      if (out.probability.data != nullptr) {
        float* p = out.probability.row(row);
        for (int64_t c = 0; c < call_.classes; ++c) p[c] = p_[c * w_ + l];
      }
    }
    return fits_;
  }

  const Call& call_;
  const HeadKernels& kernels_;
  int64_t w_;
  VoteBlock votes_;
  float* x_;             // inner x width
  float* row_;           // width x inner
  float* z_;             // logits, then exponentials
  float* s_;             // s
  float* p_;             // p; s_ where nobody votes
  float* member_scale_;  // members x width: 1 / sum of each member's exponentials
  Lanes lanes_;
  int64_t first_ = 0;
  int64_t rows_ = 0;
  int64_t vectors_ = 0;
  bool fits_ = true;
  ReadAhead ahead_;
};

Status check_outputs(int64_t n, int64_t classes, int64_t members, const LinearAcceptor* acceptor,
                     const DecisionOutputs& out) {
  if (static_cast<int64_t>(out.features.size()) != n) {
    return internal_error("decision_features: features must have n entries");
  }
  if (out.probability.data != nullptr && (out.probability.rows != n || out.probability.cols != classes)) {
    return internal_error("decision_features: probability must be n x C");
  }
  if (out.member_p.data != nullptr && (out.member_p.rows != n || out.member_p.cols != members)) {
    return internal_error("decision_features: member_p must be n x M");
  }
  if (out.accept.empty()) return {};
  constexpr size_t kFeatures = LinearAcceptor::kFeatures;
  if (acceptor == nullptr || static_cast<int64_t>(out.accept.size()) != n || acceptor->mean.size() != kFeatures ||
      acceptor->scale.size() != kFeatures || acceptor->coef.size() != kFeatures + 1 ||
      static_cast<int64_t>(acceptor->label_frequency.size()) != classes) {
    return internal_error("decision_features: the acceptor or its output does not fit");
  }
  return {};
}

// Runs decide(worker, first, rows) over all blocks.
template <class F>
Status over_blocks(const Call& call, int64_t n, F&& decide) {
  if (n == 0) return {};
  const int64_t width = call.width(), floats = Worker::floats(call);
  const Scratch scratch = call.context.scratch->take(floats * call.context.pool->threads());
  std::atomic<bool> fits{true};
  run(*call.context.pool, ceil_div(n, width), [&](int64_t block, int worker) {
    Worker here(call, scratch.data() + worker * floats);
    const int64_t first = block * width;
    if (!decide(here, first, std::min(width, n - first))) fits.store(false, std::memory_order_relaxed);
  });
  if (!fits) return internal_error("decision_features: a neighbour or its label is out of range");
  return {};
}

double inverse_log(int64_t classes) { return classes > 1 ? 1.0 / std::log(static_cast<double>(classes)) : 0.0; }

template <class T>
Status decide(const Context& context, HostMatrix<const T> x, const LinearHead& any_head, const NeighbourVote& vote,
              const LinearAcceptor* acceptor, const DecisionOutputs& out) {
  const auto* head = dynamic_cast<const CpuLinearHead*>(&any_head);
  if (head == nullptr || &head->kernels() != context.isa->head) {
    return internal_error("decision_features: the head was made by another backend");
  }
  if (x.cols != head->dimension()) return internal_error("decision_features: rows and head differ in width");
  TRACER_RETURN_IF_ERROR(check_outputs(x.rows, head->classes(), head->members(), acceptor, out));
  TRACER_RETURN_IF_ERROR(check_votes(vote, x.rows));
  const Call call{context, vote, acceptor, out, head, head->classes(), inverse_log(head->classes())};
  return over_blocks(call, x.rows,
                     [&](Worker& worker, int64_t first, int64_t rows) { return worker.decide(x, first, rows); });
}

}  // namespace

Result<std::unique_ptr<LinearHead>> prepare_head(const Context& context, std::span<const LinearMember> members,
                                                 Storage storage) {
  auto head = std::make_unique<CpuLinearHead>();
  TRACER_RETURN_IF_ERROR(head->prepare(context, members, storage));
  return std::unique_ptr<LinearHead>(std::move(head));
}

Status decision_features(const Context& context, HostMatrix<const float> x, const LinearHead& head,
                         const NeighbourVote& vote, const LinearAcceptor* acceptor, const DecisionOutputs& out) {
  return decide(context, x, head, vote, acceptor, out);
}

Status decision_features(const Context& context, HostMatrix<const BFloat16> x, const LinearHead& head,
                         const NeighbourVote& vote, const LinearAcceptor* acceptor, const DecisionOutputs& out) {
  return decide(context, x, head, vote, acceptor, out);
}

Status decision_features_from(const Context& context, HostMatrix<const float> s, const NeighbourVote& vote,
                              std::span<DecisionFeatures> features) {
  if (s.cols < 1) return internal_error("decision_features_from: C >= 1");
  const DecisionOutputs out{features};
  TRACER_RETURN_IF_ERROR(check_outputs(s.rows, s.cols, 1, nullptr, out));
  TRACER_RETURN_IF_ERROR(check_votes(vote, s.rows));
  const Call call{context, vote, nullptr, out, nullptr, s.cols, inverse_log(s.cols)};
  return over_blocks(call, s.rows,
                     [&](Worker& worker, int64_t first, int64_t rows) { return worker.decide_from(s, first, rows); });
}

}  // namespace tracer::cpu
