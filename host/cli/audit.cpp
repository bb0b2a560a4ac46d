#include "host/api/audit.h"

#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"

namespace tracer::cli {
namespace {

struct AuditCommand {
  Common common;
  AuditRequest request;

  int run() const {
    const Console& console = common.console;
    const auto device = open_device(common);
    if (!device.ok()) return fail(console, device.status());
    const auto audit = audit_policy(*device, request, events_of(console));
    if (!audit.ok()) return fail(console, audit.status());
    return print_result(console, audit->document, audit->alarm ? kExitAlarm : kExitOk);
  }
};

}  // namespace

void add_audit(Flags& app, int& exit_code) {
  auto command = std::make_shared<AuditCommand>();
  AuditRequest& request = command->request;
  Flags* sub = app.add_subcommand("audit", "watch the agreement of a policy on audited rows; exit 6 is the alarm");
  add_policy_options(*sub, request.policy);
  sub->add_option("AUDITED", request.source.traces,
                  "all audit rows since the policy was put in place, in order of arrival: JSONL or CSV")
      ->required();
  sub->add_option("--delta", request.delta, "chance of ever a false alarm (default: the policy's delta)")
      ->check(open_unit_interval());
  add_input_options(*sub, request.source, true);
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
