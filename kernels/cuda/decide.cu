#include <algorithm>
#include <optional>

#include "kernels/cuda/decide.cuh"
#include "kernels/cuda/operations.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

namespace {

class DeviceHead final : public LinearHead {
 public:
  DeviceHead(int64_t d, int64_t classes, device::Array<float> w, device::Array<float> bias)
      : w(std::move(w)), bias(std::move(bias)), d_(d), classes_(classes) {}
  int64_t dimension() const override { return d_; }
  int64_t classes() const override { return classes_; }

  device::Array<float> w;  // d x classes
  device::Array<float> bias;

 private:
  int64_t d_, classes_;
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
                                          {blocks_of(entries, kVoteThreads), kVoteThreads}, c.compute,
                                          neighbour.device(slot), similarity.device(slot), entries,
                                          reference_label->global(), vote->sharpness, label->global(), mass->global()));
    return device::launch("weigh_votes_kernel", weigh_votes_kernel, {blocks_of(count, kVoteThreads), kVoteThreads},
                          c.compute, mass->global(), count, k, inverse->global());
  }
  Status describe(Context& c, int slot, int64_t count, device::Global<DecisionFeatures> features) {
    if (k == 0) return {};
    return device::launch("describe_neighbours_kernel", describe_neighbours_kernel,
                          {blocks_of(count, kVoteThreads), kVoteThreads}, c.compute, label->global(),
                          similarity.device(slot), count, k, features);
  }
  Votes votes() const {
    if (k == 0) return {0, vote->weight, {}, {}, {}};
    return {k, vote->weight, label->global(), mass->global(), inverse->global()};
  }
};

}  // namespace

Result<std::unique_ptr<LinearHead>> prepare_head(Context& c, HostMatrix<const float> w, std::span<const float> b) {
  TRACER_ASSIGN_OR_RETURN(device::Array<float> weights, upload<float>(c, w));
  TRACER_ASSIGN_OR_RETURN(device::Array<float> bias, upload(c, b));
  TRACER_RETURN_IF_ERROR(c.compute.synchronise());
  return std::unique_ptr<LinearHead>(std::make_unique<DeviceHead>(w.rows, w.cols, std::move(weights), std::move(bias)));
}

Status head_probabilities(Context& c, HostMatrix<const float> x, const LinearHead& any_head, HostMatrix<float> out) {
  const auto* head = dynamic_cast<const DeviceHead*>(&any_head);
  if (head == nullptr) return internal_error("head_probabilities: the head was made by another backend");
  const int64_t n = x.rows, d = x.cols, classes = head->classes();
  if (n == 0) return {};
  const int64_t each = std::min(c.tuning.rows, n);
  const int64_t shared_bytes = head_shared_floats(classes) * static_cast<int64_t>(sizeof(float));
  const bool fused = shared_bytes <= c.tuning.head_shared_bytes;
  Lane<float> rows, probability;
  TRACER_RETURN_IF_ERROR(rows.create(c, each, d));
  TRACER_RETURN_IF_ERROR(probability.create(c, each, classes));
  return stream_rows(
      c, n, each, [&](int slot, int64_t first, int64_t count) { return rows.fill(c, slot, x, first, count); },
      [&](int slot, int64_t, int64_t count) -> Status {
        const device::Global<float> p = probability.device(slot);
        if (fused) {
          return device::launch("head_kernel", head_kernel, {blocks_of(count, kHeadRows), kDecideThreads, shared_bytes},
                                c.compute, rows.device(slot), count, d, head->w.global(), classes, head->bias.global(),
                                p);
        }
        TRACER_RETURN_IF_ERROR(exact_product<float>(c, Trans::kNo, Trans::kNo, count, classes, d, rows.device(slot),
                                                    head->w.global(), false, p));
        return device::launch("head_rows_kernel", head_rows_kernel,
                              {blocks_of(count, kDecideThreads / device::kWarp), kDecideThreads}, c.compute, p, count,
                              classes, head->bias.global());
      },
      [&](int slot, int64_t, int64_t count) { return probability.fetch(c, slot, count); },
      [&](int slot, int64_t first, int64_t count) {
        probability.drain(c, slot, out, first, count);
        return Status();
      });
}

Status decision_features_from(Context& c, HostMatrix<const float> s, const NeighbourVote& vote,
                              std::span<DecisionFeatures> out) {
  const int64_t each = std::min(c.tuning.rows, s.rows);
  if (s.rows == 0) return {};
  const HostMatrix<DecisionFeatures> to(out.data(), s.rows, 1);
  Lane<float> rows;
  Lane<DecisionFeatures> features;
  Ballots ballots;
  TRACER_RETURN_IF_ERROR(rows.create(c, each, s.cols));
  TRACER_RETURN_IF_ERROR(ballots.create(c, each, vote));
  TRACER_RETURN_IF_ERROR(features.create(c, each, 1));
  return stream_rows(
      c, s.rows, each,
      [&](int slot, int64_t first, int64_t count) -> Status {
        TRACER_RETURN_IF_ERROR(rows.fill(c, slot, s, first, count));
        return ballots.fill(c, slot, first, count);
      },
      [&](int slot, int64_t, int64_t count) -> Status {
        TRACER_RETURN_IF_ERROR(ballots.cast(c, slot, count));
        TRACER_RETURN_IF_ERROR(device::launch("decide_rows_kernel", decide_rows_kernel,
                                              {blocks_of(count, kDecideThreads / device::kWarp), kDecideThreads},
                                              c.compute, rows.device(slot), count, s.cols, ballots.votes(),
                                              features.device(slot)));
        return ballots.describe(c, slot, count, features.device(slot));
      },
      [&](int slot, int64_t, int64_t count) { return features.fetch(c, slot, count); },
      [&](int slot, int64_t first, int64_t count) {
        features.drain(c, slot, to, first, count);
        return Status();
      });
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
