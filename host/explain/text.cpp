#include "host/explain/text.h"

#include <algorithm>
#include <vector>

#include "engine/maths/percent.h"
#include "host/artifact/frontier_text.h"
#include "host/explain/growth_fits.h"
#include "host/explain/since_version.h"
#include "host/io/plain_text.h"

namespace tracer {
namespace {

constexpr size_t kLabels = 3, kFlags = 3;
constexpr int64_t kFewestHandled = 10;  // a label of fewer says little

std::string figure(const Json& value) { return value.is_number() ? number(value.get<double>()) : "-"; }
std::string share(const Json& value) { return value.is_number() ? percent(value.get<double>()) : "-"; }
std::string name(const Json& label) { return label.is_string() ? shown(label.get<std::string>()) : "(unknown label)"; }

std::string agreement_text(const Json& counts) {
  return "agreement " + figure(counts["teacher_agreement"]) + ", at least " + figure(counts["teacher_agreement_lower"]);
}

std::string row_text(const Json& row) {
  std::string text = "line " + std::to_string(row["line"].get<int64_t>());
  if (row["id"].is_string()) text += ", " + shown(row["id"].get<std::string>());
  return text;
}

std::string reason_text(const Json& reason) {
  std::string text = "  " + share(reason["share"]) + "  " + reason["text"].get<std::string>() + " (" +
                     counted(reason["n"].get<int64_t>(), "row") + ")";
  const Json pairs = reason.value("pairs", Json::array());
  if (!pairs.empty() && pairs[0].contains("labels"))
    text += ", most: " + name(pairs[0]["labels"][0]) + " / " + name(pairs[0]["labels"][1]);
  else if (const Json labels = reason.value("labels", Json::array()); !labels.empty())
    text += ", most: " + name(labels[0]["label"]);
  return text + "; would help: " + reason["help"].get<std::string>() + "\n";
}

std::string region_text(const Json& region) {
  std::string labels, words;
  for (const Json& l : region["labels"]) labels += (labels.empty() ? "" : ", ") + name(l["label"]);
  if (region["words"].is_array())
    for (const Json& w : region["words"]) words += (words.empty() ? "" : " ") + shown(w["word"].get<std::string>());
  return share(region["coverage"]) + " of " + counted(region["n"].get<int64_t>(), "row") + " handled, " +
         agreement_text(region) + "; labels " + labels + (words.empty() ? "" : "; words " + words);
}

bool by_coverage(const Json& a, const Json& b) { return a["coverage"].get<double>() < b["coverage"].get<double>(); }

std::string regions_text(const Json& regions) {
  if (regions.size() < 2) return "";
  return least_region(regions) +
         "handled most: " + region_text(*std::max_element(regions.begin(), regions.end(), by_coverage)) + "\n";
}

std::string flags_text(const Json& slices) {
  std::string text;
  size_t flags = 0;
  for (const Json& s : slices)
    for (const char* figure_name : {"coverage", "agreement"}) {
      if (!s[std::string("flag_") + figure_name].get<bool>() || ++flags > kFlags) continue;
      const Json& value = s[figure_name == std::string("coverage") ? "coverage" : "teacher_agreement"];
      text += "slice " + shown(s["key"].get<std::string>()) + " = " + shown(s["value"].get<std::string>()) + ": " +
              figure_name + " " + figure(value) + " differs from the other rows (corrected p " +
              figure(s[std::string("p_") + figure_name]) + ")\n";
    }
  return text;
}

}  // namespace

std::string weakest_labels(const Json& labels) {
  std::vector<size_t> at;
  for (size_t i = 0; i < labels.size(); ++i)
    if (labels[i]["answered"]["n_handled"].get<int64_t>() >= kFewestHandled) at.push_back(i);
  std::stable_sort(at.begin(), at.end(), [&](size_t a, size_t b) {
    return labels[a]["answered"]["teacher_agreement"].get<double>() <
           labels[b]["answered"]["teacher_agreement"].get<double>();
  });
  std::string text;
  for (size_t i = 0; i < std::min(at.size(), kLabels); ++i)
    text += (i > 0 ? "; " : "") + name(labels[at[i]]["label"]) + " " +
            figure(labels[at[i]]["answered"]["teacher_agreement"]) + " of " +
            std::to_string(labels[at[i]]["answered"]["n_handled"].get<int64_t>());
  return text.empty() ? "" : "least agreement by label: " + text + "\n";
}

std::string least_region(const Json& regions) {
  if (regions.size() < 2) return "";
  return "handled least, of " + counted(static_cast<int64_t>(regions.size()), "region") + ": " +
         region_text(*std::min_element(regions.begin(), regions.end(), by_coverage)) + "\n";
}

std::vector<const Json*> reasons_by_rows(const Json& d) {
  std::vector<const Json*> reasons;
  for (const Json& r : d["reasons"])
    if (r["n"].get<int64_t>() > 0) reasons.push_back(&r);
  std::stable_sort(reasons.begin(), reasons.end(),
                   [](const Json* a, const Json* b) { return (*a)["n"].get<int64_t>() > (*b)["n"].get<int64_t>(); });
  return reasons;
}

std::string first_suspect(const Json& suspects) {
  if (suspects.empty()) return "";
  const Json& s = suspects[0];
  return counted(static_cast<int64_t>(suspects.size()), "answer") + " of the teacher to look at again, first " +
         row_text(s) + ": teacher " + name(s["teacher"]) + ", surrogate " + name(s["surrogate"]) + " (" +
         percent(s["probability"].get<double>()) + " sure)\n";
}

std::string explain_text(const Json& d) {
  const int64_t n = d["n"].get<int64_t>(), handled = d["n_handled"].get<int64_t>();
  std::string text = counted(n, d["rows"]["kind"] == "certify" ? "certify row" : "row") + " of " +
                     shown(d["rows"]["path"].get<std::string>()) + ", alpha " + figure(d["alpha"]) +
                     (d["certified"].get<bool>() ? "" : " (not certified)") + ": " + share(d["coverage"]) +
                     " handled, " + agreement_text(d) + "\n";
  text += handled == n ? "none deferred\n" : "why " + std::to_string(n - handled) + " were deferred:\n";
  for (const Json* r : reasons_by_rows(d)) text += reason_text(*r);
  text += weakest_labels(d["labels"]);
  if (handled > 0) text += regions_text(d["regions"]);
  text += first_suspect(d["suspects"]);
  if (const Json& pairs = d["boundary"]; !pairs.empty())
    text += "at the border: " + row_text(pairs[0]["handled"]) + " handled, " + row_text(pairs[0]["deferred"]) +
            " deferred, both " + name(pairs[0]["handled"]["teacher"]) + "\n";
  return text + flags_text(d["slices"]) + growth_text(d["learning_curve"], d["label"]) + since_text(d["since"]);
}

}  // namespace tracer
