#include "host/api/inspect.h"

#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"

namespace tracer::cli {
namespace {

struct InspectCommand {
  Common common;
  InspectRequest request;

  int run() const;
};

int InspectCommand::run() const {
  const Console& console = common.console;
  const auto device = open_device(common);
  if (!device.ok()) return fail(console, device.status());
  const auto found = inspect_input(*device, request, events_of(console));
  return found.ok() ? print_result(console, found->document, kExitOk) : fail(console, found.status());
}

}  // namespace

void add_inspect(Flags& app, int& exit_code) {
  auto command = std::make_shared<InspectCommand>();
  Flags* sub = app.add_subcommand("inspect", "why one row is handled or deferred");
  add_policy_options(*sub, command->request.policy);
  Flag* row = sub->add_option("--row", command->request.row, "row of the vector file, from 0");
  row->check(not_negative());
  Flag* embeddings = sub->add_option("--embeddings", command->request.source.embeddings, "vectors: .npy");
  Flag* text = sub->add_option("--text", command->request.text, "text, embedded by the policy's encoder");
  Flag* model = sub->add_option("--embed-model", command->request.source.encoder,
                                "folder of that encoder, or name of the server's model");
  add_embed_options(*sub, command->request.source.embed);
  row->needs(embeddings), embeddings->needs(row), model->needs(text);
  text->excludes(row)->excludes(embeddings);
  sub->finish([row, text] {
    return std::string(row->empty() && text->empty() ? "--text TEXT, or --row N with --embeddings FILE is required"
                                                     : "");
  });
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
