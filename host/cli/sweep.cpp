#include "engine/study/sweep.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <optional>

#include "host/artifact/ledger.h"
#include "host/cli/command.h"
#include "host/cli/descriptions.h"
#include "host/cli/embedding.h"
#include "host/cli/flags.h"
#include "host/cli/inputs.h"
#include "host/cli/labelled_log.h"
#include "host/cli/member_options.h"
#include "host/cli/progress.h"
#include "host/cli/split_options.h"
#include "host/cli/sweep_input.h"
#include "host/cli/sweep_report.h"
#include "host/cli/tables.h"
#include "host/cli/usage.h"
#include "host/io/output_stream.h"
#include "host/sweep/chart.h"
#include "host/sweep/csv.h"
#include "host/sweep/run_json.h"
#include "host/sweep/schedule.h"
#include "host/sweep/state.h"
#include "kernels/device_name.h"
#include "tracer_version.h"

namespace tracer::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct SweepCommand {
  Common common;
  InputOptions input, test;
  FitOptions fit;
  SplitFlags split;
  MemberFlags members;
  LocalEncoderOptions encoder_options;
  DescriptionOptions description_options;
  int64_t seeds = 5, first_seed = 0;
  int jobs = 1;
  std::optional<std::string> curve;  // as given
  std::optional<double> target;
  std::string csv, json_file, svg, state_file;

  int run();

 private:
  std::string check_usage(const std::string& vectors, const std::string& test_vectors) const;
  Json config(const Backend& backend) const;
  Result<Workers> workers_of(Backend& given, std::unique_ptr<Backend>& own) const;
  Status fit_all(const Workers& workers, std::optional<SweepState>& state);
  Json document(const Backend& backend, const std::vector<SweepCell>& cells, const std::vector<AlphaCurve>& curves,
                double total) const;
  int report(const Backend& backend, double total) const;
  std::vector<FileUse> outputs() const {
    return {{"--csv", csv},          {"--json-file", json_file},    {"--svg", svg},
            {"--state", state_file}, {"--rejects", rejects_path()}, {"--embed-cache", input.embed.cache}};
  }
  std::string rejects_path() const { return input.rejects.empty() ? "rejects.jsonl" : input.rejects; }

  io::TraceFile log_;
  LogVectors vectors_;
  Descriptions descriptions_;
  std::optional<TestLog> test_;
  std::vector<int64_t> sizes_;  // ascending; the last one is all rows
  std::vector<SweepRun> runs_;  // by size, then seed
  double read_seconds_ = 0;
};

// A picture or table is whole or absent; what is no file (a pipe) is written as it comes.
Status write_text(const std::string& path, const std::string& text) {
  if (path.empty()) return {};
  if (makes_regular_file(path)) return io::write_file_atomic(path, text);
  TRACER_ASSIGN_OR_RETURN(auto out, io::OutputStream::open(path));
  TRACER_RETURN_IF_ERROR(out.write_line(std::string_view(text).substr(0, text.size() - 1)));
  return out.close();
}

// Before hours of fitting, not after: can that file be made?
Status check_writable(const std::string& path) {
  return makes_regular_file(path) ? io::AtomicFile::create(path).status() : Status();
}

// "" or a usage error in words.
std::string SweepCommand::check_usage(const std::string& vectors, const std::string& test_vectors) const {
  if (const std::string given = encoder_options.given(); !vectors.empty() && !given.empty())
    return given + " is for text, but vectors are given: " + vectors;
  if (state_file == "-") return "--state: name a file";
  if (input.traces == "-" && test.traces == "-") return "TRACES and --test cannot both be standard input";
  int to_stdout = common.console.json;
  for (const std::string* path : {&csv, &json_file, &svg}) to_stdout += *path == "-";
  if (to_stdout > 1) return "standard output can carry one thing: --json, or one output called -";
  std::vector<FileUse> inputs = {{"TRACES", input.traces},
                                 {"--embeddings", vectors},
                                 {"--test", test.traces},
                                 {"--test-embeddings", test_vectors}};
  for (const FileUse& use : description_options.inputs()) inputs.push_back(use);
  return check_outputs(outputs(), inputs, "");
}

// Everything but the sizes and seeds that decides a run.
Json SweepCommand::config(const Backend& backend) const {
  Json config = {{"log", log_.sha256},
                 {"rows_and_vectors", log_digest(log_.traces, vectors_.x)},
                 {"test", test_ ? test_->digest : ""},
                 {"alphas", fit.sweep},
                 {"delta", fit.delta},
                 {"simultaneous", fit.simultaneous},
                 {"min_coverage", fit.min_coverage},
                 {"approximate", fit.approximate},
                 {"split", to_string(fit.split.kind)},
                 {"group_by", split.group_by},
                 {"unit", split.unit},
                 {"certify_fraction", fit.split.certify_fraction},
                 {"folds", fit.split.folds},
                 {"device", std::string(backend.name()) + " " + std::string(backend.isa())},
                 {"build", TRACER_VERSION " " TRACER_GIT_SHA}};
  add_choices(fit.choices, config);
  if (fit.descriptions != nullptr) config["descriptions"] = descriptions_digest(*fit.descriptions);
  return config;
}

Status SweepCommand::fit_all(const Workers& workers, std::optional<SweepState>& state) {
  std::map<std::pair<int64_t, uint64_t>, SweepRun> finished;
  if (state)
    for (const SweepRun& run : state->runs()) {
      if (run.points.size() != fit.sweep.size())
        return bad_input(state_file + ": expected " + std::to_string(fit.sweep.size()) + " points a fit, found " +
                         std::to_string(run.points.size()));
      finished.insert_or_assign({run.traces, run.seed}, run);
    }
  std::vector<SweepTask> tasks;
  std::vector<size_t> place;    // of a task's run
  double left = 0, fitted = 0;  // the time of a fit is taken to grow with its rows
  const auto total = sizes_.size() * static_cast<size_t>(seeds);
  runs_.resize(total);
  for (size_t at = 0; at < total; ++at) {
    const SweepTask task{sizes_[at / static_cast<size_t>(seeds)],
                         static_cast<uint64_t>(first_seed) + at % static_cast<size_t>(seeds)};
    if (const auto known = finished.find({task.traces, task.seed}); known != finished.end()) {
      runs_[at] = known->second;
      continue;
    }
    tasks.push_back(task), place.push_back(at);
    left += static_cast<double>(task.traces);
  }
  const auto start = Clock::now();
  size_t done = total - tasks.size();
  const auto one = [&](Backend& worker, const SweepTask& task) {
    FitOptions options = fit;
    options.split.seed = task.seed;
    return sweep_run(worker, log_.traces, vectors_.x, test_ ? &test_->rows : nullptr, task.traces, options);
  };
  const auto ended = [&](size_t at, SweepRun run) -> Status {
    if (state) TRACER_RETURN_IF_ERROR(state->append(run));
    runs_[place[at]] = std::move(run);
    const auto n = static_cast<double>(tasks[at].traces);
    left -= n, fitted += n;
    common.console.note("fit " + std::to_string(++done) + " of " + std::to_string(total) + ": " +
                        counted(tasks[at].traces, "trace") + ", seed " + std::to_string(tasks[at].seed) +
                        (left > 0 ? "; about " + duration(seconds_since(start) * left / fitted) + " left" : ""));
    return {};
  };
  TRACER_RETURN_IF_ERROR(run_tasks(workers, tasks, one, ended));
  if (const size_t known = total - tasks.size(); known > 0)
    common.console.note(counted(static_cast<int64_t>(known), "fit") + " taken from " + state_file);
  return {};
}

// GPUs from the one chosen on, or equal shares of the CPU's threads. own: holds the first where it is not the given
// one.
Result<Workers> SweepCommand::workers_of(Backend& given, std::unique_ptr<Backend>& own) const {
  const std::optional<int> gpu = cuda_device(given.name());
  const int threads = std::max(1, given.threads() / jobs);
  const auto make = [gpu, threads, this](int n) {
    auto made = gpu ? make_backend({"cuda:" + std::to_string(*gpu + n), common.threads, ""})
                    : make_backend({"cpu", threads, ""});
    if (!made.ok()) made = device_error("--jobs " + std::to_string(jobs) + ": " + made.status().message());
    return made;
  };
  if (gpu || jobs == 1) return Workers{given, jobs, make};
  TRACER_ASSIGN_OR_RETURN(own, make(0));
  return Workers{*own, jobs, make};
}

Json SweepCommand::document(const Backend& backend, const std::vector<SweepCell>& cells,
                            const std::vector<AlphaCurve>& curves, double total) const {
  Json runs = Json::array(), seed_list = Json::array();
  std::map<std::string, double> phases;
  for (const SweepRun& run : runs_) {
    runs.push_back(run_json(run));
    for (const auto& [phase, value] : run.seconds) phases[phase] += value;
  }
  for (int64_t s = 0; s < seeds; ++s) seed_list.push_back(first_seed + s);
  Json seconds = {{"read", read_seconds_}};
  for (const auto& [phase, value] : phases) seconds[phase] = value;
  seconds["total"] = total;
  return {{"rows", log_.traces.rows()},
          {"labels", log_.traces.labels.size()},
          {"test_rows", test_ ? Json(test_->rows.rows()) : Json(nullptr)},
          {"device", std::string(backend.name()) + " " + std::string(backend.isa())},
          {"threads", backend.threads()},
          {"jobs", jobs},
          {"delta", fit.delta},
          {"seeds", std::move(seed_list)},
          {"sizes", sizes_},
          {"summary", summary_json(cells)},
          {"learning_curves", curves_json(curves, sizes_.back())},
          {"runs", std::move(runs)},
          {"seconds", std::move(seconds)},
          {"peak_memory_bytes", peak_memory_bytes()}};
}

int SweepCommand::report(const Backend& backend, double total) const {
  const Console& console = common.console;
  for (const SweepRun& run : runs_) {  // the other seeds say the same of the same log
    if (run.traces != sizes_.back()) continue;
    for (const std::string& warning : run.warnings) console.warn(warning);
    break;
  }
  const auto cells = summarise(runs_);
  const auto curves = sizes_.size() > 1 ? learning_curves(runs_, target) : std::vector<AlphaCurve>();
  const Json json = document(backend, cells, curves, total);
  const std::string name = std::filesystem::path(input.traces).filename().string();
  const std::string title =
      shown(name) + ", delta " + number(fit.delta) +
      (test_ ? ", coverage on " + shown(std::filesystem::path(test.traces).filename().string()) : "");
  for (const Status& written : {write_text(csv, sweep_csv(runs_)), write_text(svg, sweep_svg(title, cells, curves)),
                                write_text(json_file, json_text(json))})
    if (!written.ok()) return fail(console, written);
  if (console.json) return console.print_json(json, kExitOk);
  if (csv == "-" || svg == "-" || json_file == "-") return kExitOk;
  console.note("peak memory " + std::to_string(json["peak_memory_bytes"].get<int64_t>() >> 20) + " MiB, " +
               duration(total) + " in all");
  return console.print(sweep_table(cells, curves, test_.has_value())) ? kExitOk : kExitRuntime;
}

int SweepCommand::run() {
  const Console& console = common.console;
  const auto started = Clock::now();
  if (const Status usage = read_split_flags(split, fit); !usage.ok()) return usage_error(console, usage.message());
  if (const Status known = read_members(members, fit); !known.ok()) return usage_error(console, known.message());
  auto parsed = parse_curve(curve);
  if (!parsed.ok()) return usage_error(console, parsed.status().message());
  const CurveSizes asked = std::move(parsed).value();
  if (target && !curve) return usage_error(console, "--target-coverage is for learning curves: give --curve too");
  if (!test.embeddings.empty() && test.traces.empty()) return usage_error(console, "--test-embeddings needs --test");
  // Rows or runs are decided once for all alphas, at one of them.
  fit.sweep = distinct_alphas(std::move(fit.sweep));
  const auto usual = std::find(fit.sweep.begin(), fit.sweep.end(), FitOptions().alpha);
  fit.alpha = usual != fit.sweep.end() ? *usual : fit.sweep[fit.sweep.size() / 2];

  auto backend = open_backend(common);
  if (!backend.ok()) return fail(console, backend.status());
  auto vectors = vectors_path(input);
  if (!vectors.ok()) return fail(console, vectors.status());
  // How rows are read is the same for both logs.
  const std::string test_traces = test.traces, test_embeddings = test.embeddings;
  test = input;
  test.traces = test_traces, test.embeddings = test_embeddings;
  Result<std::string> test_vectors = std::string();
  if (!test.traces.empty()) test_vectors = vectors_path(test);
  if (!test_vectors.ok()) return fail(console, test_vectors.status());
  if (const std::string wrong = check_usage(*vectors, *test_vectors); !wrong.empty())
    return usage_error(console, wrong);
  for (const std::string* path : {&csv, &json_file, &svg})
    if (const Status writable = check_writable(*path); !writable.ok()) return fail(console, writable);

  std::optional<Encoder> encoder;
  if (vectors->empty()) {
    auto opened = open_named_encoder(input, encoder_options, **backend, console);
    if (!opened.ok()) return fail(console, opened.status());
    encoder.emplace(std::move(opened).value());
  }
  const Encoder* embeds = encoder ? &*encoder : nullptr;
  auto file = read_log(input, split.group_by, rejects_path(), encoder.has_value(), console);
  if (!file.ok()) return fail(console, file.status());
  log_ = std::move(file).value();
  auto x = read_or_embed(*vectors, embeds, log_, input.traces, console);
  if (!x.ok()) return fail(console, x.status());
  vectors_ = std::move(x).value();
  if (!test.traces.empty()) {
    auto read =
        read_test(**backend, test, *test_vectors, {log_.traces.labels, vectors_, input.traces}, embeds, console);
    if (!read.ok()) return fail(console, read.status());
    test_.emplace(std::move(read).value());
  }
  sizes_ = sweep_sizes(asked, log_.traces.rows(), console);
  const double least_share = static_cast<double>(sizes_.front()) / static_cast<double>(log_.traces.rows());
  auto descriptions =
      read_descriptions(**backend, description_options, input, {log_.traces.labels, vectors_, input.traces},
                        may_need_names(log_.traces, (1 - fit.split.certify_fraction) * least_share), embeds, console);
  if (!descriptions.ok()) return fail(console, descriptions.status());
  descriptions_ = std::move(descriptions).value();
  if (!descriptions_.empty()) fit.descriptions = &descriptions_;
  read_seconds_ = seconds_since(started);

  std::optional<SweepState> state;
  if (!state_file.empty()) {
    auto opened = SweepState::open(state_file, config(**backend));
    if (!opened.ok())
      return opened.status().code() == ErrorCode::kBadInput ? usage_error(console, opened.status().message())
                                                            : fail(console, opened.status());
    state.emplace(std::move(opened).value());
  }
  std::unique_ptr<Backend> own;
  auto workers = workers_of(**backend, own);
  if (!workers.ok()) return fail(console, workers.status());
  if (const Status fitted = fit_all(*workers, state); !fitted.ok()) return fail(console, fitted);
  return report(**backend, seconds_since(started));
}

}  // namespace

void add_sweep(Flags& app, int& exit_code) {
  auto command = std::make_shared<SweepCommand>();
  Flags* sub = app.add_subcommand("sweep", "benchmark: coverage against alpha over several seeds and sizes of the log");
  sub->footer(
      "For benchmarks: no policy is written and no ledger is kept. Whoever looks at several seeds and then fits the "
      "best "
      "one has no certificate; name alpha and seed, and run fit once.");
  sub->add_option("TRACES", command->input.traces, "traces: JSONL or CSV, plain or gzip; - for standard input")
      ->required();
  add_input_options(*sub, command->input, true);
  sub->add_option("--test", command->test.traces,
                  "fresh labelled rows, read alike: coverage and agreement are measured on them");
  sub->add_option("--test-embeddings", command->test.embeddings, "vectors of --test (default: as for TRACES)");
  FitOptions& fit = command->fit;
  sub->add_option("--alphas", fit.sweep, "agreements with the teacher to certify")
      ->delimiter(',')
      ->check(open_unit_interval())
      ->capture_default_str();
  sub->add_option("--seeds", command->seeds, "how many seeds")->check(in_range(1, 10000))->capture_default_str();
  sub->add_option("--seed", command->first_seed, "the first of them; the others follow")
      ->check(in_range(int64_t{0}, int64_t{1} << 53))
      ->capture_default_str();
  sub->add_option("--curve", command->curve,
                  "learning curve: numbers of traces (500,1000,...) or auto; all rows always join");
  sub->add_option("--target-coverage", command->target,
                  "how many more traces for this coverage (default: half of the way to the plateau)")
      ->check(open_unit_interval());
  sub->add_option("--delta", fit.delta, "chance of a false certificate that you accept, for each fit and alpha")
      ->check(open_unit_interval())
      ->capture_default_str();
  add_split_options(*sub, command->split, fit);
  add_member_options(*sub, command->members);
  sub->add_option("--min-coverage", fit.min_coverage, "a policy that would handle less is refused")
      ->check(unit_interval())
      ->capture_default_str();
  sub->add_flag("--simultaneous", fit.simultaneous, "the targets of a fit hold together, at delta / their number each");
  sub->add_flag("--approximate", fit.approximate, "where runs do not certify exactly, use a design effect");
  add_local_encoder_options(*sub, command->encoder_options);
  add_description_options(*sub, command->description_options);
  sub->add_option("--csv", command->csv,
                  "write a line for each size, seed and alpha to this file (-: standard output)");
  sub->add_option("--json-file", command->json_file, "write the JSON document to this file");
  sub->add_option("--svg", command->svg, "draw coverage against alpha, and the learning curves, to this file");
  sub->add_option("--state", command->state_file,
                  "keep finished fits in this file, and take over those it has: a sweep that was stopped goes on");
  sub->add_option(
         "--jobs", command->jobs,
         "fits at a time: on GPUs one each, from --device's on; on the CPU with an equal share of the threads. "
         "Each needs its memory; results are the same")
      ->check(in_range(1, 1024))
      ->capture_default_str();
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
