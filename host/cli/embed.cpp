#include "host/api/embed.h"

#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"

namespace tracer::cli {
namespace {

struct EmbedCommand {
  Common common;
  EmbedRequest request;

  int run() const;
};

int EmbedCommand::run() const {
  const Console& console = common.console;
  const auto device = open_device(common);
  if (!device.ok()) return fail(console, device.status());
  const auto report = embed_file(*device, request, events_of(console));
  if (!report.ok()) return fail(console, report.status());
  const int code = report->bad_rows > 0 ? kExitPartial : kExitOk;
  return console.json ? print_result(console, report->document, code) : code;
}

}  // namespace

void add_embed(Flags& app, int& exit_code) {
  auto command = std::make_shared<EmbedCommand>();
  Flags* sub = app.add_subcommand("embed", "make a vector of each row's text: .npy, for fit, evaluate and route");
  sub->add_option("IN", command->request.source.traces, "rows: JSONL or CSV, plain or gzip; - for standard input")
      ->required();
  sub->add_option("-o,--output", command->request.output, "vectors: .npy, float32, one unit row a data line")
      ->required();
  add_row_options(*sub, command->request.source, false);
  add_local_encoder_options(*sub, command->request.encoder);
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
