#include "host/report/scan_report.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/maths/binomial.h"
#include "engine/maths/percent.h"
#include "host/artifact/frontier_text.h"
#include "host/io/plain_text.h"

namespace tracer {
namespace {

// A label, and its JSON object, is some ten tokens.
constexpr double kAnswerTokens = 12;

const char* to_string(ScanCell::Verdict verdict) {
  switch (verdict) {
    case ScanCell::Verdict::kHandle:
      return "handle";
    case ScanCell::Verdict::kDefer:
      return "defer";
    case ScanCell::Verdict::kOpen:
      break;
  }
  return "open";
}

double share(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

// The share of the traffic that the certificate handles, with a two-sided interval at level delta.
Json handled_json(const Certificate& c) {
  if (!c.certified) return {{"share", 0.0}, {"lower", 0.0}, {"upper", 0.0}};
  return {{"share", share(c.n_handled, c.n_certify)},
          {"lower", clopper_pearson_lower(c.n_handled, c.n_certify, c.delta / 2)},
          {"upper", clopper_pearson_upper(c.n_handled, c.n_certify, c.delta / 2)}};
}

Json certificate_row(const Certificate& c) {
  return {
      {"alpha", c.alpha},
      {"certified", c.certified},
      {"handled", handled_json(c)},
      {"agreement", c.certified ? Json(share(c.n_agree, c.n_handled)) : Json(nullptr)},
      {"agreement_lower", c.certified ? Json(clopper_pearson_lower(c.n_agree, c.n_handled, c.delta)) : Json(nullptr)},
      {"unit", to_string(c.unit)},
      {"reason", c.reason}};
}

Json saving_json(const CallPrices& p, const Json& handled, std::optional<double> text_bytes) {
  if (!p.in && !p.out) return nullptr;
  const bool about = (p.in && !p.tokens_in) || (p.out && !p.tokens_out);
  const double tokens_in = p.tokens_in.value_or(text_bytes.value_or(0) / 4);
  const double tokens_out = p.tokens_out.value_or(kAnswerTokens);
  const double call = (p.in.value_or(0) * tokens_in + p.out.value_or(0) * tokens_out) / 1e6;
  Json json = {{"tokens_in", tokens_in}, {"tokens_out", tokens_out}, {"tokens_are_guessed", about}, {"call_usd", call}};
  const double calls = p.calls_per_day.value_or(1e6);
  for (const char* key : {"share", "lower", "upper"})
    json[p.calls_per_day ? "a_day_usd" : "a_million_calls_usd"][key] = call * calls * handled.at(key).get<double>();
  return json;
}

Json cell_json(const ScanCell& cell, const io::TraceFile& log) {
  Json labels = Json::array();
  for (const auto& [label, rows] : cell.labels)
    labels.push_back({{"label", log.traces.labels[static_cast<size_t>(label)]}, {"rows", rows}});
  const auto example = static_cast<size_t>(cell.example);
  return {{"verdict", to_string(cell.verdict)},
          {"rows", cell.rows},
          {"handled", cell.handled},
          {"agreement", share(cell.agree, cell.rows)},
          {"agreement_lower", cell.lower},
          {"agreement_upper", cell.upper},
          {"labels", std::move(labels)},
          {"example", {{"line", log.traces.line[example]}, {"input", log.input.empty() ? "" : log.input[example]}}}};
}

std::string padded(std::string text, size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

std::string usd(double value) {
  char text[48];
  std::snprintf(text, sizeof text, value < 1 ? "%.4f" : "%.2f", value);
  return text;
}

std::string saving_text(const Json& saving, const Json& handled) {
  if (!(handled.at("share").get<double>() > 0)) return "saving: none that is proved\n";
  const bool daily = saving.contains("a_day_usd");
  const Json& amount = saving.at(daily ? "a_day_usd" : "a_million_calls_usd");
  std::string text =
      "saving: about " + usd(amount.at("share").get<double>()) + " USD " + (daily ? "a day" : "a million calls");
  text += " (" + usd(amount.at("lower").get<double>()) + " to " + usd(amount.at("upper").get<double>()) + ")";
  text += ", at " + usd(saving.at("call_usd").get<double>()) + " USD a call";
  if (saving.at("tokens_are_guessed").get<bool>())
    text += "; tokens are guessed: give " + as_flags(option("tokens_in")) + " (the prompt is not in the log) and " +
            as_flags(option("tokens_out"));
  return text + "\n";
}

}  // namespace

std::vector<size_t> cells_by_agreement(const Scan& scan) {
  std::vector<size_t> order(scan.cells.size());
  std::iota(order.begin(), order.end(), 0);
  const auto agreement = [&](size_t c) { return share(scan.cells[c].agree, scan.cells[c].rows); };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return agreement(a) > agreement(b); });
  return order;
}

Json scan_json(const Scan& scan, const ScanOptions& options, const io::TraceFile& log, const CallPrices& prices,
               std::optional<double> text_bytes) {
  Json frontier = Json::array(), cells = Json::array();
  Json asked;
  for (const Certificate& c : scan.certificates) {
    frontier.push_back(certificate_row(c));
    if (std::abs(c.alpha - options.alpha) < 1e-9) asked = frontier.back();
  }
  for (const size_t c : cells_by_agreement(scan)) cells.push_back(cell_json(scan.cells[c], log));
  const auto agree = std::count(scan.agree.begin(), scan.agree.end(), 1);
  return {{"rows", log.traces.rows()},
          {"labels", log.traces.labels.size()},
          {"alpha", options.alpha},
          {"delta", options.delta},
          {"split",
           {{"kind", to_string(scan.split.kind)},
            {"reason", scan.split.reason},
            {"n_vote", scan.split.learn.size()},
            {"n_certify", scan.split.certify.size()}}},
          {"certified", asked.at("certified")},
          {"handled", asked.at("handled")},
          {"agreement_of_all", share(agree, static_cast<int64_t>(scan.agree.size()))},
          {"saving", saving_json(prices, asked.at("handled"), text_bytes)},
          {"frontier", std::move(frontier)},
          {"cells", std::move(cells)},
          {"warnings", scan.warnings}};
}

std::string scan_text(const Json& d) {
  const double alpha = d.at("alpha").get<double>();
  const Json& handled = d.at("handled");
  std::string text;
  if (d.at("certified").get<bool>()) {
    text = "the vote of the nearest traces alone could answer " + percent(handled.at("share").get<double>()) + " (" +
           percent(handled.at("lower").get<double>()) + " to " + percent(handled.at("upper").get<double>()) +
           ") of the traffic at agreement " + number(alpha) + "; a fit usually finds more\n";
  } else {
    text = "at agreement " + number(alpha) + " the vote of the nearest traces proves nothing";
    for (const Json& row : d.at("frontier"))
      if (row.at("alpha") == d.at("alpha")) text += ": " + row.at("reason").get<std::string>();
    text += "\n";
  }
  if (!d.at("saving").is_null()) text += saving_text(d.at("saving"), handled);
  text += "\nalpha  handled\n";
  for (const Json& row : d.at("frontier"))
    text += padded(number(row.at("alpha").get<double>()), 7) +
            (row.at("certified").get<bool>() ? percent(row.at("handled").at("share").get<double>()) : "refused") + "\n";
  if (d.at("cells").empty()) return text;
  text += "\ncells of the input space, easiest first (bounds hold for all of them together)\n" + padded("verdict", 9) +
          padded("rows", 7) + padded("handled", 9) + padded("agreement", 26) + "labels\n";
  for (const Json& cell : d.at("cells")) {
    std::string labels;
    for (const Json& l : cell.at("labels"))
      labels += (labels.empty() ? "" : ", ") + shown(l.at("label").get<std::string>());
    text +=
        padded(cell.at("verdict").get<std::string>(), 9) + padded(std::to_string(cell.at("rows").get<int64_t>()), 7) +
        padded(std::to_string(cell.at("handled").get<int64_t>()), 9) +
        padded(percent(cell.at("agreement").get<double>()) + " (" + percent(cell.at("agreement_lower").get<double>()) +
                   " to " + percent(cell.at("agreement_upper").get<double>()) + ")",
               24) +
        " " + labels + "\n";
  }
  return text;
}

}  // namespace tracer
