#include "host/artifact/text_stage.h"

#include <span>

#include "engine/policy/text_stage.h"
#include "engine/text/ngrams.h"
#include "host/artifact/names.h"
#include "host/artifact/tensors.h"
#include "host/io/json_fields.h"

namespace tracer {
namespace {

constexpr char kEncoderKind[] = "ngrams";
constexpr int64_t kNgramsVersion = 1;  // of the hash, its words and weights

}  // namespace

Json ngrams_json() {
  return {{"kind", kEncoderKind}, {"version", kNgramsVersion}, {"dimension", kNgramBuckets}, {"words", kWordSlots}};
}

Status check_ngrams(const Json& json) {
  if (json == ngrams_json()) return {};
  std::string found = json.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (found.size() > 200) found = found.substr(0, 200) + "...";
  return bad_input("manifest.json: encoders: expected " + ngrams_json().dump() + " for the text stage, found " + found);
}

Json text_stage_json(const TextStage& stage, int64_t encoder) {
  return {{"encoder", encoder},
          {"members", Json::array({{{"kind", "softmax"}, {"weight", 1.0}, {"cost", stage.cost}}})},
          {"most_unseen", stage.most_unseen}};
}

void add_text_stage(const TextStage& stage, const std::string& prefix, io::SafetensorsWriter& writer) {
  const auto vector = [&](const char* name, const auto& v) {
    using T = typename std::decay_t<decltype(v)>::value_type;
    writer.add<T>(prefix + name, {static_cast<int64_t>(v.size())}, std::span<const T>(v));
  };
  writer.add(prefix + kNgramsW, stage.w);
  vector(kNgramsB, stage.b);
  writer.add<int64_t>(prefix + kNgramsWords, {static_cast<int64_t>(stage.words.size())},
                      {reinterpret_cast<const int64_t*>(stage.words.data()), stage.words.size()});
  vector(kLabelFrequency, stage.label_frequency);
  vector(kAcceptorMean, stage.acceptor.mean);
  vector(kAcceptorScale, stage.acceptor.scale);
  vector(kAcceptorCoef, stage.acceptor.coef);
}

Status parse_text_stage(const Json& json, int64_t encoder, int64_t classes, const std::string& prefix,
                        const io::SafetensorsFile& file, TextStage& stage) {
  JsonFields f(json, "manifest.json: stages");
  int64_t named = 0;
  f.count("encoder", named);
  f.number("most_unseen", stage.most_unseen, 0, 1);
  const Json& members = f.array("members");
  TRACER_RETURN_IF_ERROR(f.status());
  if (named != encoder)
    return bad_input("manifest.json: stages: \"encoder\": expected " + std::to_string(encoder) +
                     " of the text stage, found " + std::to_string(named));
  if (members.size() != 1)
    return bad_input("manifest.json: members: expected one softmax member of the text stage, found " +
                     std::to_string(members.size()) + " members");
  JsonFields m(members[0], "manifest.json: members");
  std::string kind;
  double weight = 0;
  m.text("kind", kind);
  m.number("weight", weight, 1, 1);
  m.number("cost", stage.cost, 0, 1e12);
  TRACER_RETURN_IF_ERROR(m.status());
  if (kind != "softmax")
    return bad_input("manifest.json: members: expected one softmax member of the text stage, found \"" + kind + "\"");
  TRACER_RETURN_IF_ERROR(copy_matrix(file, prefix + kNgramsW, kNgramBuckets, classes, stage.w));
  TRACER_RETURN_IF_ERROR(copy_vector(file, prefix + kNgramsB, classes, stage.b));
  TRACER_RETURN_IF_ERROR(check_some_label(stage.b, prefix + kNgramsB));
  TRACER_ASSIGN_OR_RETURN(auto words, file.values<int64_t>(prefix + kNgramsWords, {kWordSlots / 64}));
  stage.words.assign(words.begin(), words.end());
  return copy_acceptor(file, prefix, classes, kTextFeatures, stage.label_frequency, stage.acceptor);
}

}  // namespace tracer
