#include "host/artifact/look_ledger.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "engine/maths/random.h"
#include "host/io/json_fields.h"
#include "host/io/sha256.h"
#include "host/io/text_hash.h"

namespace tracer {
namespace {

constexpr int kHexDigits = 16;

std::string to_hex(const std::vector<uint64_t>& rows) {
  std::string text;
  text.reserve(rows.size() * kHexDigits);
  for (uint64_t r : rows)
    for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[(r >> shift) & 15];
  return text;
}

Result<std::vector<uint64_t>> from_hex(const std::string& text) {
  std::vector<uint64_t> rows;
  if (text.size() % kHexDigits != 0)
    return bad_input("ledger.json: certify_rows: expected groups of 16 hexadecimal digits");
  for (size_t i = 0; i < text.size(); i += kHexDigits) {
    uint64_t value = 0;
    const auto end = text.data() + i + kHexDigits;
    if (std::from_chars(text.data() + i, end, value, 16).ptr != end)
      return bad_input("ledger.json: certify_rows: expected hexadecimal digits");
    rows.push_back(value);
  }
  return rows;
}

bool share_rows(const std::vector<uint64_t>& a, const std::vector<uint64_t>& b) {
  std::vector<uint64_t> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  return !both.empty() && 20 * both.size() >= std::min(a.size(), b.size());
}

template <class T>
void update(io::Sha256& digest, const std::vector<T>& values) {
  digest.update({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)});
}

}  // namespace

std::string log_digest(const Traces& traces, const Matrix<float>& x) {
  io::Sha256 digest;
  for (const std::string& label : traces.labels) {
    digest.update(std::to_string(label.size()) + ":");
    digest.update(label);
  }
  update(digest, traces.label);
  update(digest, traces.text_hash);
  digest.update({reinterpret_cast<const char*>(x.data()), static_cast<size_t>(x.size()) * sizeof(float)});
  return digest.hex();
}

// The log's digest knows rows, labels and vectors; a cascade's outcome hangs on the texts as well.
std::string texts_digest(const FitOptions& o) {
  io::Sha256 digest;
  for (const std::string& text : o.cascade_texts) {
    digest.update(std::to_string(text.size()) + ":");
    digest.update(text);
  }
  return digest.hex();
}

std::string descriptions_digest(const Descriptions& d) {
  io::Sha256 digest;
  digest.update(std::to_string(d.label.size()) + ":");
  update(digest, d.label);
  digest.update({reinterpret_cast<const char*>(d.x.data()), static_cast<size_t>(d.x.size()) * sizeof(float)});
  return digest.hex();
}

void add_choices(const Choices& o, Json& config) {
  if (o.members.any()) config["members"] = member_names(o.members);
  if (o.label_thresholds) config["label_thresholds"] = true;
  if (o.residual) config["residual"] = true;
  if (o.gate_share != kGateShare) config["gate_share"] = o.gate_share;
}

Look look_of(const Traces& traces, const FitResult& result, const FitOptions& o, std::string log) {
  Look look;
  look.log = std::move(log);
  look.delta = o.delta;
  look.looks = o.looks;
  for (const Certificate& c : result.policy.certificates) look.alphas.push_back(c.alpha);
  std::unordered_map<uint64_t, int> times;
  for (uint64_t hash : traces.text_hash) ++times[hash];
  for (int32_t row : result.split.certify)
    if (times[traces.text_hash[row]] == 1)
      look.rows.push_back(mix64(traces.text_hash[row]) ^ io::xxh64(traces.labels[traces.label[row]]));
  std::sort(look.rows.begin(), look.rows.end());

  // The split as it came out stands for every option that shapes it.
  io::Sha256 split;
  for (const auto* part : {&result.split.learn, &result.split.fold, &result.split.unit, &result.split.certify,
                           &result.split.certify_unit}) {
    split.update(std::to_string(part->size()) + ":");
    update(split, *part);
  }
  Json config = {{"log", look.log},
                 {"split", split.hex()},
                 {"unit_runs", result.unit.runs},
                 {"alphas", look.alphas},
                 {"delta", o.delta},
                 {"looks", o.looks},
                 {"seed", o.split.seed},
                 {"min_coverage", o.min_coverage},
                 {"simultaneous", o.simultaneous},
                 {"approximate", o.approximate}};
  // Only where they were asked for: other looks keep the name they had before these options existed.
  if (!o.never.empty()) config["never"] = result.policy.never;
  if (o.label_floor > 0) config["label_floor"] = o.label_floor;
  add_choices(o.choices, config);
  if (result.described > 0) config["descriptions"] = descriptions_digest(*o.descriptions);  // others decided nothing
  if (!o.cascade_texts.empty()) config["cascade"] = {{"tolerance", o.cascade_tolerance}, {"texts", texts_digest(o)}};
  if (!result.policy.stages.empty() && result.policy.stages[0].neighbours.label.size() < result.split.learn.size())
    config["max_references"] = o.max_references;
  if (!result.cut.empty()) config["cut"] = result.cut;  // what a budget left untried decides the outcome
  look.config = io::sha256_hex(config.dump());
  return look;
}

Result<std::string> check_look(const Json& ledger, const Look& look) {
  int64_t earlier = 0;
  int64_t allowed = look.looks;
  JsonFields fields(ledger, "ledger.json");
  for (const Json& entry : fields.array("looks")) {
    JsonFields f(entry, "ledger.json: looks");
    std::string log, config, rows_hex;
    int64_t looks = 1;
    bool is_void = false;
    f.text("log", log);
    f.text("config", config);
    f.text("certify_rows", rows_hex);
    f.count("looks", looks);
    f.boolean("void", is_void);
    TRACER_RETURN_IF_ERROR(f.status());
    if (is_void) continue;
    if (config == look.config) break;  // this very look: what stood before it decided
    TRACER_ASSIGN_OR_RETURN(auto rows, from_hex(rows_hex));
    if (log != look.log && !share_rows(rows, look.rows)) continue;
    ++earlier;
    allowed = std::min(allowed, looks);
  }
  TRACER_RETURN_IF_ERROR(fields.status());
  if (earlier < allowed) return std::string();
  return "these certify rows have served " + std::to_string(earlier) + " earlier fit" + (earlier == 1 ? "" : "s") +
         " of this artifact and delta was shared among " + std::to_string(allowed) +
         "; another look at them proves nothing (certify on fresh traces, or plan looks with " + option("looks") +
         " N from the first fit on)";
}

Json add_look(Json ledger, const Look& look, const FitResult& result, bool is_void) {
  for (const Json& entry : ledger["looks"])
    if (entry.value("config", "") == look.config) return ledger;
  std::vector<double> certified;
  for (const Certificate& c : result.policy.certificates)
    if (c.certified && !is_void) certified.push_back(c.alpha);
  ledger["looks"].push_back({{"log", look.log},
                             {"config", look.config},
                             {"void", is_void},
                             {"alphas", look.alphas},
                             {"certified", certified},
                             {"delta", look.delta},
                             {"looks", look.looks},
                             {"certify_rows", to_hex(look.rows)}});
  return ledger;
}

}  // namespace tracer
