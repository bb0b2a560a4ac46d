// The commands about a policy's versions: versions, promote, rollback.
#include "host/api/versions.h"

#include "host/cli/command.h"
#include "host/cli/flags.h"

namespace tracer::cli {
namespace {

struct VersionsCommand {
  Common common;
  std::string folder;
  int64_t wanted = 0;  // of promote

  template <class Found>
  int print(const Result<Found>& found) const {
    return found.ok() ? print_result(common.console, found->document, kExitOk) : fail(common.console, found.status());
  }
};

Flags* add(Flags& app, const std::shared_ptr<VersionsCommand>& command, const char* name, const char* what) {
  Flags* sub = app.add_subcommand(name, what);
  sub->add_option("DIR", command->folder, "folder of the policy")->required();
  add_common(*sub, command->common, false);
  return sub;
}

}  // namespace

void add_versions(Flags& app, int& exit_code) {
  auto command = std::make_shared<VersionsCommand>();
  Flags* sub = add(app, command, "versions", "list the versions of a policy that `tracer update` keeps");
  sub->callback([command, &exit_code] { exit_code = command->print(list_versions(command->folder)); });
}

void add_promote(Flags& app, int& exit_code) {
  auto command = std::make_shared<VersionsCommand>();
  Flags* sub = add(app, command, "promote", "put a version that was the champion before in place again");
  sub->add_option("VERSION", command->wanted, "its number")->required()->check(positive());
  sub->callback(
      [command, &exit_code] { exit_code = command->print(promote_version(command->folder, command->wanted)); });
}

void add_rollback(Flags& app, int& exit_code) {
  auto command = std::make_shared<VersionsCommand>();
  Flags* sub = add(app, command, "rollback", "put the champion before this one in place again");
  sub->callback([command, &exit_code] { exit_code = command->print(rollback_version(command->folder)); });
}

}  // namespace tracer::cli
