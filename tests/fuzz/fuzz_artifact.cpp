// Any manifest, certificate and weights: refused or parsed, never a crash. The input is cut at two 0xff bytes; what
// stands first is the manifest, then the certificates, then the weights. Certified policies that parse are also put to
// work. What stands first is also read as each of the other parts.
#include <cstdlib>
#include <string>

#include "engine/policy/router.h"
#include "engine/policy/text_stage.h"
#include "host/artifact/artifact.h"
#include "host/artifact/parts.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const size_t first = all.find('\xff');
  const std::string_view text = all.substr(0, first);
  (void)tracer::parse_frontier(text, "frontier");
  (void)tracer::parse_findings(text, "explain");
  (void)tracer::parse_look_ledger(text, "ledger");
  (void)tracer::parse_reference_ids(text, "references");
  if (first == std::string_view::npos) return 0;
  const size_t second = all.find('\xff', first + 1);
  if (second == std::string_view::npos) return 0;
  const std::string weights(all.substr(second + 1));
  const auto file = tracer::io::SafetensorsFile::from_memory(weights, "weights");
  if (!file.ok()) return 0;
  const auto artifact = tracer::parse_artifact(text, all.substr(first + 1, second - first - 1), *file);
  if (!artifact.ok() || artifact->policy.stages.empty()) return 0;
  if (artifact->policy.text) {
    tracer::TextScratch scratch;
    for (const std::string_view words : {std::string_view(), all.substr(0, 200)})
      (void)tracer::score_text(*artifact->policy.text, words, scratch);
  }
  static const auto backend = tracer::make_backend({.device = "cpu", .threads = 1, .isa = ""});
  const tracer::Policy& p = artifact->policy;
  if (p.dimension == 0 || p.dimension > 64) return 0;
  tracer::Matrix<float> x(1, p.dimension);
  x(0, 0) = 1;
  std::vector<tracer::RowScore> scores;
  if (!tracer::score_rows(**backend, p.stages[0], x.view(), scores).ok()) std::abort();
  for (const tracer::Certificate& c : p.certificates) (void)tracer::decide(scores[0], tracer::decision_rule(p, c));
  return 0;
}
