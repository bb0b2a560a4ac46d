#include "engine/fit.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <new>
#include <numeric>
#include <unordered_set>

#include "engine/canonical.h"
#include "engine/refit.h"
#include "engine/router.h"

namespace tracer {
namespace {

constexpr size_t kSuspects = 20;

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
  std::sort(alphas.begin(), alphas.end());
  alphas.erase(std::unique(alphas.begin(), alphas.end(), [](double a, double b) { return b - a < 1e-9; }),
               alphas.end());
  return alphas;
}

Matrix<float> gather(const Matrix<float>& x, const std::vector<int32_t>& rows) {
  Matrix<float> out(static_cast<int64_t>(rows.size()), x.cols());
  for (size_t i = 0; i < rows.size(); ++i) std::copy_n(x.row(rows[i]), x.cols(), out.row(static_cast<int64_t>(i)));
  return out;
}

std::vector<int32_t> pick(const std::vector<int32_t>& values, const std::vector<int32_t>& rows) {
  std::vector<int32_t> out;
  out.reserve(rows.size());
  for (int32_t r : rows) out.push_back(values[r]);
  return out;
}

// Rows of one fold side by side: the wide fit skips whole blocks that a model holds out.
void order_by_fold(Split& split) {
  std::vector<int32_t> order(split.learn.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return split.fold[a] < split.fold[b]; });
  split.learn = pick(split.learn, order);
  split.fold = pick(split.fold, order);
  split.unit = pick(split.unit, order);
}

struct CertifyRows {
  CertifySide side;
  std::vector<int32_t> predicted;
  std::vector<uint8_t> unseen;
};

Result<CertifyRows> score_certify(Backend& backend, const Traces& traces, const Split& split, const Stage& stage,
                                  const Matrix<float>& x) {
  CertifyRows rows;
  const Matrix<float> vectors = gather(x, split.certify);
  std::vector<RowScore> scored;
  Matrix<int32_t> neighbour;
  Matrix<float> similarity;
  TRACER_RETURN_IF_ERROR(score_rows(backend, stage, vectors.view(), scored, &neighbour, &similarity));
  parallel_for(backend, vectors.rows(), [&](int64_t i) {  // what is certified is what decides on every backend
    scored[static_cast<size_t>(i)] = canonical_score(stage, vectors.row(i), neighbour.row(i), similarity.row(i));
  });
  std::unordered_set<uint64_t> learned;
  for (int32_t r : split.learn) learned.insert(traces.text_hash[r]);
  rows.side.unit = split.certify_unit;
  rows.side.unit_rows = split.unit_rows;
  for (size_t i = 0; i < scored.size(); ++i) {
    const int32_t row = split.certify[i];
    rows.side.units = std::max<int64_t>(rows.side.units, split.certify_unit[i] + 1);
    rows.side.score.push_back(scored[i].score);
    rows.side.gated.push_back(scored[i].gated);
    rows.side.disagree.push_back(scored[i].features.label != traces.label[row]);
    rows.predicted.push_back(scored[i].features.label);
    rows.unseen.push_back(!learned.contains(traces.text_hash[row]));
  }
  return rows;
}

// The figures beside a certificate that need more than scores.
void add_details(const Traces& traces, const Split& split, const CertifyRows& rows, Certificate& c) {
  std::vector<LabelFigures> figures(traces.labels.size());
  for (size_t l = 0; l < figures.size(); ++l) figures[l].label = static_cast<int32_t>(l);
  for (size_t i = 0; i < rows.predicted.size(); ++i) {
    ++figures[traces.label[split.certify[i]]].rows;
    if (!c.certified || rows.side.gated[i] || !(rows.side.score[i] > c.threshold)) continue;
    const bool agree = !rows.side.disagree[i];
    ++figures[rows.predicted[i]].handled;
    figures[rows.predicted[i]].agree += agree;
    if (rows.unseen[i]) ++c.unseen_handled, c.unseen_agree += agree;
  }
  for (const LabelFigures& f : figures)
    if (f.rows > 0 || f.handled > 0) c.labels.push_back(f);
}

std::vector<Suspect> find_suspects(const Traces& traces, const Split& split, const CertifyRows& rows) {
  std::vector<Suspect> suspects;
  for (size_t i = 0; i < rows.predicted.size(); ++i)
    if (rows.side.disagree[i] && !rows.side.gated[i])
      suspects.push_back({split.certify[i], rows.side.score[i], rows.predicted[i], traces.label[split.certify[i]]});
  std::stable_sort(suspects.begin(), suspects.end(),
                   [](const Suspect& a, const Suspect& b) { return a.score > b.score; });
  if (suspects.size() > kSuspects) suspects.resize(kSuspects);
  return suspects;
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

int64_t units_of(const std::vector<int32_t>& unit) {
  return unit.empty() ? 0 : *std::max_element(unit.begin(), unit.end()) + 1;
}

// The number of certify rows that candidates are compared under. The sizes of certify groups are part of what will be
// tested: their number alone counts, at the mean size of the learn groups.
int64_t certify_rows_foreseen(const Split& split) {
  if (split.kind != SplitKind::kGroups) return static_cast<int64_t>(split.certify.size());
  const double mean = static_cast<double>(split.learn.size()) / static_cast<double>(units_of(split.unit));
  return std::llround(mean * static_cast<double>(units_of(split.certify_unit)));
}

Result<FitResult> fit_traces(Backend& backend, const Traces& traces, Matrix<float> x, const FitOptions& options,
                             const std::function<void(const std::string&)>& progress) {
  TRACER_RETURN_IF_ERROR(check_options(traces, x, options));
  FitResult result;
  Phases phases(result.seconds);
  const auto alphas = alphas_of(options);
  const int64_t classes = static_cast<int64_t>(traces.labels.size());
  result.policy.labels = traces.labels;
  result.policy.dimension = x.cols();
  result.policy.alpha = options.alpha;
  result.policy.delta = options.delta;
  result.policy.simultaneous = options.simultaneous;

  TRACER_RETURN_IF_ERROR(backend.normalise_rows(x.view()));
  auto split = make_split(traces, options.split);
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
    for (double alpha : alphas) {
      const Certifier certifier({}, false, "rows", certify_options, 0, 0, 1);
      Certificate c = certifier.certify({}, alpha);
      c.n_learn = static_cast<int64_t>(s.learn.size());
      c.n_certify = static_cast<int64_t>(s.certify.size());
      c.reason = "too few traces: " + std::to_string(s.learn.size()) + " to learn from, " +
                 std::to_string(s.certify.size()) + " to certify on";
      result.policy.certificates.push_back(std::move(c));
    }
    return result;
  }

  Matrix<float> learn = gather(x, s.learn);
  std::vector<int32_t> label = pick(traces.label, s.learn);
  phases.done("split");
  auto dependence = check_dependence(backend, learn.view(), label, s.learn, classes, sorted_by_label(traces.label),
                                     s.kind, options.split.seed);
  if (!dependence.ok()) return dependence.status();
  result.dependence = std::move(dependence).value();
  if (!result.dependence.advice.empty()) result.warnings.push_back(result.dependence.advice);
  phases.done("dependence");

  SearchInput input;
  input.x = learn.view();
  input.label = label;
  input.classes = classes;
  input.fold = s.fold;
  input.folds = s.folds;
  input.unit = s.unit;
  input.alphas = alphas;
  input.delta = certify_options.delta;
  input.n_certify = certify_rows_foreseen(s);
  auto searched = search_surrogate(backend, input, progress);
  if (!searched.ok()) return searched.status();
  SearchResult search = std::move(searched).value();
  result.candidates = search.tried;
  result.chosen = search.best;
  phases.done("search");

  auto stage =
      refit(backend, search, std::move(learn), std::move(label), s.fold, {s.learn.begin(), s.learn.end()}, classes);
  if (!stage.ok()) return stage.status();
  result.policy.stages.push_back(std::move(stage).value());
  phases.done("refit");

  LearnSide learn_side{search.score, search.disagree, search.gated, s.unit};
  result.unit = choose_unit(learn_side, options.unit, options.alpha, s.kind != SplitKind::kRows);
  if (result.unit.runs) {
    if (const LeftOut left = leave_out_large_units(result.split); left.units > 0)
      result.warnings.push_back(std::to_string(left.units) + " certify groups of more than " +
                                std::to_string(s.unit_rows) + " rows (the largest learn group), " +
                                std::to_string(left.rows) +
                                " rows in all, were left out: certificates are about groups of at most " +
                                std::to_string(s.unit_rows) + " rows");
  }
  const Certifier certifier(learn_side, result.unit.runs, s.kind == SplitKind::kGroups ? "groups" : "runs",
                            certify_options, static_cast<int64_t>(s.certify.size()), units_of(s.certify_unit),
                            s.unit_rows);
  // From here on the certify rows are open.
  auto rows = score_certify(backend, traces, s, result.policy.stages[0], x);
  if (!rows.ok()) return rows.status();
  for (double alpha : alphas) {
    Certificate c = certifier.certify(rows->side, alpha);
    add_details(traces, s, *rows, c);
    result.policy.certificates.push_back(std::move(c));
  }
  result.suspects = find_suspects(traces, s, *rows);
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
