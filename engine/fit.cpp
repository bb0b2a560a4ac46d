#include "engine/fit.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <new>

#include "engine/learn/refit.h"
#include "engine/learn/residual.h"
#include "engine/log/guard.h"
#include "engine/log/sample.h"
#include "engine/maths/pick.h"
#include "engine/maths/random.h"
#include "engine/prove/label_floor.h"

namespace tracer {
namespace {

class Phases {
 public:
  explicit Phases(std::vector<std::pair<std::string, double>>& out) : out_(out) {}
  void done(const char* phase) {
    const auto now = std::chrono::steady_clock::now();
    out_.emplace_back(phase, std::chrono::duration<double>(now - last_).count());
    last_ = now;
  }

 private:
  std::vector<std::pair<std::string, double>>& out_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

void warn_about_data(const Traces& traces, const Split& split, FitResult& result) {
  const double labels = static_cast<double>(traces.labels.size()), rows = static_cast<double>(traces.rows());
  if (labels > rows / 4 && rows >= 8)
    result.warnings.push_back(std::to_string(traces.labels.size()) + " labels on " + std::to_string(traces.rows()) +
                              " rows: is the label free text? TRACER needs a closed set of answers");
  std::vector<uint8_t> learned(traces.labels.size(), 0);
  for (int32_t r : split.learn) learned[traces.label[r]] = 1;
  const auto missing = std::count(learned.begin(), learned.end(), 0);
  if (missing > 0 && !split.learn.empty())
    result.warnings.push_back(
        std::to_string(missing) +
        " labels have no row on the learn side: their rows will be deferred or answered with another label");
}

// The number of certify rows that candidates are compared under. The sizes of certify groups are part of what will be
// tested: their number alone counts, at the mean size of the learn groups.
int64_t certify_rows_foreseen(const Split& split) {
  if (split.kind != SplitKind::kGroups) return static_cast<int64_t>(split.certify.size());
  const double mean = static_cast<double>(split.learn.size()) / static_cast<double>(count_units(split.unit));
  return std::llround(mean * static_cast<double>(count_units(split.certify_unit)));
}

// What learn decides of one alpha.
struct AlphaPlan {
  double alpha = 0;
  LearnSide learn;                 // gated: rows that the floor defers too
  std::vector<int32_t> predicted;  // by the stage that answers
  LabelFloor floor;
  double text_threshold = 1;
};

std::vector<std::string_view> texts_of(const FitOptions& options, std::span<const int32_t> rows) {
  std::vector<std::string_view> out;
  for (int32_t r : rows) out.push_back(options.cascade_texts[static_cast<size_t>(r)]);
  return out;
}

// The certify rows as the pair of stages answers them.
CertifyRows paired(const CertifyRows& rows, const TextSide& text, std::span<const int32_t> teacher, double threshold,
                   std::vector<uint8_t>& by_text) {
  PairedRows pair = pair_stages({rows.side.score, rows.predicted, rows.side.gated}, text, teacher, threshold);
  CertifyRows out = rows;
  out.side.score = std::move(pair.score);
  out.side.gated = std::move(pair.gated);
  out.side.disagree = std::move(pair.disagree);
  out.predicted = std::move(pair.predicted);
  by_text = std::move(pair.text);
  return out;
}

void count_text_rows(const CertifySide& side, std::span<const uint8_t> by_text, Certificate& c) {
  for (size_t i = 0; c.certified && i < by_text.size(); ++i) {
    if (!by_text[i] || side.gated[i] || !(side.score[i] > c.threshold)) continue;
    ++c.text_handled;
    c.text_agree += !side.disagree[i];
  }
}

// What the caller asked to keep of the certify rows, now that they are certified: of more than that, those of least
// hash.
void keep_certify(const Split& split, const Matrix<float>& x, const std::vector<int32_t>& place, int64_t most,
                  FitResult& result) {
  result.kept = split.certify;
  const auto hash = [](int32_t row) { return mix64(static_cast<uint64_t>(row)); };
  if (static_cast<int64_t>(result.kept.size()) > most) {
    std::nth_element(result.kept.begin(), result.kept.begin() + most, result.kept.end(),
                     [&](int32_t a, int32_t b) { return hash(a) < hash(b); });
    result.kept.resize(static_cast<size_t>(most));
  }
  std::sort(result.kept.begin(), result.kept.end());
  result.kept_x = Matrix<float>(static_cast<int64_t>(result.kept.size()), x.cols());
  for (size_t i = 0; i < result.kept.size(); ++i)
    std::copy_n(x.row(place[static_cast<size_t>(result.kept[i])]), x.cols(),
                result.kept_x.row(static_cast<int64_t>(i)));
}

std::string cut_warning(double seconds, const std::vector<std::string>& cut) {
  std::string text = option("budget_seconds") + " " + std::to_string(std::llround(seconds)) + " was spent; not tried: ";
  for (size_t i = 0; i < cut.size(); ++i) text += (i > 0 ? ", " : "") + cut[i];
  return text + "; what was tried depends on time, and the policy's bytes with it";
}

using Progress = std::function<void(const std::string&)>;

// The certify rows once they are open: what each stage says of them, and the teacher.
struct OpenRows {
  CertifyRows vectors;
  TextSide text;                 // of a cascade
  std::vector<int32_t> teacher;  // of a cascade
};

// One fit on its way. run() calls the steps of docs/guarantee.md, one method each, and what a step leaves behind is a
// member. Step 4 comes after step 5, since the rows that a policy would handle depend on the deferred labels.
class Fit {
 public:
  Fit(Backend& backend, const Traces& traces, Matrix<float> x, const FitOptions& options, const Progress& progress)
      : backend_(backend), traces_(traces), x_(std::move(x)), options_(options), progress_(progress) {}
  Result<FitResult> run();

 private:
  void name_policy();
  Status split();  // step 1
  bool too_few() const { return result_.split.folds < 2 || result_.split.certify.empty(); }
  void refuse();                  // step 7, before anything is learned
  Status lay_out_rows();          // what steps 2 and 3 look at
  Status look_for_dependence();   // step 2
  Status search();                // step 3: out-of-fold scores, and the candidate that is chosen by them
  Status freeze();                // step 3: the candidate once more, from all of learn
  Status add_second_surrogate();  // step 3, --families rsb
  Status learn_text_stage();      // step 5, --cascade
  void plan_alphas();             // step 5, for each alpha
  AlphaPlan plan_alpha(const LearnSide& learn, size_t a) const;
  void choose_unit();                         // step 4
  std::vector<Certifier> plan_tests() const;  // step 5: the tests to be made, in order
  Result<OpenRows> open_rows();               // step 6
  Status certify();                           // steps 6 and 7
  Certificate certify_alpha(const AlphaPlan& plan, const Certifier& certifier, const OpenRows& rows);

  bool never_handled(int32_t label) const {
    return std::binary_search(result_.policy.never.begin(), result_.policy.never.end(), label);
  }
  int64_t classes() const { return static_cast<int64_t>(traces_.labels.size()); }
  std::span<const int32_t> searched_rows() const {
    return std::span(at_.learn).first(static_cast<size_t>(at_.sample_rows));
  }

  Backend& backend_;
  const Traces& traces_;
  Matrix<float> x_;  // unit rows from step 1 on, and in the order of at_ from step 2 on
  const FitOptions& options_;
  const Progress& progress_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();

  FitResult result_;
  Phases phases_{result_.seconds};
  std::vector<double> alphas_;
  CertifyOptions certify_options_;
  Layout at_;
  Descriptions described_;
  LearnRows learn_;               // all learn rows
  SearchInput input_;             // those that candidates are compared on
  SearchResult search_;           // of these
  std::optional<TextSide> text_;  // of a cascade: the text stage on the rows of input_
  std::vector<AlphaPlan> plans_;  // aligned with alphas_
  size_t asked_ = 0;              // the alpha that was asked for, among alphas_
};

Result<FitResult> Fit::run() {
  TRACER_RETURN_IF_ERROR(check_fit_options(options_, traces_, x_));
  name_policy();
  TRACER_RETURN_IF_ERROR(split());
  if (too_few()) {
    refuse();
    return std::move(result_);
  }
  TRACER_RETURN_IF_ERROR(lay_out_rows());
  phases_.done("split");
  TRACER_RETURN_IF_ERROR(look_for_dependence());
  phases_.done("dependence");
  TRACER_RETURN_IF_ERROR(search());
  phases_.done("search");
  TRACER_RETURN_IF_ERROR(freeze());
  phases_.done("refit");
  if (options_.choices.residual) TRACER_RETURN_IF_ERROR(add_second_surrogate());
  if (!result_.cut.empty()) result_.warnings.push_back(cut_warning(*options_.budget_seconds, result_.cut));
  if (!options_.cascade_texts.empty()) {
    TRACER_RETURN_IF_ERROR(learn_text_stage());
    phases_.done("text stage");
  }
  plan_alphas();
  choose_unit();
  TRACER_RETURN_IF_ERROR(certify());
  phases_.done("certify");
  return std::move(result_);
}

// What the caller says of the policy, and the level that every certificate is tested at.
void Fit::name_policy() {
  Policy& policy = result_.policy;
  policy.labels = traces_.labels;
  policy.dimension = x_.cols();
  policy.alpha = options_.alpha;
  policy.delta = options_.delta;
  policy.never = options_.never;
  std::sort(policy.never.begin(), policy.never.end());
  policy.never.erase(std::unique(policy.never.begin(), policy.never.end()), policy.never.end());
  policy.label_floor = options_.label_floor;
  policy.simultaneous = options_.simultaneous;
  alphas_ = tested_alphas(options_);
  const auto asked = [&](double alpha) { return std::abs(alpha - options_.alpha) < 1e-9; };
  asked_ = static_cast<size_t>(std::find_if(alphas_.begin(), alphas_.end(), asked) - alphas_.begin());
  certify_options_.delta =
      options_.delta / options_.looks / (options_.simultaneous ? static_cast<double>(alphas_.size()) : 1.0);
  certify_options_.min_coverage = options_.min_coverage;
  certify_options_.approximate = options_.approximate;
  certify_options_.seed = options_.split.seed;
}

// Step 1. The certify rows are set aside; nothing but their number and their units is looked at before step 6.
Status Fit::split() {
  TRACER_RETURN_IF_ERROR(backend_.normalise_rows(x_.view()));
  if (options_.given_split) {
    result_.split = *options_.given_split;
  } else {
    TRACER_ASSIGN_OR_RETURN(result_.split, draw_split(backend_, traces_, x_.view(), options_.split));
  }
  order_by_fold(result_.split);
  if (options_.unit == Unit::kRuns && result_.split.kind == SplitKind::kRows)
    return bad_input(option("unit") + " runs needs a split that keeps runs, and rows were drawn one by one here (" +
                     result_.split.reason + ")");
  warn_about_data(traces_, result_.split, result_);
  return {};
}

// Step 7, for a log that gives no folds or no certify rows.
void Fit::refuse() {
  for (double alpha : alphas_)
    result_.policy.certificates.push_back(refuse_too_few(result_.split, "to learn from", certify_options_, alpha));
}

// The learn rows side by side, the sample of them first.
Status Fit::lay_out_rows() {
  const Split& s = result_.split;
  at_ = lay_out(s, sample_units(s.unit, s.fold, options_.max_references, options_.split.seed), x_);
  learn_ = {x_.view().rows_from(0, static_cast<int64_t>(s.learn.size())),
            pick(traces_.label, at_.learn),
            at_.fold,
            {at_.learn.begin(), at_.learn.end()}};
  TRACER_ASSIGN_OR_RETURN(described_, useful_descriptions(backend_, options_.descriptions, learn_.label, classes()));
  learn_.descriptions = &described_;
  result_.described = described_labels(described_);
  input_ = searched_part(learn_, at_.unit, at_.sample_rows, classes());
  return {};
}

// Step 2, before any training.
Status Fit::look_for_dependence() {
  TRACER_ASSIGN_OR_RETURN(result_.dependence,
                          check_dependence(backend_, input_.x, input_.label, searched_rows(), classes(),
                                           sorted_by_label(traces_.label), result_.split.kind, options_.split.seed));
  if (!result_.dependence.advice.empty()) result_.warnings.push_back(result_.dependence.advice);
  return {};
}

// Step 3, the choice. Every candidate's scores are out-of-fold: by models that did not see the row's fold.
Status Fit::search() {
  input_.folds = result_.split.folds;
  input_.alphas = alphas_;
  input_.delta = certify_options_.delta;
  input_.n_certify = certify_rows_foreseen(result_.split);
  input_.never = result_.policy.never;
  input_.choices = options_.choices;
  input_.seed = options_.split.seed;
  if (options_.budget_seconds)
    input_.spent = [this] {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count() >=
             *options_.budget_seconds;
    };
  TRACER_ASSIGN_OR_RETURN(search_, search_surrogate(backend_, input_, progress_));
  result_.candidates = search_.tried;
  result_.chosen = search_.best;
  result_.cut = std::move(search_.cut);
  return {};
}

// Step 3, the chosen candidate. From here on surrogate, acceptor and gate stay as they are.
Status Fit::freeze() {
  TRACER_ASSIGN_OR_RETURN(auto stage, refit(backend_, search_, learn_, classes()));
  result_.policy.stages.push_back(std::move(stage));
  return {};
}

// Step 3, the family rsb: a second surrogate for the rows that the first one would defer.
Status Fit::add_second_surrogate() {
  if (input_.spent && input_.spent()) {
    result_.cut.push_back("rsb");
    return {};
  }
  TRACER_RETURN_IF_ERROR(
      add_residual(backend_, input_, learn_, options_.alpha, {search_, result_.policy.stages.back()}, progress_)
          .status());
  phases_.done("residual");
  return {};
}

// Step 5, the stage of a cascade that answers before the one on vectors, and the score above which it does.
Status Fit::learn_text_stage() {
  TRACER_ASSIGN_OR_RETURN(
      auto learned, search_text_stage(backend_,
                                      {texts_of(options_, searched_rows()), input_.label, input_.fold,
                                       result_.split.folds, classes(), input_.label_frequency, result_.policy.never},
                                      progress_));
  text_ = std::move(learned.side);
  result_.cascade = plan_cascade({search_.score, search_.predicted, search_.gated}, *text_, input_.label, alphas_,
                                 certify_options_.delta, input_.n_certify, options_.cascade_tolerance);
  result_.policy.text = std::move(learned.stage);
  return {};
}

// Step 5, what is deferred under each alpha.
void Fit::plan_alphas() {
  const LearnSide learn{std::move(search_.score), std::move(search_.disagree), std::move(search_.gated),
                        std::move(input_.unit), static_cast<int64_t>(result_.split.learn.size())};
  for (size_t a = 0; a < alphas_.size(); ++a) plans_.push_back(plan_alpha(learn, a));
}

AlphaPlan Fit::plan_alpha(const LearnSide& learn, size_t a) const {
  AlphaPlan plan{alphas_[a], learn, search_.predicted, {}};
  if (text_) {
    plan.text_threshold = result_.cascade[a].threshold;
    PairedRows pair =
        pair_stages({learn.score, search_.predicted, learn.gated}, *text_, input_.label, plan.text_threshold);
    plan.learn.score = std::move(pair.score);
    plan.learn.disagree = std::move(pair.disagree);
    plan.learn.gated = std::move(pair.gated);
    plan.predicted = std::move(pair.predicted);
  }
  if (options_.label_floor > 0) {
    plan.floor =
        plan_label_floor(plan.learn, plan.predicted, classes(), plan.alpha, options_.label_floor, options_.delta);
    apply_label_floor(plan.floor, plan.learn.score, plan.predicted, plan.learn.gated);
  }
  return plan;
}

// Step 4, by the out-of-fold rows of the alpha that was asked for.
void Fit::choose_unit() {
  Split& s = result_.split;
  result_.unit = tracer::choose_unit(plans_[asked_].learn, options_.unit, options_.alpha, s.kind != SplitKind::kRows);
  if (!result_.unit.runs) return;
  const LeftOut left = leave_out_large_units(s);
  if (left.units == 0) return;
  const std::string most = std::to_string(s.unit_rows);
  result_.warnings.push_back(std::to_string(left.units) + " certify groups of more than " + most +
                             " rows (the largest learn group), " + std::to_string(left.rows) +
                             " rows in all, were left out: certificates are about groups of at most " + most + " rows");
}

// One certifier serves every alpha, unless each alpha has scores or deferred labels of its own.
std::vector<Certifier> Fit::plan_tests() const {
  const Split& s = result_.split;
  std::vector<Certifier> certifiers;
  for (const AlphaPlan& plan : plans_)
    if (certifiers.empty() || options_.label_floor > 0 || text_)
      certifiers.emplace_back(plan.learn, proof_unit(result_.unit, s.kind), certify_options_,
                              static_cast<int64_t>(s.certify.size()), count_units(s.certify_unit), s.unit_rows);
  return certifiers;
}

// Step 6 begins: whatever looks at the scores of certify rows comes after this.
Result<OpenRows> Fit::open_rows() {
  OpenRows open;
  const Split& s = result_.split;
  TRACER_ASSIGN_OR_RETURN(open.vectors, score_certify(backend_, traces_, s, result_.policy.stages[0], x_, at_.place));
  if (text_) {
    open.text = score_texts(backend_, *result_.policy.text, texts_of(options_, s.certify), result_.policy.never);
    open.teacher = pick(traces_.label, s.certify);
  }
  return open;
}

// Step 6, once.
Status Fit::certify() {
  const std::vector<Certifier> certifiers = plan_tests();
  TRACER_ASSIGN_OR_RETURN(const OpenRows rows, open_rows());
  for (size_t a = 0; a < plans_.size(); ++a)
    result_.policy.certificates.push_back(
        certify_alpha(plans_[a], certifiers[std::min(a, certifiers.size() - 1)], rows));
  if (options_.keep_certify > 0) keep_certify(result_.split, x_, at_.place, options_.keep_certify, result_);
  return {};
}

// Steps 6 and 7 of one alpha: the certificate or the refusal, and what is shown beside it.
Certificate Fit::certify_alpha(const AlphaPlan& plan, const Certifier& certifier, const OpenRows& rows) {
  std::vector<uint8_t> by_text;
  CertifyRows pair;
  if (text_) pair = paired(rows.vectors, rows.text, rows.teacher, plan.text_threshold, by_text);
  const CertifyRows& answered = text_ ? pair : rows.vectors;
  CertifySide side = answered.side;
  for (size_t i = 0; i < side.gated.size(); ++i) side.gated[i] |= never_handled(answered.predicted[i]);
  if (&plan == &plans_[asked_]) result_.suspects = find_suspects(traces_, result_.split, answered, side);
  apply_label_floor(plan.floor, side.score, answered.predicted, side.gated);
  Certificate c = certifier.certify(side, plan.alpha);
  c.text_threshold = plan.text_threshold;
  for (const FlooredLabel& f : plan.floor.below)
    if (!never_handled(f.label)) c.floored.push_back(f);
  const double least = threshold_below(plan.floor.least_score);
  if (c.certified && least > c.threshold) {  // the same rows: the others are gated
    c.threshold = least;
    c.method = Method::kL2d;
  }
  const Stage& stage = result_.policy.stages[0];
  if (c.certified && stage.residual) c.method = Method::kRsb;
  if (c.method == Method::kL2d && !stage.acceptor.label_offset.empty()) c.method = Method::kL2dLabel;
  add_details(traces_, result_.split, answered, side, c);
  count_text_rows(side, by_text, c);
  return c;
}

}  // namespace

Result<FitResult> fit(Backend& backend, const Traces& traces, Matrix<float> x, const FitOptions& options,
                      const std::function<void(const std::string&)>& progress) {
  const int64_t rows = x.rows(), width = x.cols();
  try {
    return Fit(backend, traces, std::move(x), options, progress).run();
  } catch (const std::bad_alloc&) {
    return out_of_memory("fitting " + std::to_string(rows) + " rows of " + std::to_string(width) + " columns, " +
                         std::to_string(traces.labels.size()) + " labels");
  }
}

}  // namespace tracer
