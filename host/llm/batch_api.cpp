#include "host/llm/batch_api.h"

#include <algorithm>
#include <cctype>
#include <ctime>
#include <nlohmann/json.hpp>

#include "host/io/json_text.h"
#include "host/io/timestamp.h"
#include "host/io/untrusted_json.h"

namespace tracer::llm {
namespace {

using Json = nlohmann::json;

bool is_plain(const std::string& id) {
  return !id.empty() && id.size() <= 256 && std::all_of(id.begin(), id.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
  });
}

std::optional<RemoteBatch> openai_batch(const Json& json) {
  RemoteBatch b;
  b.id = io::text_at(json, {"id"});
  b.status = io::text_at(json, {"status"});
  if (!is_plain(b.id) || b.status.empty()) return std::nullopt;
  b.progress = b.status == "completed" || b.status == "expired" || b.status == "cancelled" ? BatchProgress::kEnded
               : b.status == "failed"                                                      ? BatchProgress::kFailed
                                                                                           : BatchProgress::kWorking;
  b.tag = io::text_at(json, {"metadata", "tracer_batch"});
  b.created = io::parse_timestamp(io::text_at(json, {"created_at"})).value_or(0);
  int64_t completed = 0, failed = 0;
  io::count_at(json, {"request_counts", "total"}, b.requests);
  io::count_at(json, {"request_counts", "completed"}, completed);
  io::count_at(json, {"request_counts", "failed"}, failed);
  b.done = completed + failed;
  for (const char* field : {"output_file_id", "error_file_id"}) {
    const std::string file = io::text_at(json, {field});
    if (file.empty()) continue;
    if (!is_plain(file)) return std::nullopt;
    b.results.push_back(file);
  }
  const Json* error = io::find_at(json, {"errors", "data", "0"});
  if (error != nullptr) {
    const http::ApiError e =
        http::parse_api_error(Json{{"error", *error}}.dump(-1, ' ', false, Json::error_handler_t::replace));
    b.error = e.code + (e.code.empty() || e.message.empty() ? "" : ": ") + e.message;
  }
  return b;
}

std::optional<RemoteBatch> anthropic_batch(const Json& json) {
  RemoteBatch b;
  b.id = io::text_at(json, {"id"});
  b.status = io::text_at(json, {"processing_status"});
  if (!is_plain(b.id) || b.status.empty()) return std::nullopt;
  b.progress = b.status == "ended" ? BatchProgress::kEnded : BatchProgress::kWorking;
  b.created = io::parse_timestamp(io::text_at(json, {"created_at"})).value_or(0);
  for (const char* field : {"processing", "succeeded", "errored", "canceled", "expired"}) {
    int64_t n = 0;
    io::count_at(json, {"request_counts", field}, n);
    b.requests += n;
    b.done += field == std::string_view("processing") ? 0 : n;
  }
  // The address of the results is made from the id, not taken from the answer: the key goes to our host alone.
  if (b.progress == BatchProgress::kEnded) b.results.push_back(b.id);
  return b;
}

}  // namespace

std::optional<RemoteBatch> parse_batch(Api api, const Json& json) {
  return api == Api::kOpenAi ? openai_batch(json) : anthropic_batch(json);
}

BatchApi::BatchApi(const ChatApi& chat, http::HttpTransfer& http) : chat_(chat), http_(http) {
  const std::string_view end = openai() ? "/chat/completions" : "/messages";
  base_ = chat.url().substr(0, chat.url().size() - end.size());
  for (const std::string& header : chat.headers())
    if (header.rfind("Content-Type:", 0) != 0) headers_.push_back(header);
}

std::string BatchApi::batches() const { return base_ + (openai() ? "/batches" : "/messages/batches"); }

// parse: from the JSON of a 2xx to the value; nothing where it is none.
template <typename T, typename Parse>
Result<Called<T>> BatchApi::call(http::TransferRequest request, Parse parse) {
  const bool json_body = !request.body.empty() || !request.body_file.empty();
  request.headers = json_body ? chat_.headers() : headers_;
  TRACER_ASSIGN_OR_RETURN(auto response, http_.send(request));
  Called<T> called;
  called.sent = response.sent;
  called.verdict = http::judge(response, http::parse_api_error(response.body), static_cast<double>(std::time(nullptr)));
  if (called.verdict.outcome != http::Outcome::kAnswered || !request.to_file.empty()) return called;
  const auto json = io::parse_untrusted(response.body);
  auto value = json ? parse(*json) : std::nullopt;
  if (value) {
    called.value = std::move(*value);
  } else {
    called.verdict = {};
    called.verdict.outcome = http::Outcome::kRetry;
    called.verdict.error = "the answer of " + request.url + " is not what this API answers";
  }
  return called;
}

Result<Called<std::string>> BatchApi::upload(const std::string& requests, const std::string& name) {
  if (!openai()) return Called<std::string>();
  http::TransferRequest request;
  request.url = base_ + "/files";
  request.form = {{"purpose", "batch"}};
  request.form_file = requests;
  request.form_name = name;
  return call<std::string>(std::move(request), [](const Json& json) {
    std::string id = io::text_at(json, {"id"});
    return is_plain(id) ? std::optional(std::move(id)) : std::nullopt;
  });
}

Result<Called<RemoteBatch>> BatchApi::create(const std::string& requests, const std::string& file_id,
                                             const std::string& tag) {
  http::TransferRequest request;
  request.url = batches();
  request.post = true;
  if (openai()) {
    request.body =
        "{\"input_file_id\":" + io::json_string(file_id) +
        ",\"endpoint\":\"/v1/chat/completions\",\"completion_window\":\"24h\",\"metadata\":{\"tracer_batch\":" +
        io::json_string(tag) + "}}";
  } else {
    request.body_file = requests;
  }
  return call<RemoteBatch>(std::move(request),
                           [&](const Json& json) { return parse_batch(chat_.options().api, json); });
}

Result<Called<RemoteBatch>> BatchApi::get(const std::string& id) {
  http::TransferRequest request;
  request.url = batches() + "/" + id;
  return call<RemoteBatch>(std::move(request),
                           [&](const Json& json) { return parse_batch(chat_.options().api, json); });
}

Result<Called<RemoteBatch>> BatchApi::cancel(const std::string& id) {
  http::TransferRequest request;
  request.url = batches() + "/" + id + "/cancel";
  request.post = true;
  return call<RemoteBatch>(std::move(request),
                           [&](const Json& json) { return parse_batch(chat_.options().api, json); });
}

Result<Called<std::vector<RemoteBatch>>> BatchApi::list(double since) {
  using List = std::vector<RemoteBatch>;
  constexpr int kMostPages = 1000;  // a server that always has more
  Called<List> all;
  std::string after;
  for (int page = 0; page < kMostPages; ++page) {
    http::TransferRequest request;
    request.url = batches() + "?limit=100";
    if (!after.empty()) request.url += (openai() ? "&after=" : "&after_id=") + after;
    bool more = false;
    auto called = call<List>(std::move(request), [&](const Json& json) -> std::optional<List> {
      const Json* data = io::find_at(json, {"data"});
      if (data == nullptr || !data->is_array()) return std::nullopt;
      const Json* has_more = io::find_at(json, {"has_more"});
      more = has_more != nullptr && has_more->is_boolean() && has_more->get<bool>();
      List list;
      for (const Json& entry : *data)
        if (auto batch = parse_batch(chat_.options().api, entry)) list.push_back(std::move(*batch));
      return list;
    });
    if (!called.ok()) return called.status();
    all.verdict = called->verdict;
    if (called->verdict.outcome != http::Outcome::kAnswered) return all;
    bool older = false;
    for (RemoteBatch& batch : called->value) {
      older = batch.created < since;
      after = batch.id;
      if (!older) all.value.push_back(std::move(batch));
    }
    if (!more || older || called->value.empty()) break;
  }
  return all;
}

Result<Called<std::string>> BatchApi::download(const std::string& result, const std::string& path) {
  http::TransferRequest request;
  request.url = openai() ? base_ + "/files/" + result + "/content" : batches() + "/" + result + "/results";
  request.to_file = path;
  return call<std::string>(std::move(request), [](const Json&) { return std::optional<std::string>(); });
}

}  // namespace tracer::llm
