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

Status check_options(const Traces& traces, const Matrix<float>& x, const FitOptions& o) {
  const auto inside = [](double v) { return v > 0 && v < 1; };
  if (traces.rows() == 0) return bad_input("no traces to learn from");
  if (x.rows() != traces.rows()) return internal_error("vectors and traces differ in number");
  if (!inside(o.delta)) return bad_input("--delta must lie between 0 and 1");
  if (!(o.min_coverage >= 0 && o.min_coverage <= 1)) return bad_input("--min-coverage must lie between 0 and 1");
  if (!inside(o.split.certify_fraction)) return bad_input("--certify-fraction must lie between 0 and 1");
  if (o.split.folds < 2 || o.split.folds > 100) return bad_input("--folds must lie between 2 and 100");
  if (o.looks < 1) return bad_input("--looks must be at least 1");
  if (!(o.gate_share >= 0 && o.gate_share <= 0.5)) return bad_input("--gate-share must lie between 0 and 0.5");
  if (!(o.label_floor >= 0 && o.label_floor < 1)) return bad_input("--label-floor must lie between 0 and 1");
  if (o.max_references < kFewestReferences)
    return bad_input("--max-references must be at least " + std::to_string(kFewestReferences));
  if (o.descriptions != nullptr && !o.descriptions->empty() && o.descriptions->x.cols() != x.cols())
    return internal_error("vectors of descriptions and of traces differ in dimension");
  if (!o.cascade_texts.empty() && static_cast<int64_t>(o.cascade_texts.size()) != traces.rows())
    return internal_error("texts and traces differ in number");
  if (!(o.cascade_tolerance >= 0 && o.cascade_tolerance <= 1))
    return bad_input("--cascade-tolerance must lie between 0 and 1");
  if (o.budget_seconds && !(*o.budget_seconds >= 0)) return bad_input("--budget-seconds must not be negative");
  for (int32_t label : o.never)
    if (label < 0 || label >= static_cast<int32_t>(traces.labels.size()))
      return bad_input("--never: no label has the index " + std::to_string(label));
  for (double a : o.sweep)
    if (!inside(a)) return bad_input("every alpha of --sweep must lie between 0 and 1");
  if (!inside(o.alpha)) return bad_input("--alpha must lie between 0 and 1");
  if (o.unit == Unit::kRuns && o.split.kind == SplitKind::kRows)
    return bad_input("--unit runs needs a split that keeps runs: --split runs, --split time or --group-by");
  return {};
}

std::vector<double> alphas_of(const FitOptions& o) {
  std::vector<double> alphas(o.sweep);
  alphas.push_back(o.alpha);
  return distinct_alphas(std::move(alphas));
}

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
  std::string text = "--budget-seconds " + std::to_string(std::llround(seconds)) + " was spent; not tried: ";
  for (size_t i = 0; i < cut.size(); ++i) text += (i > 0 ? ", " : "") + cut[i];
  return text + "; what was tried depends on time, and the policy's bytes with it";
}

Result<FitResult> fit_traces(Backend& backend, const Traces& traces, Matrix<float> x, const FitOptions& options,
                             const std::function<void(const std::string&)>& progress) {
  TRACER_RETURN_IF_ERROR(check_options(traces, x, options));
  FitResult result;
  const auto started = std::chrono::steady_clock::now();
  Phases phases(result.seconds);
  const auto alphas = alphas_of(options);
  const int64_t classes = static_cast<int64_t>(traces.labels.size());
  result.policy.labels = traces.labels;
  result.policy.dimension = x.cols();
  result.policy.alpha = options.alpha;
  result.policy.delta = options.delta;
  result.policy.never = options.never;
  std::sort(result.policy.never.begin(), result.policy.never.end());
  result.policy.never.erase(std::unique(result.policy.never.begin(), result.policy.never.end()),
                            result.policy.never.end());
  result.policy.label_floor = options.label_floor;
  result.policy.simultaneous = options.simultaneous;

  TRACER_RETURN_IF_ERROR(backend.normalise_rows(x.view()));
  auto split =
      options.given_split ? Result<Split>(*options.given_split) : draw_split(backend, traces, x.view(), options.split);
  if (!split.ok()) return split.status();
  result.split = std::move(split).value();
  order_by_fold(result.split);
  const Split& s = result.split;
  if (options.unit == Unit::kRuns && s.kind == SplitKind::kRows)
    return bad_input("--unit runs needs a split that keeps runs, and rows were drawn one by one here (" + s.reason +
                     ")");
  warn_about_data(traces, s, result);

  CertifyOptions certify_options;
  certify_options.delta =
      options.delta / options.looks / (options.simultaneous ? static_cast<double>(alphas.size()) : 1.0);
  certify_options.min_coverage = options.min_coverage;
  certify_options.approximate = options.approximate;
  certify_options.seed = options.split.seed;

  if (s.folds < 2 || s.certify.empty()) {
    for (double alpha : alphas)
      result.policy.certificates.push_back(refuse_too_few(s, "to learn from", certify_options, alpha));
    return result;
  }

  const Layout at = lay_out(s, sample_units(s.unit, s.fold, options.max_references, options.split.seed), x);
  const int64_t n_learn = static_cast<int64_t>(s.learn.size()), searched = at.sample_rows;
  LearnRows learn{
      x.view().rows_from(0, n_learn), pick(traces.label, at.learn), at.fold, {at.learn.begin(), at.learn.end()}};
  TRACER_ASSIGN_OR_RETURN(auto described, useful_descriptions(backend, options.descriptions, learn.label, classes));
  learn.descriptions = &described;
  result.described = described_labels(described);
  SearchInput input = searched_part(learn, at.unit, searched, classes);
  phases.done("split");
  auto dependence =
      check_dependence(backend, input.x, input.label, std::span(at.learn).first(static_cast<size_t>(searched)), classes,
                       sorted_by_label(traces.label), s.kind, options.split.seed);
  if (!dependence.ok()) return dependence.status();
  result.dependence = std::move(dependence).value();
  if (!result.dependence.advice.empty()) result.warnings.push_back(result.dependence.advice);
  phases.done("dependence");

  input.folds = s.folds;
  input.alphas = alphas;
  input.delta = certify_options.delta;
  input.n_certify = certify_rows_foreseen(s);
  input.never = result.policy.never;
  input.members = options.members;
  input.seed = options.split.seed;
  input.label_thresholds = options.label_thresholds;
  input.gate_share = options.gate_share;
  if (options.budget_seconds)
    input.spent = [&] {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count() >=
             *options.budget_seconds;
    };
  TRACER_ASSIGN_OR_RETURN(SearchResult search, search_surrogate(backend, input, progress));
  result.candidates = search.tried;
  result.chosen = search.best;
  result.cut = std::move(search.cut);
  phases.done("search");

  TRACER_ASSIGN_OR_RETURN(auto stage, refit(backend, search, learn, classes));
  result.policy.stages.push_back(std::move(stage));
  phases.done("refit");
  if (options.residual && !(input.spent && input.spent())) {
    TRACER_RETURN_IF_ERROR(
        add_residual(backend, input, learn, options.alpha, {search, result.policy.stages.back()}, progress).status());
    phases.done("residual");
  } else if (options.residual) {
    result.cut.push_back("rsb");
  }
  if (!result.cut.empty()) result.warnings.push_back(cut_warning(*options.budget_seconds, result.cut));

  std::optional<TextSearchResult> text;
  if (!options.cascade_texts.empty()) {
    auto learned =
        search_text_stage(backend,
                          {texts_of(options, std::span(at.learn).first(static_cast<size_t>(searched))), input.label,
                           input.fold, s.folds, classes, input.label_frequency, result.policy.never},
                          progress);
    if (!learned.ok()) return learned.status();
    text = std::move(learned).value();
    result.cascade = plan_cascade({search.score, search.predicted, search.gated}, text->side, input.label, alphas,
                                  certify_options.delta, input.n_certify, options.cascade_tolerance);
    result.policy.text = std::move(text->stage);
    phases.done("text stage");
  }

  const LearnSide learn_side{std::move(search.score), std::move(search.disagree), std::move(search.gated),
                             std::move(input.unit), n_learn};
  std::vector<AlphaPlan> plans;
  for (double alpha : alphas) {
    AlphaPlan plan{alpha, learn_side, search.predicted, {}};
    if (text) {
      plan.text_threshold = result.cascade[plans.size()].threshold;
      PairedRows pair = pair_stages({learn_side.score, search.predicted, learn_side.gated}, text->side, input.label,
                                    plan.text_threshold);
      plan.learn.score = std::move(pair.score);
      plan.learn.disagree = std::move(pair.disagree);
      plan.learn.gated = std::move(pair.gated);
      plan.predicted = std::move(pair.predicted);
    }
    if (options.label_floor > 0) {
      plan.floor = plan_label_floor(plan.learn, plan.predicted, classes, alpha, options.label_floor, options.delta);
      apply_label_floor(plan.floor, plan.learn.score, plan.predicted, plan.learn.gated);
    }
    plans.push_back(std::move(plan));
  }
  const auto asked = std::find_if(plans.begin(), plans.end(),
                                  [&](const AlphaPlan& p) { return std::abs(p.alpha - options.alpha) < 1e-9; });
  result.unit = choose_unit(asked->learn, options.unit, options.alpha, s.kind != SplitKind::kRows);
  if (result.unit.runs) {
    if (const LeftOut left = leave_out_large_units(result.split); left.units > 0)
      result.warnings.push_back(std::to_string(left.units) + " certify groups of more than " +
                                std::to_string(s.unit_rows) + " rows (the largest learn group), " +
                                std::to_string(left.rows) +
                                " rows in all, were left out: certificates are about groups of at most " +
                                std::to_string(s.unit_rows) + " rows");
  }
  std::vector<Certifier> certifiers;  // one serves every alpha, unless each has scores or deferred labels of its own
  for (const AlphaPlan& plan : plans)
    if (certifiers.empty() || options.label_floor > 0 || text)
      certifiers.emplace_back(plan.learn, result.unit.runs, s.kind == SplitKind::kGroups ? "groups" : "runs",
                              certify_options, static_cast<int64_t>(s.certify.size()), count_units(s.certify_unit),
                              s.unit_rows);
  // From here on the certify rows are open.
  TRACER_ASSIGN_OR_RETURN(auto rows, score_certify(backend, traces, s, result.policy.stages[0], x, at.place));
  TextSide text_side;
  std::vector<int32_t> teacher;
  if (text) {
    text_side = score_texts(backend, *result.policy.text, texts_of(options, s.certify), result.policy.never);
    teacher = pick(traces.label, s.certify);
  }
  for (size_t a = 0; a < plans.size(); ++a) {
    const LabelFloor& floor = plans[a].floor;
    std::vector<uint8_t> by_text;
    CertifyRows pair;
    if (text) pair = paired(rows, text_side, teacher, plans[a].text_threshold, by_text);
    const CertifyRows& answered = text ? pair : rows;
    CertifySide side = answered.side;
    for (size_t i = 0; i < side.gated.size(); ++i)
      side.gated[i] |=
          std::binary_search(result.policy.never.begin(), result.policy.never.end(), answered.predicted[i]);
    if (&plans[a] == &*asked) result.suspects = find_suspects(traces, s, answered, side);
    apply_label_floor(floor, side.score, answered.predicted, side.gated);
    Certificate c = certifiers[std::min(a, certifiers.size() - 1)].certify(side, plans[a].alpha);
    c.text_threshold = plans[a].text_threshold;
    for (const FlooredLabel& f : floor.below)
      if (!std::binary_search(result.policy.never.begin(), result.policy.never.end(), f.label)) c.floored.push_back(f);
    if (c.certified && threshold_below(floor.least_score) > c.threshold) {  // the same rows: the others are gated
      c.threshold = threshold_below(floor.least_score);
      c.method = "l2d";
    }
    if (c.certified && result.policy.stages[0].residual) c.method = "rsb";
    if (c.method == "l2d" && !result.policy.stages[0].acceptor.label_offset.empty()) c.method = "l2d_label";
    add_details(traces, s, answered, side, c);
    count_text_rows(side, by_text, c);
    result.policy.certificates.push_back(std::move(c));
  }
  if (options.keep_certify > 0) keep_certify(s, x, at.place, options.keep_certify, result);
  phases.done("certify");
  return result;
}

}  // namespace

Result<FitResult> fit(Backend& backend, const Traces& traces, Matrix<float> x, const FitOptions& options,
                      const std::function<void(const std::string&)>& progress) {
  const int64_t rows = x.rows(), width = x.cols();
  try {
    return fit_traces(backend, traces, std::move(x), options, progress);
  } catch (const std::bad_alloc&) {
    return out_of_memory("fitting " + std::to_string(rows) + " rows of " + std::to_string(width) + " columns, " +
                         std::to_string(traces.labels.size()) + " labels");
  }
}

}  // namespace tracer
