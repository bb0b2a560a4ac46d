#include "host/artifact/ledger.h"

#include <algorithm>
#include <charconv>

#include "engine/random.h"
#include "host/artifact/json_fields.h"
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

}  // namespace

Look look_of(const Traces& traces, const FitResult& result, const FitOptions& o, const std::string& log_digest) {
  Look look;
  look.delta = o.delta;
  look.looks = o.looks;
  for (const Certificate& c : result.policy.certificates) look.alphas.push_back(c.alpha);
  for (int32_t row : result.split.certify)
    look.rows.push_back(mix64(mix64(traces.text_hash[row] ^ mix64(static_cast<uint64_t>(traces.line[row]))) ^
                              io::xxh64(traces.labels[traces.label[row]])));
  std::sort(look.rows.begin(), look.rows.end());
  const Json config = {{"log", log_digest},
                       {"alphas", look.alphas},
                       {"delta", o.delta},
                       {"looks", o.looks},
                       {"seed", o.split.seed},
                       {"split", to_string(result.split.kind)},
                       {"folds", o.split.folds},
                       {"certify_fraction", o.split.certify_fraction},
                       {"unit", static_cast<int>(o.unit)},
                       {"min_coverage", o.min_coverage},
                       {"simultaneous", o.simultaneous},
                       {"approximate", o.approximate}};
  look.config = io::sha256_hex(config.dump());
  return look;
}

Result<LedgerVerdict> check_look(const Json& ledger, const Look& look) {
  LedgerVerdict verdict;
  int64_t earlier = 0;
  int64_t allowed = look.looks;
  JsonFields fields(ledger, "ledger.json");
  for (const Json& entry : fields.array("looks")) {
    JsonFields f(entry, "ledger.json: looks");
    std::string config, rows_hex;
    int64_t looks = 1;
    f.text("config", config);
    f.text("certify_rows", rows_hex);
    f.count("looks", looks);
    TRACER_RETURN_IF_ERROR(f.status());
    if (config == look.config) {
      verdict.repeated = true;
      return verdict;
    }
    auto rows = from_hex(rows_hex);
    if (!rows.ok()) return rows.status();
    if (!share_rows(*rows, look.rows)) continue;
    ++earlier;
    allowed = std::min(allowed, looks);
  }
  TRACER_RETURN_IF_ERROR(fields.status());
  if (earlier >= allowed)
    verdict.refusal =
        "these certify rows have served " + std::to_string(earlier) + " earlier fit" + (earlier == 1 ? "" : "s") +
        " of this artifact and delta was shared among " + std::to_string(allowed) +
        "; another look at them proves nothing (fit fresh traces, or plan looks with --looks N from the first fit)";
  return verdict;
}

Json add_look(Json ledger, const Look& look, const FitResult& result) {
  for (const Json& entry : ledger["looks"])
    if (entry.value("config", "") == look.config) return ledger;
  std::vector<double> certified;
  for (const Certificate& c : result.policy.certificates)
    if (c.certified) certified.push_back(c.alpha);
  ledger["looks"].push_back({{"config", look.config},
                             {"alphas", look.alphas},
                             {"certified", certified},
                             {"delta", look.delta},
                             {"looks", look.looks},
                             {"n_certify", look.rows.size()},
                             {"certify_rows", to_hex(look.rows)}});
  return ledger;
}

}  // namespace tracer
