#include "host/job/batch_files.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "host/http/retry.h"
#include "host/io/file.h"
#include "host/io/json_fields.h"
#include "host/io/json_text.h"
#include "host/io/line_reader.h"
#include "host/job/answer.h"

namespace tracer::job {
namespace {

using Json = nlohmann::ordered_json;

// One result, whichever API it is from.
struct BatchResult {
  int64_t ask = 0;
  bool correction = false;
  http::HttpResponse response;  // as if it had come by itself
};

std::string request(const std::string& job, const PendingAsk& ask, const std::string& body, llm::Api api) {
  const std::string id =
      "{\"custom_id\":\"" + job + "-" + std::to_string(ask.id) + (ask.bad_answer ? "-c" : "") + "\",";
  if (api == llm::Api::kAnthropic) return id + "\"params\":" + body + "}";
  return id + "\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":" + body + "}";
}

// JOB-ASK, or for a correction JOB-ASK-c.
Status read_id(const std::string& custom_id, const std::string& job, const std::string& where, BatchResult& result) {
  const std::string start = job + "-";
  const char* end = custom_id.data() + custom_id.size();
  std::string_view rest;
  if (custom_id.rfind(start, 0) == 0) {
    const char* after = std::from_chars(custom_id.data() + start.size(), end, result.ask).ptr;
    rest = {after, static_cast<size_t>(end - after)};
  }
  result.correction = rest == "-c";
  if (result.ask > 0 && (rest.empty() || result.correction)) return {};
  return bad_input(where + ": \"custom_id\": expected " + start + "N, of this job, found " +
                   io::json_string(custom_id.substr(0, 80)));
}

Result<BatchResult> parse_result(const Json& json, const std::string& job, const std::string& where) {
  JsonFields fields(json, where);
  std::string custom_id;
  fields.text("custom_id", custom_id);
  if (!fields.status().ok()) return fields.status();
  BatchResult result;
  TRACER_RETURN_IF_ERROR(read_id(custom_id, job, where, result));
  const auto dump = [](const Json& v) { return v.dump(-1, ' ', false, Json::error_handler_t::replace); };
  if (const auto anthropic = json.find("result"); anthropic != json.end() && anthropic->is_object()) {
    const std::string type = anthropic->value("type", "");
    result.response.status = type == "succeeded" ? 200 : type == "errored" ? 400 : 408;  // expired, canceled: again
    if (type == "succeeded" && anthropic->contains("message")) result.response.body = dump(anthropic->at("message"));
    if (type == "errored" && anthropic->contains("error")) result.response.body = dump(anthropic->at("error"));
    return result;
  }
  const auto response = json.find("response");
  if (response != json.end() && response->is_object()) {
    JsonFields inner(*response, where + ": \"response\"");
    int64_t status = 0;
    inner.count("status_code", status, 999);
    if (!inner.status().ok()) return inner.status();
    result.response.status = static_cast<int>(status);
    if (response->contains("body")) result.response.body = dump(response->at("body"));
    return result;
  }
  const auto error = json.find("error");
  if (error == json.end() || !error->is_object())
    return bad_input(where + ": expected a \"response\", a \"result\" or an \"error\", found none");
  // Expired before it was worked on, or another fault of the batch: no answer, and nothing wrong with the row.
  result.response.status = 408;
  result.response.body = dump(Json{{"error", *error}});
  return result;
}

}  // namespace

Result<Requests> write_requests(Store& store, const llm::ChatApi& api, const llm::Prompt& prompt,
                                const llm::Dialect& dialect, const std::optional<llm::Price>& price,
                                const std::string& path, RequestForm form, const RequestLimits& limits, int64_t after) {
  constexpr int64_t kAtOnce = 1000;
  const std::string job = store.config().job_id;
  const bool lines = form == RequestForm::kLines;
  Requests out;
  std::optional<io::AtomicFile> file;
  int64_t bytes = 0;
  bool full = false;
  while (!full) {
    TRACER_ASSIGN_OR_RETURN(auto asks, store.pending(after, kAtOnce));
    if (asks.empty()) break;
    for (const PendingAsk& ask : asks) {
      const std::string body = api.body(prompt.messages(ask.input, ask.bad_answer), dialect);
      const int64_t cost = price ? price->of(api.most_usage(body)) : 0;
      std::string text = request(job, ask, body, api.options().api) + (lines ? "\n" : "");
      out.over_cost = cost > limits.cost - out.most_cost;
      const auto count = static_cast<int64_t>(out.asks.size());
      full = out.over_cost || count == limits.lines ||
             (count > 0 && bytes + static_cast<int64_t>(text.size()) > limits.bytes);
      if (full) break;
      if (!file) {
        TRACER_ASSIGN_OR_RETURN(auto made, io::AtomicFile::create(path));
        file.emplace(std::move(made));
        if (!lines) TRACER_RETURN_IF_ERROR(file->write("{\"requests\":["));
      } else if (!lines) {
        text = "," + text;
      }
      TRACER_RETURN_IF_ERROR(file->write(text));
      bytes += static_cast<int64_t>(text.size());
      out.asks.push_back(ask.id);
      out.most_cost += cost;
      after = ask.id;
    }
  }
  if (!file) return out;
  if (!lines) TRACER_RETURN_IF_ERROR(file->write("]}"));
  TRACER_RETURN_IF_ERROR(file->commit());
  return out;
}

Result<BatchOut> write_batch(Store& store, const llm::ChatApi& api, const llm::Prompt& prompt,
                             const llm::Dialect& dialect, const std::string& path, const RequestLimits& limits) {
  BatchOut out;
  int64_t after = 0;
  while (true) {
    const std::string name = out.files.empty() ? path : path + "." + std::to_string(out.files.size() + 1);
    TRACER_ASSIGN_OR_RETURN(auto requests, write_requests(store, api, prompt, dialect, std::nullopt, name,
                                                          RequestForm::kLines, limits, after));
    if (requests.asks.empty()) return out;
    out.files.push_back(name);
    out.requests += static_cast<int64_t>(requests.asks.size());
    after = requests.asks.back();
  }
}

BatchIn& BatchIn::operator+=(const BatchIn& o) {
  lines += o.lines, answered += o.answered, unparsed += o.unparsed, failed += o.failed;
  again += o.again, settled += o.settled;
  if (o.dialect) dialect = o.dialect;
  quota = quota || o.quota;
  if (!o.error.empty()) error = o.error;
  return *this;
}

Result<bool> is_of_job(const Store& store, const std::string& path) {
  TRACER_ASSIGN_OR_RETURN(auto reader, io::LineReader::open(path));
  io::Line line;
  TRACER_ASSIGN_OR_RETURN(auto more, reader.next(line));
  if (!more) return true;  // nothing of anyone
  TRACER_ASSIGN_OR_RETURN(auto json, parse_json(line.text, path));
  const auto id = json.is_object() ? json.find("custom_id") : json.end();
  return id != json.end() && id->is_string() && id->get<std::string>().rfind(store.config().job_id + "-", 0) == 0;
}

Result<BatchIn> read_batch(Store& store, const llm::ChatApi& api, const std::optional<llm::Price>& price,
                           const std::string& path, double now) {
  TRACER_RETURN_IF_ERROR(store.begin());
  TRACER_ASSIGN_OR_RETURN(auto in, take_results(store, api, price, path, now, std::nullopt));
  TRACER_RETURN_IF_ERROR(store.commit());
  return in;
}

Result<BatchIn> take_results(Store& store, const llm::ChatApi& api, const std::optional<llm::Price>& price,
                             const std::string& path, double now, const std::optional<llm::Dialect>& asked) {
  const std::string job = store.config().job_id;
  TRACER_ASSIGN_OR_RETURN(auto reader, io::LineReader::open(path));
  BatchIn in;
  int64_t attempt = store.next_attempt(), stale = -1;
  io::Line line;
  while (true) {
    TRACER_ASSIGN_OR_RETURN(auto more, reader.next(line));
    if (!more) break;
    if (line.text.find_first_not_of(" \t") == std::string_view::npos) continue;
    const std::string where = path + ": line " + std::to_string(line.number);
    TRACER_ASSIGN_OR_RETURN(auto json, parse_json(line.text, where));
    TRACER_ASSIGN_OR_RETURN(auto result, parse_result(json, job, where));
    ++in.lines;
    TRACER_ASSIGN_OR_RETURN(auto ask, store.ask(result.ask));
    if (!ask) return bad_input(where + ": \"custom_id\": this job has no such request");
    // An answer to the first question that was taken in before is not one to the correction.
    if (ask->state != AskState::kPending || ask->bad_answer != result.correction) {
      ++in.settled;
      continue;
    }
    AttemptEnd end;
    end.attempt = attempt++;
    end.ask = result.ask;
    end.http_status = result.response.status;
    const http::ApiError error = http::parse_api_error(result.response.body);
    const http::Verdict verdict = http::judge(result.response, error, now);
    end.outcome = verdict.error;
    if (!verdict.error.empty()) in.error = verdict.error;
    in.quota = in.quota || verdict.outcome == http::Outcome::kQuota;
    const bool refused = verdict.outcome == http::Outcome::kRowFailed;
    const auto other = refused && asked ? llm::other_dialect(*asked, error) : std::nullopt;
    if (other) in.dialect = other;
    if (verdict.outcome == http::Outcome::kAnswered)
      take_answer(api, result.response.body, ask->bad_answer, price, 0, end);
    if (refused && !other) end.result = AskResult{AskState::kFailed, -1, verdict.error, {}, 0};
    if (!end.result) {
      ++(end.bad_answer ? in.unparsed : in.again);
    } else {
      ++(end.result->state == AskState::kAnswered ? in.answered : in.failed);
    }
    const AttemptKind kind = ask->bad_answer ? AttemptKind::kCorrection : AttemptKind::kFirst;
    TRACER_RETURN_IF_ERROR(store.start_attempt(end.attempt, end.ask, kind, 0, now));
    TRACER_ASSIGN_OR_RETURN(auto kept, store.end_attempt(end));
    if (end.result && (stale < 0 || ask->first_row < stale)) stale = ask->first_row;
  }
  // The output may hold such a row already, as one without an answer: from there on it is to be made again.
  if (stale >= 0) TRACER_RETURN_IF_ERROR(store.drop_checkpoints_after(stale));
  return in;
}

}  // namespace tracer::job
