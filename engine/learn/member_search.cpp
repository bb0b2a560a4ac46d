#include "engine/learn/member_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <utility>

#include "engine/learn/mlp.h"
#include "engine/learn/prototype.h"
#include "engine/learn/tree_search.h"
#include "engine/policy/added_member.h"
#include "engine/policy/kernel_vote.h"

namespace tracer {
namespace {

constexpr double kRidges[] = {0.01, 0.03, 0.1, 0.3, 1};
constexpr float kTemperatures[] = {0.05f, 0.07f, 0.1f, 0.14f, 0.2f, 0.35f, 0.5f, 0.7f, 1};
constexpr int64_t kHiddenUnits = 256;
constexpr int kMostEpochs = 40;
constexpr int kPatience = 3;      // steps without a lower loss
constexpr int kFirstVerdict = 3;  // steps before a network can be given up
constexpr double kHopeless = 1.1;
constexpr double kLeastWeight = 0.05;
constexpr double kFloor = 1e-6;  // of a probability in a loss

// Runs say(x, out) on blocks of the rows named; out is what becomes of those rows of `all`.
template <class F>
Status on_rows(Backend& backend, HostMatrix<const float> x, std::span<const int32_t> rows, Matrix<float>& all,
               F&& say) {
  constexpr size_t kBlock = 4096;
  for (size_t first = 0; first < rows.size(); first += kBlock) {
    const auto part = rows.subspan(first, std::min(kBlock, rows.size() - first));
    const std::vector<int64_t> index(part.begin(), part.end());
    Matrix<float> taken(static_cast<int64_t>(index.size()), x.cols), out(taken.rows(), all.cols());
    TRACER_RETURN_IF_ERROR(backend.gather_rows(x, index, taken.view()));
    TRACER_RETURN_IF_ERROR(say(std::as_const(taken).view(), out.view()));
    for (int64_t i = 0; i < out.rows(); ++i)
      std::copy_n(out.row(i), out.cols(), all.row(index[static_cast<size_t>(i)]));
  }
  return {};
}

Result<FoundMember> search_prototype(Backend& backend, const MemberSearchInput& in) {
  std::vector<ClassMoments> part;
  for (int32_t fold = 0; fold < in.folds; ++fold) {
    TRACER_ASSIGN_OR_RETURN(
        auto moments, class_moments(backend, in.data.x, in.data.label, in.data.classes, rows_of_fold(in, fold, true)));
    part.push_back(std::move(moments));
  }
  FoundMember best;
  best.plan.kind = MemberKind::kPrototype;
  best.plan.log_loss = std::numeric_limits<double>::infinity();
  for (double ridge : kRidges) {
    Matrix<float> logit(in.data.x.rows, in.data.classes);
    for (int32_t fold = 0; fold < in.folds; ++fold) {
      ClassMoments learned{Matrix<double>(in.data.x.cols, in.data.x.cols),
                           Matrix<double>(in.data.classes, in.data.x.cols),
                           std::vector<int64_t>(static_cast<size_t>(in.data.classes), 0)};
      for (int32_t other = 0; other < in.folds; ++other)
        if (other != fold) add(part[static_cast<size_t>(other)], 1, learned);
      TRACER_ASSIGN_OR_RETURN(auto member, fit_prototype(backend, learned, ridge, 1));
      TRACER_RETURN_IF_ERROR(on_rows(
          backend, in.data.x, rows_of_fold(in, fold, true), logit,
          [&](HostMatrix<const float> x, HostMatrix<float> out) {
            return backend.gemm(Trans::kNo, Trans::kNo, x, member.w.view(), {member.b, Activation::kNone, {}}, out);
          }));
    }
    for (float temperature : kTemperatures) {
      Matrix<float> p = logit.clone();
      kernel_probabilities(backend, temperature, p.view());
      const double loss = out_of_fold_log_loss(std::as_const(p).view(), in.data.label);
      if (!(loss < best.plan.log_loss)) continue;
      best.plan.log_loss = loss, best.plan.ridge = ridge, best.plan.temperature = static_cast<double>(temperature);
      best.probability = std::move(p);
    }
  }
  return best;
}

std::string shown(const std::vector<int64_t>& hidden) {
  std::string text;
  for (int64_t units : hidden) text += (text.empty() ? "" : ", ") + std::to_string(units);
  return text;
}

MlpOptions mlp_options(const MemberPlan& plan) {
  MlpOptions options;
  options.hidden = plan.hidden;
  options.seed = plan.seed;
  return options;
}

Result<FoundMember> search_mlp(Backend& backend, const MemberSearchInput& in, MemberKind kind,
                               std::vector<int64_t> hidden, std::vector<std::string>& cut) {
  FoundMember best;
  best.plan.kind = kind, best.plan.hidden = std::move(hidden), best.plan.seed = in.seed;
  best.plan.log_loss = std::numeric_limits<double>::infinity();
  const std::string name = "MLP of hidden layers " + shown(best.plan.hidden);
  std::vector<std::vector<int32_t>> held_out;
  std::vector<std::unique_ptr<MlpTrainer>> trainers;
  for (int32_t fold = 0; fold < in.folds; ++fold) {
    held_out.push_back(rows_of_fold(in, fold, true));
    trainers.push_back(std::make_unique<MlpTrainer>(backend, in.data.x, in.data.label, in.data.classes,
                                                    rows_of_fold(in, fold, false), mlp_options(best.plan)));
  }
  Matrix<float> probability(in.data.x.rows, in.data.classes);
  TrainingProgress progress(kMostEpochs, in.loss);
  while (!progress.over()) {
    if (in.spent && in.spent()) {
      cut.push_back(name + (progress.steps() > 0 ? " beyond " + std::to_string(progress.steps()) + " epochs" : ""));
      break;
    }
    for (size_t fold = 0; fold < trainers.size(); ++fold) {
      TRACER_RETURN_IF_ERROR(trainers[fold]->epoch());
      const AddedMember member = trainers[fold]->network();
      TRACER_ASSIGN_OR_RETURN(auto head, prepare_member(backend, member));
      TRACER_RETURN_IF_ERROR(on_rows(backend, in.data.x, held_out[fold], probability,
                                     [&](HostMatrix<const float> x, HostMatrix<float> out) {
                                       return member_probabilities(backend, member, head.get(), x, out);
                                     }));
    }
    if (progress.step(out_of_fold_log_loss(std::as_const(probability).view(), in.data.label)))
      best.probability = probability.clone();
  }
  best.plan.log_loss = progress.least(), best.plan.epochs = progress.best();
  if (progress.hopeless()) best.probability = Matrix<float>();
  if (in.progress && progress.steps() > 0) in.progress(name + ": " + progress.in_words("epochs"));
  return best;
}

}  // namespace

std::vector<int32_t> rows_of_fold(const MemberSearchInput& in, int32_t fold, bool inside) {
  std::vector<int32_t> rows;
  for (size_t i = 0; i < in.fold.size(); ++i)
    if ((in.fold[i] == fold) == inside) rows.push_back(static_cast<int32_t>(i));
  return rows;
}

bool TrainingProgress::step(double loss) {
  ++steps_;
  const double fell = std::max(last_ - loss, 0.0);
  hopeless_ = steps_ >= kFirstVerdict && loss - fell * (most_ - steps_) > kHopeless * to_beat_;
  last_ = loss;
  if (!(loss < least_)) return false;
  least_ = loss, best_ = steps_;
  return true;
}

bool TrainingProgress::over() const { return steps_ >= most_ || steps_ >= best_ + kPatience || hopeless_; }

std::string TrainingProgress::in_words(const char* steps) const {
  return "out-of-fold loss " + std::to_string(least_) + ", " + std::to_string(best_) + " of " + std::to_string(steps_) +
         " " + steps + (hopeless_ ? "; given up" : "");
}

double out_of_fold_log_loss(HostMatrix<const float> probability, std::span<const int32_t> label) {
  double sum = 0;
  for (int64_t i = 0; i < probability.rows; ++i)
    sum -= std::log(std::max<double>(probability(i, label[static_cast<size_t>(i)]), kFloor));
  return sum / static_cast<double>(probability.rows);
}

Result<OutOfFoldMembers> out_of_fold_members(Backend& backend, const MemberSearchInput& in) {
  OutOfFoldMembers found;
  const auto keep = [&](Result<FoundMember> result) -> Status {
    if (!result.ok()) return result.status();
    if (result->probability.empty()) return {};
    found.plan.push_back(std::move(result->plan));
    found.probability.push_back(std::move(result->probability));
    return {};
  };
  if (in.members.prototype && in.spent && in.spent()) {
    found.cut.push_back("class prototype");
  } else if (in.members.prototype) {
    auto prototype = search_prototype(backend, in);
    if (prototype.ok() && in.progress)
      in.progress("class prototype, ridge " + std::to_string(prototype->plan.ridge).substr(0, 3) +
                  ": out-of-fold loss " + std::to_string(prototype->plan.log_loss));
    TRACER_RETURN_IF_ERROR(keep(std::move(prototype)));
  }
  if (in.members.mlp)
    TRACER_RETURN_IF_ERROR(keep(search_mlp(backend, in, MemberKind::kMlp, {kHiddenUnits}, found.cut)));
  if (in.members.mlp2)
    TRACER_RETURN_IF_ERROR(keep(search_mlp(backend, in, MemberKind::kMlp2, {kHiddenUnits, kHiddenUnits}, found.cut)));
  if (in.members.gbt && in.spent && in.spent()) {
    found.cut.push_back("gradient-boosted trees");
  } else if (in.members.gbt) {
    TRACER_RETURN_IF_ERROR(keep(search_trees(backend.threads(), in, found.cut)));
  }
  return found;
}

void weigh_members(HostMatrix<const float> softmax, std::span<const int32_t> label, OutOfFoldMembers& found) {
  constexpr int kSteps = 200;
  const auto n = static_cast<size_t>(softmax.rows);
  while (!found.plan.empty()) {
    const size_t members = found.plan.size() + 1;
    std::vector<std::vector<double>> p(members, std::vector<double>(n));  // of the teacher's label
    for (size_t i = 0; i < n; ++i)
      for (size_t m = 0; m < members; ++m) {
        const auto row = static_cast<int64_t>(i);
        p[m][i] = std::max<double>(m == 0 ? softmax(row, label[i]) : found.probability[m - 1](row, label[i]), kFloor);
      }
    std::vector<double> weight(members, 1 / static_cast<double>(members)), share(members);
    for (int step = 0; step < kSteps; ++step) {
      std::fill(share.begin(), share.end(), 0.0);
      for (size_t i = 0; i < n; ++i) {
        double total = 0;
        for (size_t m = 0; m < members; ++m) total += weight[m] * p[m][i];
        for (size_t m = 0; m < members; ++m) share[m] += weight[m] * p[m][i] / total;
      }
      for (size_t m = 0; m < members; ++m) weight[m] = share[m] / static_cast<double>(n);
    }
    const auto least = std::min_element(weight.begin() + 1, weight.end());
    if (*least >= kLeastWeight) {
      for (size_t m = 1; m < members; ++m) found.plan[m - 1].weight = static_cast<float>(weight[m]);
      return;
    }
    const auto at = least - weight.begin() - 1;
    found.plan.erase(found.plan.begin() + at);
    found.probability.erase(found.probability.begin() + at);
  }
}

Result<AddedMember> learn_member(Backend& backend, const MemberData& data, const MemberPlan& plan) {
  std::vector<int32_t> rows(data.label.size());
  std::iota(rows.begin(), rows.end(), 0);
  Result<AddedMember> member = AddedMember();
  if (plan.kind == MemberKind::kPrototype) {
    TRACER_ASSIGN_OR_RETURN(auto moments, class_moments(backend, data.x, data.label, data.classes, rows));
    member = fit_prototype(backend, moments, plan.ridge, plan.temperature);
    if (!member.ok()) return member.status();
  } else if (plan.kind == MemberKind::kGbt) {
    member = learn_trees(data, plan);
    if (!member.ok()) return member.status();
  } else {
    MlpTrainer trainer(backend, data.x, data.label, data.classes, std::move(rows), mlp_options(plan));
    for (int epoch = 0; epoch < plan.epochs; ++epoch) TRACER_RETURN_IF_ERROR(trainer.epoch());
    member = trainer.network();
  }
  member->weight = plan.weight;
  return member;
}

}  // namespace tracer
