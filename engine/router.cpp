#include "engine/router.h"

#include <new>
#include <string>

#include "engine/acceptor.h"
#include "engine/gate.h"

namespace tracer {

const char* to_string(Reason reason) {
  switch (reason) {
    case Reason::kAccepted:
      return "accepted";
    case Reason::kBelowThreshold:
      return "below_threshold";
    case Reason::kOutOfDistribution:
      return "out_of_distribution";
  }
  return "?";
}

namespace {

Status score(Backend& backend, const Stage& stage, HostMatrix<const float> x, std::vector<RowScore>& out,
             Matrix<int32_t>* neighbours, Matrix<float>* similarity, Matrix<float>* probability) {
  const NeighbourMember& member = stage.neighbours;
  Matrix<int32_t> index(x.rows, member.k);
  Matrix<float> near(x.rows, member.k);
  TRACER_RETURN_IF_ERROR(backend.topk_cosine(x, member.references.view(), {}, {}, TopK{index.view(), near.view()}));
  const LinearMember softmax{stage.softmax.w.view(), stage.softmax.b, 1.0f};
  const auto head = backend.prepare_head({&softmax, 1}, Storage::kFloat32);
  if (!head.ok()) return head.status();
  const NeighbourVote vote{index.view(), near.view(), member.label, stage.vote_weight, member.sharpness};
  std::vector<DecisionFeatures> features(x.rows);
  HostMatrix<float> wanted;
  if (probability != nullptr) {
    *probability = Matrix<float>(x.rows, static_cast<int64_t>(stage.softmax.b.size()));
    wanted = probability->view();
  }
  TRACER_RETURN_IF_ERROR(backend.decision_features(x, **head, vote, nullptr, {features, {}, wanted}));
  out.resize(x.rows);
  parallel_for(backend, (x.rows + 255) / 256, [&](int64_t block) {
    for (int64_t i = block * 256; i < std::min(x.rows, (block + 1) * 256); ++i) {
      const DecisionFeatures& f = features[i];
      out[i] = {f, accept_score(stage.acceptor, f, stage.label_frequency[f.label]), out_of_distribution(stage.gate, f)};
    }
  });
  if (neighbours != nullptr) *neighbours = std::move(index);
  if (similarity != nullptr) *similarity = std::move(near);
  return {};
}

}  // namespace

Status score_rows(Backend& backend, const Stage& stage, HostMatrix<const float> x, std::vector<RowScore>& out,
                  Matrix<int32_t>* neighbours, Matrix<float>* similarity, Matrix<float>* probability) {
  try {
    return score(backend, stage, x, out, neighbours, similarity, probability);
  } catch (const std::bad_alloc&) {
    return out_of_memory("scoring " + std::to_string(x.rows) + " rows");
  }
}

}  // namespace tracer
