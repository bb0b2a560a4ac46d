#include "host/api/update.h"

#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"

namespace tracer::cli {
namespace {

struct UpdateCommand {
  Common common;
  UpdateRequest request;

  int run() const {
    const Console& console = common.console;
    const auto device = open_device(common);
    if (!device.ok()) return fail(console, device.status());
    const auto updated = update_policy(*device, request, events_of(console));
    return updated.ok() ? print_result(console, updated->document, kExitOk) : fail(console, updated.status());
  }
};

}  // namespace

void add_update(Flags& app, int& exit_code) {
  auto command = std::make_shared<UpdateCommand>();
  UpdateRequest& request = command->request;
  Flags* sub = app.add_subcommand("update", "take in new answers; certify the waiting challenger on audited ones");
  sub->add_option("DIR", request.folder, "folder of the policy")->required();
  sub->add_option("NEW", request.source.traces,
                  "rows in order of arrival, with \"provenance\" audit or deferred: JSONL or CSV, plain or gzip")
      ->required();
  sub->add_option("--traces", request.original.traces,
                  "the log that the policy was fitted on, for the first update (default: where it was)");
  sub->add_option("--traces-embeddings", request.original.embeddings, "its vectors (default: where they were)");
  sub->add_option("--delta", request.delta,
                  "chance that you accept of ever deploying a policy below alpha, by all updates together; fixed by "
                  "the first one (default: the policy's delta)")
      ->check(open_unit_interval());
  sub->add_option("--patience", request.patience,
                  "drop the challenger when so many audit rows have not deployed it (default: twice what it expects)")
      ->check(positive());
  sub->add_flag("--drop", request.drop, "drop the challenger now unless it can be deployed");
  add_input_options(*sub, request.source, true);
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
