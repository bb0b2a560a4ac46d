#include "host/api/sweep.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include "engine/study/sweep.h"
#include "host/api/fit_request.h"
#include "host/api/log_access.h"
#include "host/artifact/look_ledger.h"
#include "host/encoder/label_descriptions.h"
#include "host/io/file.h"
#include "host/io/json_format.h"
#include "host/io/output_stream.h"
#include "host/io/plain_text.h"
#include "host/io/process_usage.h"
#include "host/sweep/chart.h"
#include "host/sweep/csv.h"
#include "host/sweep/input.h"
#include "host/sweep/run_json.h"
#include "host/sweep/schedule.h"
#include "host/sweep/state.h"
#include "host/sweep/table.h"
#include "kernels/device_name.h"
#include "tracer_version.h"

namespace tracer {
namespace {

using Clock = std::chrono::steady_clock;

class LogSweep {
 public:
  LogSweep(Backend& backend, const SweepRequest& request, const Events& events)
      : backend_(backend), request_(request), events_(events) {}

  Result<SweepReport> run();

 private:
  Status check_request();
  Status check_files(const std::string& vectors, const std::string& test_vectors) const;
  Status read(const std::string& vectors, const std::string& test_vectors);
  Json config() const;
  Result<Workers> workers_of(std::unique_ptr<Backend>& own) const;
  Status fit_all(const Workers& workers, std::optional<SweepState>& state);
  Json document(const std::vector<SweepCell>& cells, const std::vector<AlphaCurve>& curves, double total) const;
  Result<SweepReport> report(double total) const;
  const std::string& traces() const { return request_.source.rows.traces; }
  std::vector<FileUse> outputs() const;

  Backend& backend_;
  const SweepRequest& request_;
  const Events& events_;
  const Clock::time_point started_ = Clock::now();
  FitOptions fit_;
  CurveSizes asked_;
  RowSource test_rows_;
  std::unique_ptr<Log::State> log_;
  Descriptions descriptions_;
  std::optional<TestLog> test_;
  std::vector<int64_t> sizes_;  // ascending; the last one is all rows
  std::vector<SweepRun> runs_;  // by size, then seed
  int64_t taken_over_ = 0;
  double read_seconds_ = 0;
};

std::vector<FileUse> LogSweep::outputs() const {
  return {{option("csv"), request_.csv},
          {option("json_file"), request_.json_file},
          {option("svg"), request_.svg},
          {option("state"), request_.state},
          {option("rejects"), rejects_of(request_.source.rows)},
          {option("embed_cache"), request_.source.rows.embed.cache}};
}

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

Status LogSweep::check_files(const std::string& vectors, const std::string& test_vectors) const {
  if (request_.state == "-") return bad_option("state", option("state") + ": name a file");
  if (traces() == "-" && request_.test == "-")
    return bad_option("test", "TRACES and " + option("test") + " cannot both be standard input");
  int to_stdout = 0;
  for (const std::string* path : {&request_.csv, &request_.json_file, &request_.svg}) to_stdout += *path == "-";
  if (to_stdout > 1)
    return bad_option("csv", "standard output can carry one thing: " + option("json") + ", or one output called -");
  std::vector<FileUse> inputs = {{"TRACES", traces()},
                                 {option("embeddings"), vectors},
                                 {option("test"), request_.test},
                                 {option("test_embeddings"), test_vectors}};
  for (const FileUse& use : description_files(request_.surrogate.descriptions)) inputs.push_back(use);
  TRACER_RETURN_IF_ERROR(check_outputs(outputs(), inputs, ""));
  for (const std::string* path : {&request_.csv, &request_.json_file, &request_.svg})
    TRACER_RETURN_IF_ERROR(check_writable(*path));
  return {};
}

// Everything but the sizes and seeds that decides a run.
Json LogSweep::config() const {
  Json config = {{"log", log_->file.sha256},
                 {"rows_and_vectors", log_digest(log_->file.traces, log_->vectors.x)},
                 {"test", test_ ? test_->digest : ""},
                 {"alphas", fit_.sweep},
                 {"delta", fit_.delta},
                 {"simultaneous", fit_.simultaneous},
                 {"min_coverage", fit_.min_coverage},
                 {"approximate", fit_.approximate},
                 {"split", to_string(fit_.split.kind)},
                 {"group_by", request_.source.group_by},
                 {"unit", request_.split.unit},
                 {"certify_fraction", fit_.split.certify_fraction},
                 {"folds", fit_.split.folds},
                 {"device", std::string(backend_.name()) + " " + std::string(backend_.isa())},
                 {"build", TRACER_VERSION " " TRACER_GIT_SHA}};
  add_choices(fit_.choices, config);
  if (fit_.descriptions != nullptr) config["descriptions"] = descriptions_digest(*fit_.descriptions);
  return config;
}

Status LogSweep::fit_all(const Workers& workers, std::optional<SweepState>& state) {
  std::map<std::pair<int64_t, uint64_t>, SweepRun> finished;
  if (state)
    for (const SweepRun& run : state->runs()) {
      if (run.points.size() != fit_.sweep.size())
        return bad_input(request_.state + ": expected " + std::to_string(fit_.sweep.size()) + " points a fit, found " +
                         std::to_string(run.points.size()));
      finished.insert_or_assign({run.traces, run.seed}, run);
    }
  std::vector<SweepTask> tasks;
  std::vector<size_t> place;    // of a task's run
  double left = 0, fitted = 0;  // the time of a fit is taken to grow with its rows
  const auto total = sizes_.size() * static_cast<size_t>(request_.seeds);
  runs_.resize(total);
  for (size_t at = 0; at < total; ++at) {
    const SweepTask task{sizes_[at / static_cast<size_t>(request_.seeds)],
                         static_cast<uint64_t>(request_.first_seed) + at % static_cast<size_t>(request_.seeds)};
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
    FitOptions options = fit_;
    options.split.seed = task.seed;
    auto run =
        sweep_run(worker, log_->file.traces, log_->vectors.x, test_ ? &test_->rows : nullptr, task.traces, options);
    if (run.ok())  // the state and the document hold them
      for (std::string& warning : run->warnings) warning = as_flags(warning);
    return run;
  };
  const auto ended = [&](size_t at, SweepRun run) -> Status {
    if (state) TRACER_RETURN_IF_ERROR(state->append(run));
    runs_[place[at]] = std::move(run);
    const auto n = static_cast<double>(tasks[at].traces);
    left -= n, fitted += n;
    events_.tell("fit " + std::to_string(++done) + " of " + std::to_string(total) + ": " +
                 counted(tasks[at].traces, "trace") + ", seed " + std::to_string(tasks[at].seed) +
                 (left > 0 ? "; about " + duration(seconds_since(start) * left / fitted) + " left" : ""));
    return {};
  };
  TRACER_RETURN_IF_ERROR(run_tasks(workers, tasks, one, ended));
  if (taken_over_ = static_cast<int64_t>(total - tasks.size()); taken_over_ > 0)
    events_.tell(counted(taken_over_, "fit") + " taken from " + request_.state);
  return {};
}

// GPUs from the one chosen on, or equal shares of the CPU's threads. own: holds the first where it is not the given
// one.
Result<Workers> LogSweep::workers_of(std::unique_ptr<Backend>& own) const {
  const std::optional<int> gpu = cuda_device(backend_.name());
  const int threads = std::max(1, backend_.threads() / request_.jobs);
  const auto make = [gpu, threads, this](int n) {
    auto made = gpu ? make_backend({"cuda:" + std::to_string(*gpu + n), backend_.threads(), ""})
                    : make_backend({"cpu", threads, ""});
    if (!made.ok())
      made = device_error(option("jobs") + " " + std::to_string(request_.jobs) + ": " + made.status().marked_message());
    return made;
  };
  if (gpu || request_.jobs == 1) return Workers{backend_, request_.jobs, make};
  TRACER_ASSIGN_OR_RETURN(own, make(0));
  return Workers{*own, request_.jobs, make};
}

Json LogSweep::document(const std::vector<SweepCell>& cells, const std::vector<AlphaCurve>& curves,
                        double total) const {
  Json runs = Json::array(), seed_list = Json::array();
  std::map<std::string, double> phases;
  for (const SweepRun& run : runs_) {
    runs.push_back(run_json(run));
    for (const auto& [phase, value] : run.seconds) phases[phase] += value;
  }
  for (int64_t s = 0; s < request_.seeds; ++s) seed_list.push_back(request_.first_seed + s);
  Json seconds = {{"read", read_seconds_}};
  for (const auto& [phase, value] : phases) seconds[phase] = value;
  seconds["total"] = total;
  return {{"rows", log_->file.traces.rows()},
          {"labels", log_->file.traces.labels.size()},
          {"test_rows", test_ ? Json(test_->rows.rows()) : Json(nullptr)},
          {"device", std::string(backend_.name()) + " " + std::string(backend_.isa())},
          {"threads", backend_.threads()},
          {"jobs", request_.jobs},
          {"delta", fit_.delta},
          {"seeds", std::move(seed_list)},
          {"sizes", sizes_},
          {"summary", summary_json(cells)},
          {"learning_curves", curves_json(curves, sizes_.back())},
          {"runs", std::move(runs)},
          {"seconds", std::move(seconds)},
          {"peak_memory_bytes", peak_memory_bytes()}};
}

Result<SweepReport> LogSweep::report(double total) const {
  for (const SweepRun& run : runs_) {  // the other seeds say the same of the same log
    if (run.traces != sizes_.back()) continue;
    for (const std::string& warning : run.warnings) events_.caution(warning);
    break;
  }
  const auto cells = summarise(runs_);
  const auto curves = sizes_.size() > 1 ? learning_curves(runs_, request_.target) : std::vector<AlphaCurve>();
  const Json json = document(cells, curves, total);
  const auto file_name = [](const std::string& path) { return std::filesystem::path(path).filename().string(); };
  const std::string title = shown(file_name(traces())) + ", delta " + number(fit_.delta) +
                            (test_ ? ", coverage on " + shown(file_name(request_.test)) : "");
  SweepReport report{
      static_cast<int64_t>(runs_.size()), taken_over_, total, json["peak_memory_bytes"].get<int64_t>(), {}};
  report.document = {json_text(json), sweep_table(cells, curves, test_.has_value())};
  for (const Status& written :
       {write_text(request_.csv, sweep_csv(runs_)), write_text(request_.svg, sweep_svg(title, cells, curves)),
        write_text(request_.json_file, report.document.json)})
    TRACER_RETURN_IF_ERROR(written);
  return report;
}

Status LogSweep::check_request() {
  TRACER_RETURN_IF_ERROR(read_split(request_.split, request_.source.group_by, fit_));
  TRACER_RETURN_IF_ERROR(read_surrogate(request_.surrogate, fit_));
  fit_.delta = request_.delta, fit_.min_coverage = request_.min_coverage;
  fit_.simultaneous = request_.simultaneous, fit_.approximate = request_.approximate;
  TRACER_ASSIGN_OR_RETURN(asked_, parse_curve(request_.curve));
  if (request_.target && !request_.curve)
    return bad_option("target_coverage",
                      option("target_coverage") + " is for learning curves: give " + option("curve") + " too");
  if (!request_.test_embeddings.empty() && request_.test.empty())
    return bad_option("test_embeddings", option("test_embeddings") + " needs " + option("test"));
  // Rows or runs are decided once for all alphas, at one of them.
  fit_.sweep = distinct_alphas(request_.alphas);
  const auto usual = std::find(fit_.sweep.begin(), fit_.sweep.end(), FitOptions().alpha);
  fit_.alpha = usual != fit_.sweep.end() ? *usual : fit_.sweep[fit_.sweep.size() / 2];
  // How rows are read is the same for both logs.
  test_rows_ = request_.source.rows;
  test_rows_.traces = request_.test, test_rows_.embeddings = request_.test_embeddings;
  return {};
}

Status LogSweep::read(const std::string& vectors, const std::string& test_vectors) {
  TRACER_ASSIGN_OR_RETURN(log_, read_log_rows(backend_, request_.source, vectors, events_));
  TRACER_RETURN_IF_ERROR(read_log_vectors(*log_, events_));
  const Traces& traces_read = log_->file.traces;
  const LearnedLog learned{traces_read.labels, log_->vectors, traces()};
  if (!request_.test.empty()) {
    TRACER_ASSIGN_OR_RETURN(test_, read_test(backend_, test_rows_, test_vectors, learned, log_->embeds(), events_));
  }
  sizes_ = sweep_sizes(asked_, traces_read.rows(), events_);
  const double least_share = static_cast<double>(sizes_.front()) / static_cast<double>(traces_read.rows());
  TRACER_ASSIGN_OR_RETURN(
      descriptions_, read_descriptions(backend_, request_.surrogate.descriptions, request_.source.rows, learned,
                                       may_need_names(traces_read, (1 - fit_.split.certify_fraction) * least_share),
                                       log_->embeds(), events_));
  if (!descriptions_.empty()) fit_.descriptions = &descriptions_;
  read_seconds_ = seconds_since(started_);
  return {};
}

Result<SweepReport> LogSweep::run() {
  TRACER_RETURN_IF_ERROR(check_request());
  TRACER_ASSIGN_OR_RETURN(const std::string vectors, find_vectors(request_.source));
  std::string test_vectors;
  if (!request_.test.empty()) {
    TRACER_ASSIGN_OR_RETURN(test_vectors, vectors_path(test_rows_));
  }
  TRACER_RETURN_IF_ERROR(check_files(vectors, test_vectors));
  TRACER_RETURN_IF_ERROR(read(vectors, test_vectors));
  std::optional<SweepState> state;
  if (!request_.state.empty()) {
    auto opened = SweepState::open(request_.state, config());
    if (opened.status().code() == ErrorCode::kBadInput) return bad_option("state", opened.status().marked_message());
    if (!opened.ok()) return opened.status();
    state.emplace(std::move(opened).value());
  }
  std::unique_ptr<Backend> own;
  TRACER_ASSIGN_OR_RETURN(const Workers workers, workers_of(own));
  TRACER_RETURN_IF_ERROR(fit_all(workers, state));
  return report(seconds_since(started_));
}

}  // namespace

Result<SweepReport> sweep_log(const Device& device, const SweepRequest& request, const Events& events) {
  return LogSweep(DeviceAccess::backend(device), request, events).run();
}

}  // namespace tracer
