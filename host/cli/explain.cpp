// Why a policy handles and why it defers, on rows that it never learned from.
#include <optional>

#include "engine/log/label_index.h"
#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"
#include "host/explain/explained.h"
#include "host/explain/text.h"
#include "host/io/file.h"
#include "host/io/output_stream.h"

namespace tracer::cli {
namespace {

struct ExplainCommand {
  Common common;
  PolicyOptions policy;
  ExplainSource source;
  std::optional<std::string> label, output;
  std::string rows_path;

  int run();
  std::string usage_fault() const;
  Status explain(const LoadedPolicy& loaded, Json& document) const;
  Status write_rows(const Explanation& e) const;
  std::string output_path() const { return output.value_or(common.console.json ? "" : "explain.json"); }
};

Status ExplainCommand::write_rows(const Explanation& e) const {
  TRACER_ASSIGN_OR_RETURN(auto out, io::OutputStream::open(rows_path));
  for (int64_t i = 0; i < static_cast<int64_t>(e.rows.size()); ++i)
    TRACER_RETURN_IF_ERROR(
        out.write_line(explained_row_json(e, i).dump(-1, ' ', false, Json::error_handler_t::replace)));
  return out.close();
}

Status ExplainCommand::explain(const LoadedPolicy& loaded, Json& document) const {
  const Policy& p = loaded.artifact.policy;
  int32_t wanted = -1;
  if (label) {
    wanted = label_index(p.labels, *label);
    if (wanted < 0) return bad_input("--label: " + loaded.folder + " knows no label \"" + shown(*label) + "\"");
  }
  TRACER_ASSIGN_OR_RETURN(auto backend, open_backend(common));
  TRACER_ASSIGN_OR_RETURN(auto explained, explain_unseen(*backend, loaded, source, events_of(common.console)));
  if (!rows_path.empty()) TRACER_RETURN_IF_ERROR(write_rows(explained.explanation));
  if (label) keep_label(explained.explanation, wanted);
  document = explain_document(explained, label ? Json(*label) : Json(nullptr));
  if (output_path().empty() || output_path() == "-") return {};
  return io::write_file_atomic(output_path(), json_text(document));
}

std::string ExplainCommand::usage_fault() const {
  if (common.console.json && (output_path() == "-" || rows_path == "-"))
    return "--json and a - for an output both want standard output; name a file";
  return "";
}

int ExplainCommand::run() {
  const Console& console = common.console;
  if (const std::string fault = usage_fault(); !fault.empty()) return usage_error(console, fault);
  auto loaded = open_to_explain(policy, source, {{option("output"), output_path()}, {option("rows"), rows_path}});
  if (!loaded.ok()) return fail(console, loaded.status());
  Json document;
  if (const Status done = explain(*loaded, document); !done.ok()) return fail(console, done);
  if (console.json || output_path() == "-") return console.print_json(document, kExitOk);
  const std::string text = explain_text(document) + "all of it in " + shown(output_path()) + "\n";
  if (rows_path != "-") return console.print(text) ? kExitOk : kExitRuntime;
  console.note_lines(text);  // standard output holds the rows
  return kExitOk;
}

}  // namespace

void add_explain(Flags& app, int& exit_code) {
  auto command = std::make_shared<ExplainCommand>();
  Flags* sub = app.add_subcommand("explain", "why a policy handles and why it defers, on rows it never learned from");
  add_policy_options(*sub, command->policy);
  add_explain_source(*sub, command->source);
  sub->add_option("--label", command->label, "only rows that the teacher or the surrogate gives this label");
  sub->add_option("-o,--output", command->output,
                  "file of the whole explanation; - for standard output (default: explain.json; with --json none)");
  sub->add_option("--rows", command->rows_path, "write a JSON line for each row to this file; - for standard output");
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
