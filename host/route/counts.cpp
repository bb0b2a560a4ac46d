#include "host/route/counts.h"

#include <numeric>
#include <vector>

#include "engine/prove/figures.h"
#include "host/io/json_fields.h"

namespace tracer {
namespace {

constexpr Reason kDeferring[] = {Reason::kBelowThreshold, Reason::kOutOfDistribution, Reason::kNeverLabel,
                                 Reason::kBelowLabelFloor};

const char* in_words(Reason reason) {
  switch (reason) {
    case Reason::kBelowThreshold:
      return " below the threshold";
    case Reason::kOutOfDistribution:
      return " out of distribution";
    case Reason::kNeverLabel:
      return " with a label never to be answered";
    case Reason::kBelowLabelFloor:
      return " with a label below the floor";
    case Reason::kAccepted:
      break;
  }
  return " handled";
}

}  // namespace

Json CascadeCounts::json(bool labelled) const {
  const auto one = [&](const StageCounts& c) {
    Json j = {{"rows", c.rows}, {"handled", c.handled}};
    if (labelled) j["n_agree"] = c.agree, j["teacher_agreement"] = optional_json(agreement(c.agree, c.handled));
    return j;
  };
  return {{"text", one(text_)}, {"vector", one(vector_)}};
}

std::string CascadeCounts::handled_text() const {
  return std::to_string(text_.handled) + " answered from the text alone, " + std::to_string(vector_.handled) +
         " on vectors";
}

int64_t ReasonCounts::rows() const { return std::accumulate(count_.begin(), count_.end(), int64_t{0}); }

Json ReasonCounts::deferred() const {
  Json j = Json::object();
  for (Reason reason : kDeferring) j[to_string(reason)] = of(reason);
  return j;
}

std::string ReasonCounts::deferred_text(const std::string& between, const std::string& last) const {
  std::vector<std::string> parts;
  for (Reason reason : kDeferring)
    if (of(reason) > 0 || reason == Reason::kBelowThreshold || reason == Reason::kOutOfDistribution)
      parts.push_back(std::to_string(of(reason)) + in_words(reason));
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) text += (i == 0 ? "" : i + 1 == parts.size() ? last : between) + parts[i];
  return text;
}

}  // namespace tracer
