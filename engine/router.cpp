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

// references: null where the stage is not prepared.
Status score(Backend& backend, const Stage& stage, const References* references, HostMatrix<const float> x,
             std::vector<RowScore>& out, Matrix<int32_t>* neighbours, Matrix<float>* similarity,
             Matrix<float>* probability) {
  const NeighbourMember& member = stage.neighbours;
  Matrix<int32_t> index(x.rows, member.k);
  Matrix<float> near(x.rows, member.k);
  const TopK nearest{index.view(), near.view()};
  TRACER_RETURN_IF_ERROR(references != nullptr ? backend.topk_cosine(x, *references, {}, nearest)
                                               : backend.topk_cosine(x, member.references.view(), {}, {}, nearest));
  MixtureInputs in;
  in.x = x;
  in.w = stage.softmax.w.view();
  in.b = stage.softmax.b;
  in.neighbour = index.view();
  in.similarity = near.view();
  in.reference_label = member.label;
  in.vote_weight = stage.vote_weight;
  in.vote_sharpness = member.sharpness;
  std::vector<DecisionFeatures> features(x.rows);
  HostMatrix<float> wanted;
  if (probability != nullptr) {
    *probability = Matrix<float>(x.rows, static_cast<int64_t>(stage.softmax.b.size()));
    wanted = probability->view();
  }
  TRACER_RETURN_IF_ERROR(backend.mixture_features(in, features, wanted));
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

Status score_guarded(Backend& backend, const Stage& stage, const References* references, HostMatrix<const float> x,
                     std::vector<RowScore>& out, Matrix<int32_t>* neighbours, Matrix<float>* similarity,
                     Matrix<float>* probability) {
  try {
    return score(backend, stage, references, x, out, neighbours, similarity, probability);
  } catch (const std::bad_alloc&) {
    return out_of_memory("scoring " + std::to_string(x.rows) + " rows");
  }
}

}  // namespace

Result<PreparedStage> prepare_stage(Backend& backend, const Stage& stage) {
  try {
    auto references = backend.prepare_references(stage.neighbours.references.view(), {});
    if (!references.ok()) return references.status();
    return PreparedStage{&stage, std::move(references).value()};
  } catch (const std::bad_alloc&) {
    return out_of_memory("preparing " + std::to_string(stage.neighbours.references.rows()) + " references");
  }
}

Status score_rows(Backend& backend, const PreparedStage& prepared, HostMatrix<const float> x,
                  std::vector<RowScore>& out, Matrix<int32_t>* neighbours, Matrix<float>* similarity,
                  Matrix<float>* probability) {
  return score_guarded(backend, *prepared.stage, prepared.references.get(), x, out, neighbours, similarity,
                       probability);
}

Status score_rows(Backend& backend, const Stage& stage, HostMatrix<const float> x, std::vector<RowScore>& out,
                  Matrix<int32_t>* neighbours, Matrix<float>* similarity, Matrix<float>* probability) {
  return score_guarded(backend, stage, nullptr, x, out, neighbours, similarity, probability);
}

}  // namespace tracer
