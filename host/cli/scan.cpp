// Before any training: how much could be handled, where, and what it would save.
#include "engine/study/scan.h"

#include <algorithm>
#include <cerrno>
#include <optional>

#include "host/artifact/frontier_text.h"
#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"
#include "host/cli/split_options.h"
#include "host/encoder/embedding.h"
#include "host/encoder/log_vectors.h"
#include "host/encoder/source.h"
#include "host/io/file.h"
#include "host/report/scan_page.h"
#include "host/report/scan_report.h"

namespace tracer::cli {
namespace {

struct ScanCommand {
  Common common;
  RowSource input;
  FitOptions fit;  // alpha, delta, sweep and split of it
  SplitFlags split;
  CallPrices prices;
  EncoderRun encoder_options;
  std::string output, html;
  bool force = false;

  int run();

 private:
  ScanOptions options() const;
  Status write_page(Backend& backend, const Scan& scanned, const io::TraceFile& log, const Json& document) const;
  std::string rejects_path() const { return input.rejects.empty() ? "rejects.jsonl" : input.rejects; }
};

ScanOptions ScanCommand::options() const {
  ScanOptions o;
  o.alpha = fit.alpha, o.sweep = fit.sweep, o.delta = fit.delta, o.min_coverage = fit.min_coverage;
  o.unit = fit.unit, o.split = fit.split, o.max_references = fit.max_references;
  return o;
}

Status ScanCommand::write_page(Backend& backend, const Scan& scanned, const io::TraceFile& log,
                               const Json& document) const {
  TRACER_ASSIGN_OR_RETURN(auto page, scan_html(backend, scanned, fit.alpha, log, input.traces, document));
  return common.console.write(html, page);
}

std::optional<double> mean_bytes(const std::vector<std::string>& texts) {
  if (texts.empty()) return std::nullopt;
  double bytes = 0;
  for (const std::string& text : texts) bytes += static_cast<double>(text.size());
  return bytes / static_cast<double>(texts.size());
}

int ScanCommand::run() {
  const Console& console = common.console;
  if (const Status usage = read_split_flags(split, fit); !usage.ok()) return usage_error(console, usage.message());
  if (prices.calls_per_day && !prices.in && !prices.out)
    return usage_error(console, "--calls-per-day tells a saving: give --price-in and --price-out too");
  auto vectors = vectors_path(input);
  if (!vectors.ok()) return fail(console, vectors.status());
  if (const std::string given = encoder_options.given(); !vectors->empty() && !given.empty())
    return usage_error(console, as_flags(option(given)) + " is for text, but vectors are given: " + *vectors);
  if (html == "-" && (output == "-" || common.console.json))
    return usage_error(console, "two outputs want standard output; give --html a file");
  const Status clash = check_outputs({{option("output"), output},
                                      {option("html"), html},
                                      {option("rejects"), rejects_path()},
                                      {option("embed_cache"), input.embed.cache}},
                                     {{"TRACES", input.traces}, {option("embeddings"), *vectors}}, "");
  if (!clash.ok()) return fail(console, clash);

  auto backend = open_backend(common);
  if (!backend.ok()) return fail(console, backend.status());
  std::optional<Encoder> encoder;
  if (vectors->empty()) {
    auto opened = open_named_encoder(input, encoder_options, **backend, events_of(console));
    if (!opened.ok()) return fail(console, opened.status());
    encoder.emplace(std::move(opened).value());
  }
  auto log = read_log(input, split.group_by, rejects_path(), true, events_of(console));
  if (!log.ok()) return fail(console, log.status());
  const ScanOptions chosen = options();
  const int64_t fewest = fewest_scan_rows(chosen);
  if (log->traces.rows() < fewest && !force)
    return fail(console, refused(input.traces + ": " + counted(log->traces.rows(), "row") + "; a scan at agreement " +
                                 number(chosen.alpha) + " says something from " + std::to_string(fewest) +
                                 " on (--force scans anyway)"));
  auto read = read_or_embed(*vectors, encoder ? &*encoder : nullptr, *log, input.traces, events_of(console));
  if (!read.ok()) return fail(console, read.status());
  auto scanned = scan(**backend, log->traces, std::move(read->x), chosen);
  if (!scanned.ok()) return fail(console, scanned.status());
  for (const std::string& warning : scanned->warnings) console.warn(warning);
  const Json document = scan_json(*scanned, chosen, *log, prices, mean_bytes(log->input));
  if (!output.empty() && output != "-") {
    const Status written = io::write_file_atomic(output, json_text(document));
    if (!written.ok()) return fail(console, written);
  }
  if (!html.empty()) {
    const Status drawn = write_page(**backend, *scanned, *log, document);
    if (!drawn.ok()) return fail(console, drawn);
  }
  const int code = document.at("certified").get<bool>() ? kExitOk : kExitRefused;
  if (html == "-") return code;
  if (console.json || output == "-") return console.print_json(document, code);
  return console.print(scan_text(document)) ? code : kExitRuntime;
}

}  // namespace

void add_scan(Flags& app, int& exit_code) {
  auto command = std::make_shared<ScanCommand>();
  Flags* sub = app.add_subcommand("scan", "before any training: what could be handled, where, what it would save");
  sub->footer(
      "The vote of the nearest traces stands in for a surrogate, and is tested like one on rows that cast no vote: "
      "what is reported is proved, and a fit usually certifies more. Exit code 3: nothing is proved at --alpha.");
  sub->add_option("TRACES", command->input.traces, "traces: JSONL or CSV, plain or gzip; - for standard input")
      ->required();
  add_input_options(*sub, command->input, true);
  FitOptions& fit = command->fit;
  sub->add_option("--alpha", fit.alpha, "agreement with the teacher to prove")
      ->check(open_unit_interval())
      ->capture_default_str();
  sub->add_option("--sweep", fit.sweep, "further agreements to look at")
      ->delimiter(',')
      ->check(open_unit_interval())
      ->capture_default_str();
  sub->add_option("--delta", fit.delta, "chance that you accept that a proof is wrong")
      ->check(open_unit_interval())
      ->capture_default_str();
  add_split_options(*sub, command->split, fit);
  sub->add_option("--seed", fit.split.seed, "of the split")->capture_default_str();
  const auto money = in_range(0.0, 1e9);
  sub->add_option("--price-in", command->prices.in, "USD a million tokens that the LLM reads")->check(money);
  sub->add_option("--price-out", command->prices.out, "USD a million tokens that it writes")->check(money);
  sub->add_option("--tokens-in", command->prices.tokens_in, "tokens of a call, the prompt among them")->check(money);
  sub->add_option("--tokens-out", command->prices.tokens_out, "tokens of an answer")->check(money);
  sub->add_option("--calls-per-day", command->prices.calls_per_day, "of your traffic")->check(in_range(0.0, 1e15));
  add_local_encoder_options(*sub, command->encoder_options);
  sub->add_flag("--force", command->force, "scan a log that is too short to prove much");
  sub->add_option("-o,--output", command->output, "write the JSON document to this file (-: standard output)");
  sub->add_option("--html", command->html,
                  "write a page for a browser: figures, a map of the cells; - for standard output");
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
