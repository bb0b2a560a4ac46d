#include "host/versions/state.h"

#include <algorithm>
#include <array>
#include <utility>

#include "host/io/json_fields.h"
#include "host/io/json_format.h"
#include "host/io/sha256.h"

namespace tracer {
namespace {

constexpr char kFormat[] = "tracer-versions";
constexpr int64_t kVersion = 2, kOldestVersion = 1;  // 1: "plan", of one alpha, in the place of "plans"
constexpr std::array<const char*, 3> kStatus = {"deployed", "waiting", "dropped"};

Json plan_json(const AuditPlan& p) {
  return {{"alpha", p.alpha}, {"level", p.level}, {"threshold", p.threshold},
          {"bet", p.bet},     {"share", p.share}, {"patience", p.patience}};
}

Status parse_numbers(const Json& list, const std::string& where, std::vector<double>& out) {
  for (const Json& v : list) {
    if (!v.is_number()) return bad_input(where + ": expected numbers, found " + v.type_name());
    out.push_back(v.get<double>());
    if (!(out.back() >= 0 && out.back() <= 1)) return bad_input(where + ": expected numbers from 0 to 1");
  }
  return {};
}

Status parse_plan(const Json& json, const std::string& where, AuditPlan& p) {
  JsonFields f(json, where);
  f.number("alpha", p.alpha, 0, 1);
  f.number("level", p.level, 0, 1);
  f.count("patience", p.patience);
  const Json &threshold = f.array("threshold"), &bet = f.array("bet"), &share = f.array("share");
  TRACER_RETURN_IF_ERROR(f.status());
  TRACER_RETURN_IF_ERROR(parse_numbers(threshold, where + ": threshold", p.threshold));
  TRACER_RETURN_IF_ERROR(parse_numbers(bet, where + ": bet", p.bet));
  TRACER_RETURN_IF_ERROR(parse_numbers(share, where + ": share", p.share));
  if (p.bet.size() != p.threshold.size() || p.share.size() != p.threshold.size())
    return bad_input(where + ": expected a bet and a share for every threshold");
  for (size_t i = 0; i < p.bet.size(); ++i)
    if (!(p.bet[i] > 0 && p.bet[i] < 1 - p.alpha) || (i > 0 && !(p.threshold[i] < p.threshold[i - 1])))
      return bad_input(where + ": expected descending thresholds with bets below 1 - alpha");
  return {};
}

Status parse_version(const Json& json, const std::string& where, Version& v) {
  JsonFields f(json, where);
  std::string status;
  f.count("number", v.number);
  f.text("origin", v.origin);
  f.text("content", v.content);
  f.text("status", status);
  f.count("challenger", v.challenger);
  f.number("level", v.level, 0, 1);
  f.count("audit_rows", v.audit_rows);
  TRACER_RETURN_IF_ERROR(f.status());
  for (size_t s = 0; s < kStatus.size(); ++s)
    if (status == kStatus[s]) {
      v.status = static_cast<VersionStatus>(s);
      return {};
    }
  return bad_input(where + ": \"status\": expected deployed, waiting or dropped, found " + status);
}

Status parse_rows(const Json& json, const std::string& where, RowsFile& r) {
  JsonFields f(json, where);
  f.text("file", r.file);
  f.text("sha256", r.sha256);
  f.count("rows", r.rows);
  f.count("audit", r.audit, r.rows);
  f.count("challenger", r.challenger);
  TRACER_RETURN_IF_ERROR(f.status());
  if (r.file.empty() || r.file.find('/') != std::string::npos)
    return bad_input(where + ": \"file\": expected a name in the folder");
  return {};
}

Json state_json(const VersionState& s) {
  Json j = {{"delta", s.delta}, {"scored", s.scored}, {"versions", Json::array()}};
  for (const Version& v : s.versions)
    j["versions"].push_back({{"number", v.number},
                             {"origin", v.origin},
                             {"content", v.content},
                             {"status", to_string(v.status)},
                             {"challenger", v.challenger},
                             {"level", v.level},
                             {"audit_rows", v.audit_rows}});
  j["champions"] = s.champions;
  j["deploying"] = s.deploying;
  j["plans"] = Json::array();
  if (s.waiting() != nullptr)
    for (const AuditPlan& p : s.plans) j["plans"].push_back(plan_json(p));
  j["rows"] = Json::array();
  for (const RowsFile& r : s.rows)
    j["rows"].push_back(
        {{"file", r.file}, {"sha256", r.sha256}, {"rows", r.rows}, {"audit", r.audit}, {"challenger", r.challenger}});
  return j;
}

}  // namespace

const char* to_string(VersionStatus status) { return kStatus[static_cast<size_t>(status)]; }

const Version* VersionState::waiting() const {
  for (const Version& v : versions)
    if (v.status == VersionStatus::kWaiting) return &v;
  return nullptr;
}
Version* VersionState::waiting() { return const_cast<Version*>(std::as_const(*this).waiting()); }

std::string state_text(const VersionState& state) {
  const Json body = state_json(state);
  return Json{{"format", kFormat},
              {"format_version", kVersion},
              {"sha256", io::sha256_hex(body.dump())},
              {"state", body}}
             .dump(1) +
         "\n";
}

Result<VersionState> parse_state(std::string_view text, const std::string& path) {
  TRACER_ASSIGN_OR_RETURN(auto json, parse_json(text, path));
  TRACER_ASSIGN_OR_RETURN(auto version, format_version(json, path, kFormat, kOldestVersion, kVersion));
  JsonFields top(json, path);
  std::string sha256;
  top.text("sha256", sha256);
  const Json& body = top.object("state");
  TRACER_RETURN_IF_ERROR(top.status());
  if (const std::string found = io::sha256_hex(body.dump(-1, ' ', false, Json::error_handler_t::replace));
      found != sha256)
    return bad_input(path + ": damaged: expected sha256 " + sha256 + " of its state, found " + found);

  VersionState s;
  JsonFields f(body, path);
  f.number("delta", s.delta, 0, 1);
  f.count("scored", s.scored);
  f.count("deploying", s.deploying);
  const Json &versions = f.array("versions"), &champions = f.array("champions"), &rows = f.array("rows");
  TRACER_RETURN_IF_ERROR(f.status());
  for (const Json& entry : versions) {
    TRACER_RETURN_IF_ERROR(parse_version(entry, path + ": versions", s.versions.emplace_back()));
    if (s.versions.back().number != static_cast<int64_t>(s.versions.size()))
      return bad_input(path + ": versions: expected numbers from 1 without gaps");
  }
  if (std::count_if(s.versions.begin(), s.versions.end(),
                    [](const Version& v) { return v.status == VersionStatus::kWaiting; }) > 1)
    return bad_input(path + ": versions: expected at most one that waits");
  const auto known = [&](int64_t v) { return v >= 1 && v <= static_cast<int64_t>(s.versions.size()); };
  for (const Json& v : champions) {
    if (!v.is_number_integer() || !known(v.get<int64_t>())) return bad_input(path + ": champions: expected versions");
    s.champions.push_back(v.get<int64_t>());
  }
  if (s.champions.empty() || (s.deploying != 0 && !known(s.deploying)))
    return bad_input(path + ": expected a champion among the versions");
  for (const Json& entry : rows) TRACER_RETURN_IF_ERROR(parse_rows(entry, path + ": rows", s.rows.emplace_back()));
  if (s.waiting() != nullptr) {
    const Json plans = version == 1 ? Json::array({f.object("plan")}) : f.array("plans");
    TRACER_RETURN_IF_ERROR(f.status());
    for (const Json& plan : plans) {
      TRACER_RETURN_IF_ERROR(parse_plan(plan, path + ": plans", s.plans.emplace_back()));
      if (s.plans.size() > 1 && !(s.plans.back().alpha > s.plans[s.plans.size() - 2].alpha))
        return bad_input(path + ": plans: expected ascending alphas");
    }
    if (s.plans.empty()) return bad_input(path + ": plans: expected those of the version that waits, found none");
  }
  return s;
}

}  // namespace tracer
