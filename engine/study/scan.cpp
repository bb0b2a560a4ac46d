#include "engine/study/scan.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/log/guard.h"
#include "engine/log/sample.h"
#include "engine/maths/binomial.h"
#include "engine/maths/most_frequent.h"
#include "engine/policy/kernel_vote.h"

namespace tracer {
namespace {

constexpr size_t kCellLabels = 3;

std::vector<double> alphas_of(const ScanOptions& o) {
  std::vector<double> alphas(o.sweep);
  alphas.push_back(o.alpha);
  return distinct_alphas(std::move(alphas));
}

Status check_options(const Traces& traces, const Matrix<float>& x, const ScanOptions& o) {
  if (traces.rows() == 0) return bad_input("no traces to scan");
  if (x.rows() != traces.rows()) return internal_error("vectors and traces differ in number");
  for (double v : alphas_of(o)) {
    if (!(v > 0 && v < 1)) return bad_input("every alpha must lie between 0 and 1");
  }
  if (!(o.delta > 0 && o.delta < 1)) return bad_input(option("delta") + " must lie between 0 and 1");
  return {};
}

// What the neighbours say of one row. Without a neighbour: label 0 and the lowest score.
struct Vote {
  int32_t label = 0;
  double score = -1;
};

Vote vote_of(std::span<const int32_t> neighbour, std::span<const float> similarity, std::span<const int32_t> label) {
  std::map<int32_t, double> mass;
  double total = 0, nearest = 0;
  for (size_t j = 0; j < neighbour.size(); ++j) {
    if (neighbour[j] < 0) continue;
    const double s = std::max(static_cast<double>(similarity[j]), 0.0);
    const double weight = std::pow(s, 8);
    mass[label[static_cast<size_t>(neighbour[j])]] += weight;
    total += weight;
    nearest = std::max(nearest, s);
  }
  Vote vote;
  if (!(total > 0)) return vote;
  double most = -1, next = 0;
  for (const auto& [l, m] : mass) {
    if (m > most) {
      next = std::max(next, most);
      most = m;
      vote.label = l;
    } else {
      next = std::max(next, m);
    }
  }
  vote.score = (most - next) / total * nearest;
  return vote;
}

std::vector<Vote> votes_of(const Matrix<int32_t>& neighbour, const Matrix<float>& similarity,
                           std::span<const int32_t> label) {
  std::vector<Vote> votes;
  const auto k = static_cast<size_t>(neighbour.cols());
  for (int64_t i = 0; i < neighbour.rows(); ++i)
    votes.push_back(vote_of({neighbour.row(i), k}, {similarity.row(i), k}, label));
  return votes;
}

std::vector<ScanCell> cells_of(const Traces& traces, const Scan& scan, const ScanOptions& options) {
  std::vector<ScanCell> cells(static_cast<size_t>(scan.regions.count));
  if (cells.empty()) return cells;
  std::vector<std::map<int32_t, int64_t>> labels(cells.size());
  std::vector<float> closest(cells.size(), INFINITY);
  const Certificate* asked = find_certificate(scan.certificates, options.alpha);
  for (size_t i = 0; i < scan.vote.size(); ++i) {
    const auto at = static_cast<size_t>(scan.regions.region[i]);
    ScanCell& cell = cells[at];
    const int32_t row = scan.split.certify[i];
    ++cell.rows;
    cell.agree += scan.agree[i];
    cell.handled += asked->certified && scan.score[i] > asked->threshold;
    ++labels[at][traces.label[static_cast<size_t>(row)]];
    if (scan.regions.distance2[i] < closest[at]) {
      closest[at] = scan.regions.distance2[i];
      cell.example = row;
    }
  }
  const double level = options.delta / (2 * static_cast<double>(cells.size()));
  for (size_t c = 0; c < cells.size(); ++c) {
    ScanCell& cell = cells[c];
    cell.lower = clopper_pearson_lower(cell.agree, cell.rows, level);
    cell.upper = clopper_pearson_upper(cell.agree, cell.rows, level);
    if (cell.lower >= options.alpha) cell.verdict = ScanCell::Verdict::kHandle;
    if (cell.upper < options.alpha) cell.verdict = ScanCell::Verdict::kDefer;
    cell.labels = most_frequent(labels[c], kCellLabels);
  }
  return cells;
}

}  // namespace

int64_t fewest_scan_rows(const ScanOptions& options) {
  const auto certify = static_cast<double>(2 * fewest_certifying_rows(options.alpha, options.delta));
  return static_cast<int64_t>(std::ceil(certify / options.split.certify_fraction));
}

Result<Scan> scan(Backend& backend, const Traces& traces, Matrix<float> x, const ScanOptions& options) {
  TRACER_RETURN_IF_ERROR(check_options(traces, x, options));
  Scan result;
  TRACER_RETURN_IF_ERROR(backend.normalise_rows(x.view()));
  TRACER_ASSIGN_OR_RETURN(auto split, draw_split(backend, traces, x.view(), options.split));
  result.split = std::move(split);
  order_by_fold(result.split);
  const Split& s = result.split;
  const std::vector<double> alphas = alphas_of(options);
  CertifyOptions certify;
  certify.delta = options.delta;
  certify.min_coverage = options.min_coverage;
  certify.seed = options.split.seed;
  if (s.folds < 2 || s.certify.empty()) {
    for (double alpha : alphas) result.certificates.push_back(refuse_too_few(s, "that vote", certify, alpha));
    return result;
  }

  const Layout at = lay_out(s, sample_units(s.unit, s.fold, options.max_references, options.split.seed), x);
  const HostMatrix<const float> voters = HostMatrix<const float>(x.view()).rows_from(0, at.sample_rows);
  std::vector<int32_t> label;
  for (int64_t i = 0; i < at.sample_rows; ++i)
    label.push_back(traces.label[static_cast<size_t>(at.learn[static_cast<size_t>(i)])]);
  const std::span unit = std::span(at.unit).first(label.size());
  const auto classes = static_cast<int64_t>(traces.labels.size());
  TRACER_ASSIGN_OR_RETURN(auto dependence,
                          check_dependence(backend, voters, label, std::span(at.learn).first(label.size()), classes,
                                           sorted_by_label(traces.label), s.kind, options.split.seed));
  result.dependence = std::move(dependence);
  if (!result.dependence.advice.empty()) result.warnings.push_back(result.dependence.advice);

  TRACER_ASSIGN_OR_RETURN(auto graph, neighbour_graph(backend, voters, kNeighbourhood, unit));
  LearnSide learn;
  const std::vector<Vote> out_of_unit = votes_of(graph.neighbour, graph.similarity, label);
  for (size_t i = 0; i < label.size(); ++i) {
    learn.score.push_back(out_of_unit[i].score);
    learn.disagree.push_back(out_of_unit[i].label != label[i]);
    learn.gated.push_back(0);
  }
  learn.unit.assign(unit.begin(), unit.end());
  learn.rows = static_cast<int64_t>(s.learn.size());
  result.unit = choose_unit(learn, options.unit, options.alpha, s.kind != SplitKind::kRows);
  if (result.unit.runs) {
    if (const LeftOut left = leave_out_large_units(result.split); left.units > 0)
      result.warnings.push_back(std::to_string(left.units) + " certify groups larger than any that votes, " +
                                std::to_string(left.rows) + " rows in all, were left out");
  }
  const Certifier certifier(learn, proof_unit(result.unit, s.kind), certify, static_cast<int64_t>(s.certify.size()),
                            count_units(s.certify_unit), s.unit_rows);

  // From here on the certify rows are open.
  const auto n = static_cast<int64_t>(s.certify.size());
  Matrix<float> rows(n, x.cols());
  for (int64_t i = 0; i < n; ++i)
    std::copy_n(x.row(at.place[static_cast<size_t>(s.certify[static_cast<size_t>(i)])]), x.cols(), rows.row(i));
  Matrix<int32_t> neighbour(n, kNeighbourhood);
  Matrix<float> similarity(n, kNeighbourhood);
  TRACER_RETURN_IF_ERROR(backend.topk_cosine(rows.view(), voters, {}, {}, TopK{neighbour.view(), similarity.view()}));
  CertifySide side;
  for (const Vote& vote : votes_of(neighbour, similarity, label)) {
    const int32_t row = s.certify[result.vote.size()];
    result.vote.push_back(vote.label);
    result.score.push_back(vote.score);
    result.agree.push_back(vote.label == traces.label[static_cast<size_t>(row)]);
    side.disagree.push_back(result.agree.back() == 0);
    side.gated.push_back(0);
  }
  side.score = result.score;
  side.unit = s.certify_unit;
  side.units = count_units(s.certify_unit);
  side.unit_rows = s.unit_rows;
  for (double alpha : alphas) result.certificates.push_back(certifier.certify(side, alpha));
  TRACER_ASSIGN_OR_RETURN(result.regions, find_regions(backend, rows.view()));
  result.cells = cells_of(traces, result, options);
  result.x = std::move(rows);
  return result;
}

}  // namespace tracer
