#include "kernels/cpu/ensemble.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "kernels/cpu/acceptor_score.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/row_features.h"

namespace tracer::cpu {
namespace {

constexpr int64_t kRowBlock = 48;
constexpr int64_t kReadAhead = 16;  // see IsaKernels::softmax_row

Status check_neighbours(const NeighbourVote& in, int64_t rows, int64_t classes) {
  if (in.neighbour.cols != in.similarity.cols ||
      (in.neighbour.cols > 0 && (in.neighbour.rows != rows || in.similarity.rows != rows))) {
    return internal_error("decision_features: neighbour and similarity must be n x k");
  }
  for (const int32_t label : in.reference_label) {
    if (label < 0 || label >= classes) return internal_error("decision_features: a reference label is out of range");
  }
  const int32_t references = static_cast<int32_t>(in.reference_label.size());
  for (int64_t i = 0; in.neighbour.cols > 0 && i < rows; ++i) {
    for (int64_t j = 0; j < in.neighbour.cols; ++j) {
      if (in.neighbour(i, j) >= references) return internal_error("decision_features: a neighbour is out of range");
    }
  }
  return {};
}

RowVote vote_of(const NeighbourVote& in, int64_t row) {
  const size_t k = static_cast<size_t>(in.neighbour.cols);
  if (k == 0) return {{}, {}, in.reference_label, in.weight, in.sharpness};
  return {{in.neighbour.row(row), k}, {in.similarity.row(row), k}, in.reference_label, in.weight, in.sharpness};
}

class CpuLinearHead final : public LinearHead {
 public:
  int64_t dimension() const override { return d_; }
  int64_t classes() const override { return classes_; }
  int64_t members() const override { return static_cast<int64_t>(weight_.size()); }
  Storage storage() const override { return storage_; }

  Status prepare(const Context& context, std::span<const LinearMember> members, Storage storage) {
    if (members.empty()) return internal_error("prepare_head: at least one member");
    d_ = members[0].w.rows;
    classes_ = members[0].w.cols;
    storage_ = storage;
    if (classes_ < 1) return internal_error("prepare_head: at least one class");
    const int64_t size = packed_b_size(*context.isa, d_, classes_);
    packed_ = Matrix<float>(static_cast<int64_t>(members.size()), size);
    bias_ = Matrix<float>(static_cast<int64_t>(members.size()), round_up(classes_, 16) + kReadAhead);
    for (int64_t m = 0; m < packed_.rows(); ++m) {
      const LinearMember& member = members[static_cast<size_t>(m)];
      if (member.w.rows != d_ || member.w.cols != classes_ || static_cast<int64_t>(member.b.size()) != classes_) {
        return internal_error("prepare_head: every w must be d x C, every b C");
      }
      bool stays = false;
      for (int64_t c = 0; c < classes_; ++c) {
        const float b = member.b[static_cast<size_t>(c)];
        bias_(m, c) = b <= kRemovedClassBias ? -std::numeric_limits<float>::infinity() : b;
        stays = stays || b > kRemovedClassBias;
      }
      if (!stays) return internal_error("prepare_head: a member without classes");
      pack_b(context, Trans::kNo, member.w, d_, classes_, packed_.row(m));
      weight_.push_back(member.weight);
    }
    if (storage == Storage::kBFloat16) {
      for (int64_t i = 0; i < packed_.size(); ++i) packed_.data()[i] = to_float(to_bfloat16(packed_.data()[i]));
    }
    return {};
  }

  const float* packed(int64_t m) const { return packed_.row(m); }
  const float* bias(int64_t m) const { return bias_.row(m); }
  float weight(int64_t m) const { return weight_[static_cast<size_t>(m)]; }

 private:
  int64_t d_ = 0;
  int64_t classes_ = 0;
  Storage storage_ = Storage::kFloat32;
  Matrix<float> packed_;  // M x packed size
  Matrix<float> bias_;    // M x C, readable beyond; -inf for removed classes
  std::vector<float> weight_;
};

// Scratch of one worker, cut from a common buffer.
struct RowScratch {
  explicit RowScratch(int64_t classes) : classes_floats(round_up(classes, 16) + kReadAhead) {}
  int64_t classes_floats;
  int64_t floats() const { return 4 * classes_floats; }
  float* ensemble(float* base) const { return base; }
  float* mixture(float* base) const { return base + classes_floats; }
  double* votes(float* base) const { return reinterpret_cast<double*>(base + 2 * classes_floats); }
};

Status check_outputs(int64_t n, const CpuLinearHead& head, const LinearAcceptor* acceptor, const DecisionOutputs& out) {
  const int64_t classes = head.classes();
  if (static_cast<int64_t>(out.features.size()) != n) {
    return internal_error("decision_features: features must have n entries");
  }
  if (out.probability.data != nullptr && (out.probability.rows != n || out.probability.cols != classes)) {
    return internal_error("decision_features: probability must be n x C");
  }
  if (out.member_p.data != nullptr && (out.member_p.rows != n || out.member_p.cols != head.members())) {
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

template <class T>
Status decide(const Context& context, HostMatrix<const T> x, const LinearHead& any_head, const NeighbourVote& vote,
              const LinearAcceptor* acceptor, const DecisionOutputs& out) {
  const auto* head = dynamic_cast<const CpuLinearHead*>(&any_head);
  if (head == nullptr) return internal_error("decision_features: the head was made by another backend");
  const int64_t n = x.rows, d = x.cols, classes = head->classes(), members = head->members();
  if (d != head->dimension()) return internal_error("decision_features: rows and head differ in width");
  TRACER_RETURN_IF_ERROR(check_outputs(n, *head, acceptor, out));
  TRACER_RETURN_IF_ERROR(check_neighbours(vote, n, classes));
  if (n == 0) return {};

  const IsaKernels& isa = *context.isa;
  const RowScratch row_scratch(classes);
  const int64_t stride = row_scratch.classes_floats;
  const int64_t wide_floats = round_up(kRowBlock * d, 16);
  const int64_t pack_floats = round_up(kRowBlock * d, 16);
  const int64_t floats = wide_floats + pack_floats + members * kRowBlock * stride + row_scratch.floats();
  const Scratch scratch = context.scratch->take(floats * context.pool->threads());
  run(*context.pool, ceil_div(n, kRowBlock), [&](int64_t block, int worker) {
    float* wide = scratch.data() + worker * floats;
    float* packed_x = wide + wide_floats;
    float* softmax = packed_x + pack_floats;
    float* base = softmax + members * kRowBlock * stride;
    const int64_t first = block * kRowBlock;
    const int64_t rows = std::min(kRowBlock, n - first);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t j = 0; j < d; ++j) {
        float v;
        if constexpr (std::is_same_v<T, float>) {
          v = x(first + r, j);
          if (head->storage() == Storage::kBFloat16) v = to_float(to_bfloat16(v));
        } else {
          v = to_float(x(first + r, j));
        }
        wide[r * d + j] = v;
      }
    }
    pack_a_rows(isa, Trans::kNo, {wide, rows, d}, 0, rows, d, packed_x);
    for (int64_t m = 0; m < members; ++m) {
      float* z = softmax + m * kRowBlock * stride;
      if (d == 0) std::fill_n(z, rows * stride, 0.0f);
      multiply_packed(isa, rows, classes, d, packed_x, head->packed(m), nullptr, z, stride);
      for (int64_t r = 0; r < rows; ++r) isa.softmax_row(z + r * stride, head->bias(m), classes, z + r * stride);
    }
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t row = first + r;
      float* s = softmax + r * stride;
      if (members > 1) {
        s = row_scratch.ensemble(base);
        std::fill_n(s, stride, 0.0f);
        for (int64_t m = 0; m < members; ++m) {
          const float* p = softmax + (m * kRowBlock + r) * stride;
          for (int64_t c = 0; c < classes; ++c) s[c] += head->weight(m) * p[c];
        }
      }
      float* p = row_scratch.mixture(base);
      DecisionFeatures& f = out.features[static_cast<size_t>(row)];
      f = row_features(isa, classes, s, vote_of(vote, row), row_scratch.votes(base), p);
      if (out.probability.data != nullptr) std::copy_n(p, classes, out.probability.row(row));
      if (out.member_p.data != nullptr) {
        for (int64_t m = 0; m < members; ++m) out.member_p(row, m) = softmax[(m * kRowBlock + r) * stride + f.label];
      }
      if (!out.accept.empty()) out.accept[static_cast<size_t>(row)] = acceptor_score(*acceptor, f);
    }
  });
  return {};
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
                              std::span<DecisionFeatures> out) {
  const int64_t n = s.rows, classes = s.cols;
  if (classes < 1) return internal_error("decision_features_from: C >= 1");
  if (static_cast<int64_t>(out.size()) != n) return internal_error("decision_features_from: out must have n entries");
  TRACER_RETURN_IF_ERROR(check_neighbours(vote, n, classes));
  const RowScratch row_scratch(classes);
  const Scratch scratch = context.scratch->take(row_scratch.floats() * context.pool->threads());
  run(*context.pool, ceil_div(n, kRowBlock), [&](int64_t block, int worker) {
    float* base = scratch.data() + worker * row_scratch.floats();
    for (int64_t row = block * kRowBlock; row < std::min(n, (block + 1) * kRowBlock); ++row) {
      out[static_cast<size_t>(row)] = row_features(*context.isa, classes, s.row(row), vote_of(vote, row),
                                                   row_scratch.votes(base), row_scratch.mixture(base));
    }
  });
  return {};
}

}  // namespace tracer::cpu
