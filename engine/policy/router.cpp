#include "engine/policy/router.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <span>
#include <string>
#include <utility>

#include "engine/maths/pick.h"
#include "engine/policy/acceptor.h"
#include "engine/policy/added_member.h"
#include "engine/policy/canonical.h"
#include "engine/policy/gate.h"
#include "engine/policy/kernel_vote.h"

namespace tracer {

const char* to_string(Reason reason) {
  switch (reason) {
    case Reason::kAccepted:
      return "accepted";
    case Reason::kBelowThreshold:
      return "below_threshold";
    case Reason::kOutOfDistribution:
      return "out_of_distribution";
    case Reason::kNeverLabel:
      return "never_label";
    case Reason::kBelowLabelFloor:
      return "below_label_floor";
  }
  return "?";
}

DecisionRule decision_rule(const Policy& policy, const Certificate& certificate) {
  DecisionRule rule{certificate.threshold, {}, policy.text ? certificate.text_threshold : 1.0};
  if (policy.never.empty() && certificate.floored.empty()) return rule;
  rule.by_label.assign(policy.labels.size(), Reason::kAccepted);
  for (const FlooredLabel& f : certificate.floored) rule.by_label[f.label] = Reason::kBelowLabelFloor;
  for (int32_t label : policy.never) rule.by_label[label] = Reason::kNeverLabel;
  return rule;
}

namespace {

constexpr int64_t kRows = 256;  // of a task

// (1 - v) s + v vote, where the neighbours' labels are the vote; s in place.
void add_vote(const NeighbourVote& vote, HostMatrix<float> s) {
  std::vector<double> votes(static_cast<size_t>(s.cols));
  for (int64_t i = 0; i < s.rows; ++i) {
    std::fill(votes.begin(), votes.end(), 0.0);
    double sum = 0;
    for (int64_t j = 0; j < vote.neighbour.cols && vote.neighbour(i, j) >= 0; ++j) {
      const double w = std::pow(std::max(vote.similarity(i, j), 0.0f), vote.sharpness);
      votes[vote.reference_label[vote.neighbour(i, j)]] += w;
      sum += w;
    }
    for (int64_t c = 0; sum > 0 && c < s.cols; ++c)
      s(i, c) = (1 - vote.weight) * s(i, c) + vote.weight * static_cast<float>(votes[c] / sum);
  }
}

// The stage's view of each row; probability, when not null, receives the mixture.
Status features_of(Backend& backend, const PreparedStage& prepared, HostMatrix<const float> x, const TopK& near,
                   std::vector<RowFeatures>& out, Matrix<float>* probability) {
  const Stage& stage = *prepared.stage;
  const int64_t n = x.rows, classes = static_cast<int64_t>(stage.softmax.b.size());
  const NeighbourMember& member = stage.neighbours;
  const NeighbourVote vote{{near.index.data, n, member.k, near.index.stride},
                           {near.similarity.data, n, member.k, near.similarity.stride},
                           member.label,
                           stage.vote_weight,
                           member.sharpness};
  std::vector<DecisionFeatures> decided(n);
  out.resize(n);
  Matrix<float> linear(n, classes), kernel, s;
  TRACER_RETURN_IF_ERROR(backend.head_probabilities(x, *prepared.head, linear.view()));
  Matrix<float> q;  // of Stage; empty where it is the softmax regression's
  std::vector<Matrix<float>> added;
  std::vector<float> weights;
  for (size_t m = 0; m < stage.added.size(); ++m) {
    added.emplace_back(n, classes);
    weights.push_back(stage.added[m].weight);
    TRACER_RETURN_IF_ERROR(
        member_probabilities(backend, stage.added[m], prepared.added_heads[m].get(), x, added.back().view()));
  }
  if (!added.empty()) {
    q = Matrix<float>(n, classes);
    mix_members(backend, linear.view(), weights, added, q.view());
  }
  Matrix<float>& base = added.empty() ? linear : q;
  const bool voted = !stage.kernel.vote.empty();
  if (voted) {
    kernel = Matrix<float>(n, classes), s = Matrix<float>(n, classes);
    TRACER_RETURN_IF_ERROR(kernel_scores(backend, {near.index.data, n, stage.kernel.k, near.index.stride},
                                         {near.similarity.data, n, stage.kernel.k, near.similarity.stride},
                                         stage.kernel.vote.view(), stage.kernel.prior, kernel.view()));
    kernel_probabilities(backend, stage.kernel.temperature, kernel.view());
    blend(backend, base.view(), kernel.view(), stage.kernel_weight, s.view());
  }
  Matrix<float>& mixed = voted ? s : base;
  TRACER_RETURN_IF_ERROR(backend.decision_features_from(mixed.view(), vote, decided));
  parallel_for(backend, (n + kRows - 1) / kRows, [&](int64_t block) {
    for (int64_t i = block * kRows; i < std::min(n, (block + 1) * kRows); ++i) {
      const int32_t label = decided[i].label;
      out[i] = {decided[i],
                neighbourhood_distance(stage.gate.reference_distance, near.index.row(i), member.k),
                member_view(linear.row(i), classes, label),
                {}};
      if (voted) out[i].kernel = member_view(kernel.row(i), classes, label);
      for (const Matrix<float>& said : added) out[i].added[out[i].n_added++] = member_view(said.row(i), classes, label);
    }
  });
  if (probability != nullptr) {
    add_vote(vote, mixed.view());
    *probability = std::move(mixed);
  }
  return {};
}

Status answer_residual(Backend& backend, const PreparedStage& prepared, HostMatrix<const float> x, bool canonical,
                       std::vector<RowScore>& out, Matrix<float>* probability);

// canonical: every row, not those next to a boundary alone.
Status score(Backend& backend, const PreparedStage& prepared, HostMatrix<const float> x, bool canonical,
             std::vector<RowScore>& out, Matrix<int32_t>* neighbours, Matrix<float>* similarity,
             Matrix<float>* probability) {
  const Stage& stage = *prepared.stage;
  const int64_t k = std::max(stage.neighbours.k, stage.kernel.k);
  Matrix<int32_t> index(x.rows, k);
  Matrix<float> near(x.rows, k);
  const TopK nearest{index.view(), near.view()};
  TRACER_RETURN_IF_ERROR(backend.topk_cosine(x, *prepared.references, {}, nearest));
  std::vector<RowFeatures> features;
  TRACER_RETURN_IF_ERROR(features_of(backend, prepared, x, nearest, features, probability));
  out.resize(x.rows);
  parallel_for(backend, (x.rows + kRows - 1) / kRows, [&](int64_t block) {
    for (int64_t i = block * kRows; i < std::min(x.rows, (block + 1) * kRows); ++i) {
      const RowFeatures& f = features[i];
      out[i] = {f, accept_score(stage.acceptor, f, stage.label_frequency[f.label]), out_of_distribution(stage.gate, f)};
      if (canonical || near_boundary(stage, out[i], prepared.thresholds))
        out[i] = canonical_score(stage, x.row(i), index.row(i), near.row(i));
    }
  });
  if (neighbours != nullptr) *neighbours = std::move(index);
  if (similarity != nullptr) *similarity = std::move(near);
  return prepared.residual ? answer_residual(backend, prepared, x, canonical, out, probability) : Status();
}

// Rows that the stage leaves to its residual are that one's.
Status answer_residual(Backend& backend, const PreparedStage& prepared, HostMatrix<const float> x, bool canonical,
                       std::vector<RowScore>& out, Matrix<float>* probability) {
  std::vector<int64_t> left;
  for (size_t i = 0; i < out.size(); ++i)
    if (!out[i].gated && out[i].score <= prepared.stage->residual_below) left.push_back(static_cast<int64_t>(i));
  if (left.empty()) return {};
  const Matrix<float> rows = pick_rows(x, left);
  Matrix<float> mixed;
  std::vector<RowScore> answers;
  TRACER_RETURN_IF_ERROR(score(backend, *prepared.residual, rows.view(), canonical, answers, nullptr, nullptr,
                               probability != nullptr ? &mixed : nullptr));
  for (size_t j = 0; j < left.size(); ++j) {
    RowScore& row = out[static_cast<size_t>(left[j])];
    row = answers[j];
    row.residual = true;
    if (probability != nullptr)
      std::copy_n(mixed.row(static_cast<int64_t>(j)), mixed.cols(), probability->row(left[j]));
  }
  return {};
}

}  // namespace

Result<PreparedStage> prepare_stage(Backend& backend, const Stage& stage, std::vector<double> thresholds,
                                    int64_t rows) {
  try {
    TRACER_ASSIGN_OR_RETURN(auto references,
                            backend.prepare_references(stage.neighbours.references.view(), {{}, {}, rows}));
    TRACER_ASSIGN_OR_RETURN(auto head, backend.prepare_head(stage.softmax.w.view(), stage.softmax.b));
    std::vector<std::unique_ptr<LinearHead>> added_heads;
    for (const AddedMember& member : stage.added) {
      TRACER_ASSIGN_OR_RETURN(auto last, prepare_member(backend, member));
      added_heads.push_back(std::move(last));
    }
    std::unique_ptr<PreparedStage> residual;
    if (stage.residual) {
      TRACER_ASSIGN_OR_RETURN(auto second, prepare_stage(backend, *stage.residual, thresholds, rows));
      residual = std::make_unique<PreparedStage>(std::move(second));
      thresholds.push_back(stage.residual_below);
    }
    return PreparedStage{&stage,
                         std::move(references),
                         std::move(head),
                         std::move(added_heads),
                         std::move(thresholds),
                         std::move(residual)};
  } catch (const std::bad_alloc&) {
    return out_of_memory("preparing " + std::to_string(stage.neighbours.references.rows()) + " references");
  }
}

Status score_rows(Backend& backend, const PreparedStage& prepared, HostMatrix<const float> x,
                  std::vector<RowScore>& out, Matrix<int32_t>* neighbours, Matrix<float>* similarity,
                  Matrix<float>* probability) {
  try {
    return score(backend, prepared, x, false, out, neighbours, similarity, probability);
  } catch (const std::bad_alloc&) {
    return out_of_memory("scoring " + std::to_string(x.rows) + " rows");
  }
}

Status score_rows_canonically(Backend& backend, const PreparedStage& prepared, HostMatrix<const float> x,
                              std::vector<RowScore>& out) {
  try {
    return score(backend, prepared, x, true, out, nullptr, nullptr, nullptr);
  } catch (const std::bad_alloc&) {
    return out_of_memory("scoring " + std::to_string(x.rows) + " rows");
  }
}

Status score_rows(Backend& backend, const Stage& stage, HostMatrix<const float> x, std::vector<RowScore>& out,
                  Matrix<int32_t>* neighbours, Matrix<float>* similarity, Matrix<float>* probability) {
  TRACER_ASSIGN_OR_RETURN(auto prepared, prepare_stage(backend, stage, {}, x.rows));
  return score_rows(backend, prepared, x, out, neighbours, similarity, probability);
}

}  // namespace tracer
