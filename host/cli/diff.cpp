#include "host/api/diff.h"

#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"

namespace tracer::cli {
namespace {

struct DiffCommand {
  Common common;
  DiffRequest request;

  Result<DiffReport> compare() const {
    if (request.source.traces.empty()) return compare_promises(request);
    TRACER_ASSIGN_OR_RETURN(auto device, open_device(common));
    return compare_policies(device, request, events_of(common.console));
  }
  int run() const {
    const auto diff = compare();
    return diff.ok() ? print_result(common.console, diff->document, kExitOk) : fail(common.console, diff.status());
  }
};

}  // namespace

void add_diff(Flags& app, int& exit_code) {
  auto command = std::make_shared<DiffCommand>();
  DiffRequest& request = command->request;
  Flags* sub = app.add_subcommand("diff", "compare two policies, on the same rows where there are some");
  sub->add_option("BEFORE", request.before, "folder of a policy")->required();
  sub->add_option("AFTER", request.after, "folder of another, for instance DIR.versions/v000001")->required();
  sub->add_option("--traces", request.source.traces, "labelled rows to compare them on");
  sub->add_option("--alpha", request.alpha, "certified target (default: the one each was asked for)")
      ->check(open_unit_interval());
  add_input_options(*sub, request.source, true);
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
