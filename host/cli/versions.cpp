// The commands about a policy's versions: versions, promote, rollback.
#include <algorithm>

#include "engine/prove/figures.h"
#include "host/artifact/frontier_text.h"
#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/io/json_fields.h"
#include "host/versions/store.h"

namespace tracer::cli {
namespace {

struct VersionsCommand {
  Common common;
  std::string folder;
  int64_t wanted = 0;  // of promote

  int list() const;
  int promote() const;
  int rollback() const;

 private:
  int put_in_place(VersionStore& store, int64_t to) const;
};

// What a version was certified to do; null figures for one that waits or was dropped.
Result<Json> version_json(const VersionStore& store, const Version& v) {
  const VersionState& state = store.state();
  Json j = {{"version", v.number},
            {"origin", v.origin},
            {"status", v.number == state.champion() ? "champion" : to_string(v.status)},
            {"alpha", nullptr},
            {"delta", v.level},
            {"coverage", nullptr},
            {"teacher_agreement", nullptr},
            {"teacher_agreement_lower", nullptr},
            {"audit_rows", v.audit_rows}};
  if (v.status == VersionStatus::kWaiting)
    for (const RowsFile& r : state.rows)
      if (r.challenger == v.number) j["audit_rows"] = j["audit_rows"].get<int64_t>() + r.audit;
  if (v.status != VersionStatus::kDeployed) return j;
  TRACER_ASSIGN_OR_RETURN(auto artifact, read_artifact(store.version_path(v.number)));
  const Policy& policy = artifact.policy;
  j["alpha"] = policy.alpha;
  j["policy"] = artifact.digest;
  if (const Certificate* c = policy.certificate(policy.alpha)) {
    j["coverage"] = optional_json(coverage(*c));
    j["teacher_agreement"] = optional_json(c->certified ? agreement(c->n_agree, c->n_handled) : std::nullopt);
    j["teacher_agreement_lower"] = optional_json(agreement_lower(*c));
  }
  return j;
}

std::string figure(const Json& value) { return value.is_null() ? "-" : number(value.get<double>()); }

int VersionsCommand::list() const {
  auto store = VersionStore::open(folder, false, 0);
  if (!store.ok()) return fail(common.console, store.status());
  Json list = Json::array();
  std::string text = "  version  origin  status     coverage  agreement  at least  audit rows\n";
  for (const Version& v : store->state().versions) {
    auto json = version_json(*store, v);
    if (!json.ok()) return fail(common.console, json.status());
    const Json& j = *json;
    char line[160];
    std::snprintf(line, sizeof line, "%9lld  %-6s  %-9s  %8.8s  %9.9s  %8.8s  %10lld\n",
                  static_cast<long long>(v.number), v.origin.c_str(), j["status"].get<std::string>().c_str(),
                  figure(j["coverage"]).c_str(), figure(j["teacher_agreement"]).c_str(),
                  figure(j["teacher_agreement_lower"]).c_str(), static_cast<long long>(j["audit_rows"].get<int64_t>()));
    text += line;
    list.push_back(j);
  }
  if (!common.console.json) return common.console.print(text) ? kExitOk : kExitRuntime;
  return common.console.print_json({{"champion", store->state().champion()},
                                    {"champions", store->state().champions},
                                    {"delta", store->state().delta},
                                    {"challengers_scored", store->state().scored},
                                    {"versions", list}},
                                   kExitOk);
}

int VersionsCommand::put_in_place(VersionStore& store, int64_t to) const {
  const Console& console = common.console;
  auto artifact = read_artifact(store.version_path(to));
  if (!artifact.ok()) return fail(console, artifact.status());
  const Certificate* c = artifact->policy.certificate(artifact->policy.alpha);
  if (c == nullptr || !c->certified)
    return fail(console,
                refused("version " + std::to_string(to) + " is not certified at " + number(artifact->policy.alpha)));
  const int64_t from = store.state().champion();
  if (from != to)
    if (const Status done = store.promote(to); !done.ok()) return fail(console, done);
  if (console.json) return console.print_json({{"champion", to}, {"before", from}}, kExitOk);
  return console.print("version " + std::to_string(to) + " is the champion (before: " + std::to_string(from) + ")\n")
             ? kExitOk
             : kExitRuntime;
}

int VersionsCommand::promote() const {
  auto store = VersionStore::open(folder, false, 0);
  if (!store.ok()) return fail(common.console, store.status());
  const auto& versions = store->state().versions;
  if (wanted > static_cast<int64_t>(versions.size()))
    return usage_error(common.console, "there are versions 1 to " + std::to_string(versions.size()));
  const Version& v = versions[static_cast<size_t>(wanted - 1)];
  if (v.status != VersionStatus::kDeployed)
    return fail(common.console,
                refused("version " + std::to_string(wanted) + " (" + to_string(v.status) + ") was never certified"));
  return put_in_place(*store, wanted);
}

// To the latest champion that is older than this one.
int VersionsCommand::rollback() const {
  auto store = VersionStore::open(folder, false, 0);
  if (!store.ok()) return fail(common.console, store.status());
  const std::vector<int64_t>& champions = store->state().champions;
  const auto earlier =
      std::find_if(champions.rbegin(), champions.rend(), [&](int64_t v) { return v < store->state().champion(); });
  if (earlier == champions.rend())
    return fail(common.console, bad_input(folder + ": no earlier version to go back to"));
  return put_in_place(*store, *earlier);
}

Flags* add(Flags& app, const std::shared_ptr<VersionsCommand>& command, const char* name, const char* what) {
  Flags* sub = app.add_subcommand(name, what);
  sub->add_option("DIR", command->folder, "folder of the policy")->required();
  add_common(*sub, command->common, false);
  return sub;
}

}  // namespace

void add_versions(Flags& app, int& exit_code) {
  auto command = std::make_shared<VersionsCommand>();
  add(app, command, "versions", "list the versions of a policy that `tracer update` keeps")
      ->callback([command, &exit_code] { exit_code = command->list(); });
}

void add_promote(Flags& app, int& exit_code) {
  auto command = std::make_shared<VersionsCommand>();
  Flags* sub = add(app, command, "promote", "put a version that was the champion before in place again");
  sub->add_option("VERSION", command->wanted, "its number")->required()->check(positive());
  sub->callback([command, &exit_code] { exit_code = command->promote(); });
}

void add_rollback(Flags& app, int& exit_code) {
  auto command = std::make_shared<VersionsCommand>();
  add(app, command, "rollback", "put the champion before this one in place again")->callback([command, &exit_code] {
    exit_code = command->rollback();
  });
}

}  // namespace tracer::cli
