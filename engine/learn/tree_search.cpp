#include "engine/learn/tree_search.h"

#include <algorithm>
#include <barrier>
#include <memory>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "engine/learn/gradient_boosting.h"
#include "engine/learn/softmax_path.h"
#include "engine/maths/pick.h"

namespace tracer {
namespace {

std::vector<int32_t> labels_of(const MemberData& data, const std::vector<int32_t>& rows) {
  std::vector<int32_t> label;
  for (int32_t r : rows) label.push_back(data.label[static_cast<size_t>(r)]);
  return label;
}

// Rounds of all folds in step. XGBoost keeps what it knows of rows by thread, so a fold's trainer lives and works on
// one thread; the caller is the first of them, and judges each round while the others wait.
class TreeSearch {
 public:
  TreeSearch(int threads, const MemberSearchInput& in, std::vector<std::string>& cut)
      : in_(in),
        cut_(cut),
        threads_(std::clamp(threads, 1, in.folds)),
        step_(threads_),
        status_(static_cast<size_t>(threads_)),
        probability_(in.data.x.rows, in.data.classes),
        progress_(kMostRounds, in.loss) {
    best_.plan.kind = MemberKind::kGbt, best_.plan.seed = in.seed;
  }

  Result<FoundMember> run() {
    std::vector<std::jthread> others;
    try {
      others.reserve(static_cast<size_t>(threads_));
      for (int t = 1; t < threads_; ++t) others.emplace_back([this, t] { work(t); });
    } catch (const std::system_error&) {
      status_[0] = out_of_memory("a thread for each fold");
      for (auto t = static_cast<int>(others.size()) + 1; t < threads_; ++t) step_.arrive_and_drop();
    }
    work(0);
    others.clear();  // joins
    for (Status& status : status_) TRACER_RETURN_IF_ERROR(status);
    best_.plan.log_loss = progress_.least(), best_.plan.epochs = progress_.best();
    if (progress_.hopeless()) best_.probability = Matrix<float>();
    if (in_.progress) in_.progress("gradient-boosted trees: " + progress_.in_words("rounds"));
    return std::move(best_);
  }

 private:
  struct Fold {
    std::vector<int32_t> held_out;
    std::unique_ptr<TreeTrainer> trainer;
  };

  // Nothing is thrown: a thread that left would keep the others waiting.
  void work(int t) {
    Status& status = status_[static_cast<size_t>(t)];
    std::vector<Fold> mine;
    const auto guarded = [&](auto&& f) {
      if (!status.ok()) return;
      try {
        status = f();
      } catch (const std::bad_alloc&) {
        status = Status(ErrorCode::kOutOfMemory, "");
      }
    };
    guarded([&] { return begin(t, mine); });
    while (true) {
      guarded([&] { return round(mine); });
      step_.arrive_and_wait();
      if (t == 0) {
        stop_ = std::any_of(status_.begin(), status_.end(), [](const Status& s) { return !s.ok(); });
        if (!stop_) guarded([&] { return judge(); });
        stop_ = stop_ || !status.ok();
      }
      step_.arrive_and_wait();
      if (stop_) return;
    }
  }

  Status begin(int t, std::vector<Fold>& mine) {
    for (int32_t fold = t; fold < in_.folds; fold += threads_) {
      Fold f{rows_of_fold(in_, fold, true), nullptr};
      const std::vector<int32_t> rows = rows_of_fold(in_, fold, false);
      const Matrix<float> x = pick_rows(in_.data.x, rows), held_out = pick_rows(in_.data.x, f.held_out);
      auto trainer =
          TreeTrainer::create(x.view(), labels_of(in_.data, rows), held_out.view(), in_.data.classes, in_.seed);
      if (!trainer.ok()) return trainer.status();
      f.trainer = std::move(trainer).value();
      mine.push_back(std::move(f));
    }
    return {};
  }

  Status round(std::vector<Fold>& mine) {
    for (Fold& f : mine) {
      TRACER_RETURN_IF_ERROR(f.trainer->round());
      TRACER_ASSIGN_OR_RETURN(auto said, f.trainer->held_out_probability());
      for (size_t i = 0; i < f.held_out.size(); ++i)
        std::copy_n(said.data() + i * static_cast<size_t>(in_.data.classes), in_.data.classes,
                    probability_.row(f.held_out[i]));
    }
    return {};
  }

  // Sets stop_ after the last round.
  Status judge() {
    if (progress_.step(out_of_fold_log_loss(std::as_const(probability_).view(), in_.data.label)))
      best_.probability = probability_.clone();
    stop_ = progress_.over();
    if (!stop_ && in_.spent && in_.spent()) {
      cut_.push_back("gradient-boosted trees beyond " + std::to_string(progress_.steps()) + " rounds");
      stop_ = true;
    }
    return {};
  }

  const MemberSearchInput& in_;
  std::vector<std::string>& cut_;
  const int threads_;
  std::barrier<> step_;
  std::vector<Status> status_;  // by thread
  Matrix<float> probability_;   // out-of-fold, of the round
  FoundMember best_;
  TrainingProgress progress_;
  bool stop_ = false;
};

}  // namespace

Result<FoundMember> search_trees(int threads, const MemberSearchInput& in, std::vector<std::string>& cut) {
  TRACER_RETURN_IF_ERROR(open_xgboost());
  return TreeSearch(threads, in, cut).run();
}

Result<AddedMember> learn_trees(const MemberData& data, const MemberPlan& plan) {
  TRACER_RETURN_IF_ERROR(open_xgboost());
  TRACER_ASSIGN_OR_RETURN(auto trainer,
                          TreeTrainer::create(data.x, data.label, data.x.rows_from(0, 0), data.classes, plan.seed));
  for (int round = 0; round < plan.epochs; ++round) TRACER_RETURN_IF_ERROR(trainer->round());
  TRACER_ASSIGN_OR_RETURN(auto trees, trainer->trees());
  AddedMember member;
  member.kind = plan.kind;
  member.trees = std::move(trees);
  member.b.assign(static_cast<size_t>(data.classes), kRemovedBias);
  for (int32_t label : data.label) member.b[static_cast<size_t>(label)] = 0;
  return member;
}

}  // namespace tracer
