#include <algorithm>
#include <vector>

#include "kernels/cuda/ensemble.cuh"
#include "kernels/cuda/operations.cuh"
#include "kernels/cuda/row_kernels.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

namespace {

// The members side by side: w (d x members * classes) in the storage asked for, the other array empty.
class DeviceHead final : public LinearHead {
 public:
  DeviceHead(int64_t d, int64_t classes, int64_t members, Storage storage, device::Array<float> w32,
             device::Array<BFloat16> w16, device::Array<float> bias, device::Array<float> weight)
      : w32(std::move(w32)),
        w16(std::move(w16)),
        bias(std::move(bias)),
        weight(std::move(weight)),
        d_(d),
        classes_(classes),
        members_(members),
        storage_(storage) {}
  int64_t dimension() const override { return d_; }
  int64_t classes() const override { return classes_; }
  int64_t members() const override { return members_; }
  Storage storage() const override { return storage_; }
  Members parameters() const { return {members_, classes_, false, bias.global(), weight.global()}; }

  device::Array<float> w32;
  device::Array<BFloat16> w16;
  device::Array<float> bias;
  device::Array<float> weight;

 private:
  int64_t d_, classes_, members_;
  Storage storage_;
};

// The neighbours of a batch: as they come, and as they vote.
struct Ballots {
  Lane<int32_t> neighbour;
  Lane<float> similarity;
  std::optional<device::Array<int32_t>> reference_label, label;
  std::optional<device::Array<double>> mass, inverse;
  const NeighbourVote* vote = nullptr;
  int64_t k = 0;

  Status create(Context& c, int64_t rows, const NeighbourVote& v) {
    vote = &v;
    k = v.neighbour.cols;
    if (k == 0) return {};
    TRACER_RETURN_IF_ERROR(neighbour.create(c, rows, k));
    TRACER_RETURN_IF_ERROR(similarity.create(c, rows, k));
    Result<device::Array<int32_t>> labels = upload(c, v.reference_label);
    if (!labels.ok()) return labels.status();
    Result<device::Array<int32_t>> voted = allocate<int32_t>(c, rows * k);
    if (!voted.ok()) return voted.status();
    Result<device::Array<double>> masses = allocate<double>(c, rows * k);
    if (!masses.ok()) return masses.status();
    Result<device::Array<double>> inverses = allocate<double>(c, rows);
    if (!inverses.ok()) return inverses.status();
    inverse.emplace(std::move(*inverses));
    reference_label.emplace(std::move(*labels));
    label.emplace(std::move(*voted));
    mass.emplace(std::move(*masses));
    return {};
  }
  Status fill(Context& c, int slot, int64_t first, int64_t count) {
    if (k == 0) return {};
    TRACER_RETURN_IF_ERROR(neighbour.fill(c, slot, vote->neighbour, first, count));
    return similarity.fill(c, slot, vote->similarity, first, count);
  }
  Status cast(Context& c, int slot, int64_t count) {
    if (k == 0) return {};
    const int64_t entries = count * k;
    TRACER_RETURN_IF_ERROR(device::launch("cast_votes_kernel", cast_votes_kernel,
                                          {blocks_of(entries, kAcceptThreads), kAcceptThreads}, c.compute,
                                          neighbour.device(slot), similarity.device(slot), entries,
                                          reference_label->global(), vote->sharpness, label->global(), mass->global()));
    return device::launch("weigh_votes_kernel", weigh_votes_kernel, {blocks_of(count, kAcceptThreads), kAcceptThreads},
                          c.compute, mass->global(), count, k, inverse->global());
  }
  Status describe(Context& c, int slot, int64_t count, device::Global<DecisionFeatures> features) {
    if (k == 0) return {};
    return device::launch("describe_neighbours_kernel", describe_neighbours_kernel,
                          {blocks_of(count, kAcceptThreads), kAcceptThreads}, c.compute, label->global(),
                          similarity.device(slot), count, k, features);
  }
  Votes votes() const {
    if (k == 0) return {0, vote->weight, {}, {}, {}};
    return {k, vote->weight, label->global(), mass->global(), inverse->global()};
  }
};

struct AcceptorArrays {
  std::vector<device::Array<double>> arrays;  // mean, scale, coef, label_frequency

  Status create(Context& c, const LinearAcceptor& a) {
    for (const std::span<const double> values : {a.mean, a.scale, a.coef, a.label_frequency}) {
      Result<device::Array<double>> array = upload(c, values);
      if (!array.ok()) return array.status();
      arrays.push_back(std::move(*array));
    }
    return {};
  }
  AcceptHead head() const { return {arrays[0].global(), arrays[1].global(), arrays[2].global(), arrays[3].global()}; }
};

// What leaves the device for a batch.
struct Outputs {
  Lane<DecisionFeatures> features;
  Lane<float> member_p, probability, accept;
  const DecisionOutputs* to = nullptr;
  bool accepts = false;

  Status create(Context& c, int64_t rows, int64_t classes, int64_t members, const DecisionOutputs& out) {
    to = &out;
    accepts = !out.accept.empty();
    TRACER_RETURN_IF_ERROR(features.create(c, rows, 1));
    if (out.member_p.data != nullptr) TRACER_RETURN_IF_ERROR(member_p.create(c, rows, members));
    if (out.probability.data != nullptr) TRACER_RETURN_IF_ERROR(probability.create(c, rows, classes));
    if (accepts) TRACER_RETURN_IF_ERROR(accept.create(c, rows, 1));
    return {};
  }
  Decisions decisions(int slot) const {
    Decisions d{features.device(slot), to->member_p.data != nullptr, {}, to->probability.data != nullptr, {}};
    if (d.want_member_p) d.member_p = member_p.device(slot);
    if (d.want_probability) d.probability = probability.device(slot);
    return d;
  }
  Status fetch(Context& c, int slot, int64_t count) {
    if (to->member_p.data != nullptr) TRACER_RETURN_IF_ERROR(member_p.fetch(c, slot, count));
    if (to->probability.data != nullptr) TRACER_RETURN_IF_ERROR(probability.fetch(c, slot, count));
    if (accepts) TRACER_RETURN_IF_ERROR(accept.fetch(c, slot, count));
    return features.fetch(c, slot, count);
  }
  void drain(Context& c, int slot, int64_t first, int64_t count) const {
    features.drain(c, slot,
                   HostMatrix<DecisionFeatures>(to->features.data(), static_cast<int64_t>(to->features.size()), 1),
                   first, count);
    if (to->member_p.data != nullptr) member_p.drain(c, slot, to->member_p, first, count);
    if (to->probability.data != nullptr) probability.drain(c, slot, to->probability, first, count);
    if (accepts) std::copy_n(accept.host(slot), count, to->accept.data() + first);
  }
};

// A batch's rows in the head's storage: T as they come, S as they meet the weights.
template <class T, class S>
Status decide(Context& c, HostMatrix<const T> x, const DeviceHead& head, device::Global<const S> w,
              const NeighbourVote& vote, const LinearAcceptor* acceptor, const DecisionOutputs& out) {
  const int64_t n = x.rows, d = x.cols, width = head.classes() * head.members();
  const int64_t each = std::min(c.tuning.rows, n);
  const int64_t shared_bytes = decide_shared_floats(width) * static_cast<int64_t>(sizeof(float));
  const bool fused = shared_bytes <= c.tuning.decide_shared_bytes;
  constexpr bool kSame = std::is_same_v<T, S>;
  Lane<T> rows;
  Ballots ballots;
  Outputs outputs;
  AcceptorArrays accept;
  TRACER_RETURN_IF_ERROR(rows.create(c, each, d));
  TRACER_RETURN_IF_ERROR(ballots.create(c, each, vote));
  TRACER_RETURN_IF_ERROR(outputs.create(c, each, head.classes(), head.members(), out));
  if (outputs.accepts) TRACER_RETURN_IF_ERROR(accept.create(c, *acceptor));
  Result<device::Array<S>> stored = allocate<S>(c, kSame ? 0 : each * d);
  if (!stored.ok()) return stored.status();
  Result<device::Array<float>> logits = allocate<float>(c, fused ? 0 : each * width);
  if (!logits.ok()) return logits.status();
  return stream_rows(
      c, n, each,
      [&](int slot, int64_t first, int64_t count) -> Status {
        TRACER_RETURN_IF_ERROR(rows.fill(c, slot, x, first, count));
        return ballots.fill(c, slot, first, count);
      },
      [&](int slot, int64_t, int64_t count) -> Status {
        TRACER_RETURN_IF_ERROR(ballots.cast(c, slot, count));
        device::Global<const S> xs = stored->global();
        if constexpr (kSame) {
          xs = rows.device(slot);
        } else {
          TRACER_RETURN_IF_ERROR(device::launch("cast_kernel", cast_kernel<T, S>,
                                                {blocks_of(count * d, 4 * kElementThreads), kElementThreads}, c.compute,
                                                rows.device(slot), count * d, stored->global()));
        }
        const Decisions decisions = outputs.decisions(slot);
        if (fused) {
          TRACER_RETURN_IF_ERROR(device::launch(
              "decide_kernel", decide_kernel<S>, {blocks_of(count, kDecideRows), kDecideThreads, shared_bytes},
              c.compute, xs, count, d, w, head.parameters(), ballots.votes(), decisions));
        } else {
          TRACER_RETURN_IF_ERROR(
              exact_product<S>(c, Trans::kNo, Trans::kNo, count, width, d, xs, w, false, logits->global()));
          TRACER_RETURN_IF_ERROR(device::launch("decide_rows_kernel", decide_rows_kernel,
                                                {blocks_of(count, kDecideThreads / device::kWarp), kDecideThreads},
                                                c.compute, logits->global(), count, head.parameters(), ballots.votes(),
                                                decisions));
        }
        TRACER_RETURN_IF_ERROR(ballots.describe(c, slot, count, decisions.features));
        if (!outputs.accepts) return {};
        return device::launch("accept_kernel", accept_kernel, {blocks_of(count, kAcceptThreads), kAcceptThreads},
                              c.compute, outputs.features.device(slot), count, accept.head(),
                              outputs.accept.device(slot));
      },
      [&](int slot, int64_t, int64_t count) { return outputs.fetch(c, slot, count); },
      [&](int slot, int64_t first, int64_t count) {
        outputs.drain(c, slot, first, count);
        return Status();
      });
}

}  // namespace

Result<std::unique_ptr<LinearHead>> prepare_head(Context& c, std::span<const LinearMember> members, Storage storage) {
  const int64_t d = members[0].w.rows, classes = members[0].w.cols, count = static_cast<int64_t>(members.size());
  const bool narrow = storage == Storage::kBFloat16;
  std::vector<float> w(static_cast<size_t>(d * classes * count)), bias, weight;
  for (int64_t m = 0; m < count; ++m) {
    const LinearMember& member = members[static_cast<size_t>(m)];
    for (int64_t k = 0; k < d; ++k) {
      std::copy_n(member.w.row(k), classes, w.data() + (k * count + m) * classes);
    }
    bias.insert(bias.end(), member.b.begin(), member.b.end());
    weight.push_back(member.weight);
  }
  std::vector<BFloat16> rounded;
  if (narrow) {
    for (const float v : w) rounded.push_back(to_bfloat16(v));
    w.clear();
  }
  Result<device::Array<float>> w32 = upload(c, std::span<const float>(w));
  if (!w32.ok()) return w32.status();
  Result<device::Array<BFloat16>> w16 = upload(c, std::span<const BFloat16>(rounded));
  if (!w16.ok()) return w16.status();
  Result<device::Array<float>> b = upload(c, std::span<const float>(bias));
  if (!b.ok()) return b.status();
  Result<device::Array<float>> share = upload(c, std::span<const float>(weight));
  if (!share.ok()) return share.status();
  TRACER_RETURN_IF_ERROR(c.compute.synchronise());
  return std::unique_ptr<LinearHead>(std::make_unique<DeviceHead>(d, classes, count, storage, std::move(*w32),
                                                                  std::move(*w16), std::move(*b), std::move(*share)));
}

template <class T>
Status decision_features(Context& c, HostMatrix<const T> x, const LinearHead& any_head, const NeighbourVote& vote,
                         const LinearAcceptor* acceptor, const DecisionOutputs& out) {
  const auto* head = dynamic_cast<const DeviceHead*>(&any_head);
  if (head == nullptr) return internal_error("decision_features: the head was made by another backend");
  if (x.rows == 0) return {};
  if (head->storage() == Storage::kBFloat16) {
    return decide<T, BFloat16>(c, x, *head, head->w16.global(), vote, acceptor, out);
  }
  return decide<T, float>(c, x, *head, head->w32.global(), vote, acceptor, out);
}

Status decision_features_from(Context& c, HostMatrix<const float> s, const NeighbourVote& vote,
                              std::span<DecisionFeatures> out) {
  const int64_t each = std::min(c.tuning.rows, s.rows);
  if (s.rows == 0) return {};
  const DecisionOutputs to{out, {}, {}, {}};
  Lane<float> rows;
  Ballots ballots;
  Outputs outputs;
  TRACER_RETURN_IF_ERROR(rows.create(c, each, s.cols));
  TRACER_RETURN_IF_ERROR(ballots.create(c, each, vote));
  TRACER_RETURN_IF_ERROR(outputs.create(c, each, s.cols, 1, to));
  return stream_rows(
      c, s.rows, each,
      [&](int slot, int64_t first, int64_t count) -> Status {
        TRACER_RETURN_IF_ERROR(rows.fill(c, slot, s, first, count));
        return ballots.fill(c, slot, first, count);
      },
      [&](int slot, int64_t, int64_t count) -> Status {
        TRACER_RETURN_IF_ERROR(ballots.cast(c, slot, count));
        const Decisions decisions = outputs.decisions(slot);
        TRACER_RETURN_IF_ERROR(device::launch("decide_rows_kernel", decide_rows_kernel,
                                              {blocks_of(count, kDecideThreads / device::kWarp), kDecideThreads},
                                              c.compute, rows.device(slot), count, Members{1, s.cols, true, {}, {}},
                                              ballots.votes(), decisions));
        return ballots.describe(c, slot, count, decisions.features);
      },
      [&](int slot, int64_t, int64_t count) { return outputs.fetch(c, slot, count); },
      [&](int slot, int64_t first, int64_t count) {
        outputs.drain(c, slot, first, count);
        return Status();
      });
}

template Status decision_features(Context&, HostMatrix<const float>, const LinearHead&, const NeighbourVote&,
                                  const LinearAcceptor*, const DecisionOutputs&);
template Status decision_features(Context&, HostMatrix<const BFloat16>, const LinearHead&, const NeighbourVote&,
                                  const LinearAcceptor*, const DecisionOutputs&);

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
