// The batch APIs of mock_llm: OpenAI's files and batches, Anthropic's message batches.
#pragma once

#include <httplib.h>

#include <chrono>
#include <ctime>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

struct BatchFaults {
  int64_t ms = 0;
  double expire = 0;
  int64_t fail = 0, lose_create = 0, hide = 0;
  bool no_list = false;
};

class MockBatches {
 public:
  using Json = nlohmann::json;
  // The status and body that a request of a batch comes to.
  using Answer = std::function<std::pair<int, Json>(const Json& body, bool anthropic)>;
  using KeyFits = std::function<bool(const httplib::Request&, bool anthropic)>;

  MockBatches(const BatchFaults& faults, Answer answer) : faults_(faults), answer_(std::move(answer)) {}

  void serve(httplib::Server& server, KeyFits fits) {
    const auto guarded = [this, fits](bool anthropic, auto handle) {
      return [this, fits, anthropic, handle](const httplib::Request& q, httplib::Response& r) {
        if (!fits(q, anthropic)) return refuse(r, 401, "Incorrect API key provided");
        const std::lock_guard<std::mutex> lock(mutex_);
        handle(q, r);
      };
    };
    server.Post("/v1/files", guarded(false, [this](const auto& q, auto& r) { upload(q, r); }));
    server.Get(R"(/v1/files/([\w-]+)/content)", guarded(false, [this](const auto& q, auto& r) {
                 const size_t at = index(q.matches[1].str(), "file-");
                 if (at >= files_.size()) return refuse(r, 404, "no such file");
                 r.set_content(files_[at], "application/octet-stream");
               }));
    for (const bool anthropic : {false, true}) {
      const std::string base = anthropic ? "/v1/messages/batches" : "/v1/batches";
      server.Post(base, guarded(anthropic, [=, this](const auto& q, auto& r) { create(q, r, anthropic); }));
      server.Get(base, guarded(anthropic, [=, this](const auto& q, auto& r) { list(q, r, anthropic); }));
      server.Get(base + R"(/([\w-]+))", guarded(anthropic, [=, this](const auto& q, auto& r) {
                   Batch* batch = find(q.matches[1].str());
                   if (batch == nullptr) return refuse(r, 404, "no such batch");
                   r.set_content(describe(*batch).dump(), "application/json");
                 }));
      server.Post(base + R"(/([\w-]+)/cancel)", guarded(anthropic, [=, this](const auto& q, auto& r) {
                    Batch* batch = find(q.matches[1].str());
                    if (batch == nullptr) return refuse(r, 404, "no such batch");
                    if (ended(*batch)) return refuse(r, 409, "it has ended");
                    batch->cancelled = true;
                    r.set_content(describe(*batch).dump(), "application/json");
                  }));
      server.Get(base + R"(/([\w-]+)/results)", guarded(anthropic, [=, this](const auto& q, auto& r) {
                   Batch* batch = find(q.matches[1].str());
                   if (batch == nullptr || !ended(*batch)) return refuse(r, 404, "no results yet");
                   finish(*batch);
                   r.set_content(batch->results, "application/x-jsonl");
                 }));
    }
  }

  Json stats() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return {{"batches", batches_.size()}, {"files", files_.size()}};
  }

 private:
  using Clock = std::chrono::steady_clock;
  struct Batch {
    std::string id;
    bool anthropic = false, failed = false, cancelled = false, finished = false;
    Json metadata;
    std::vector<Json> requests;
    Clock::time_point ends;
    std::time_t created = 0;
    size_t succeeded = 0;
    std::string results;         // Anthropic's
    std::string output, errors;  // OpenAI's files
  };

  static void refuse(httplib::Response& r, int status, const std::string& message) {
    r.status = status;
    r.set_content(Json{{"error", {{"message", message}, {"type", "invalid_request_error"}}}}.dump(),
                  "application/json");
  }
  static size_t index(const std::string& id, const std::string& start) {
    return id.rfind(start, 0) == 0 ? std::stoul("0" + id.substr(start.size())) : SIZE_MAX;
  }
  Batch* find(const std::string& id) {
    for (Batch& b : batches_)
      if (b.id == id) return &b;
    return nullptr;
  }
  bool ended(const Batch& b) const { return b.cancelled || Clock::now() >= b.ends; }
  std::string add_file(std::string text) {
    files_.push_back(std::move(text));
    return "file-" + std::to_string(files_.size() - 1);
  }

  void upload(const httplib::Request& q, httplib::Response& r) {
    if (!q.has_file("purpose") || q.get_file_value("purpose").content != "batch" || !q.has_file("file"))
      return refuse(r, 400, "expected a form with purpose=batch and a file");
    const std::string id = add_file(q.get_file_value("file").content);
    r.set_content(Json{{"id", id}, {"object", "file"}, {"purpose", "batch"}}.dump(), "application/json");
  }

  void create(const httplib::Request& q, httplib::Response& r, bool anthropic) {
    const Json body = Json::parse(q.body, nullptr, false);
    Batch b;
    b.anthropic = anthropic;
    if (anthropic) {
      if (!body.is_object() || !body.contains("requests")) return refuse(r, 400, "no requests");
      for (const Json& request : body["requests"]) b.requests.push_back(request);
    } else {
      if (!body.is_object() || body.value("endpoint", "") != "/v1/chat/completions" ||
          body.value("completion_window", "") != "24h")
        return refuse(r, 400, "expected an endpoint and a completion_window");
      const size_t at = index(body.value("input_file_id", ""), "file-");
      if (at >= files_.size()) return refuse(r, 400, "no such input file");
      std::istringstream lines(files_[at]);
      for (std::string line; std::getline(lines, line);) b.requests.push_back(Json::parse(line, nullptr, false));
      b.metadata = body.value("metadata", Json::object());
    }
    b.id = (anthropic ? "msgbatch_" : "batch_") + std::to_string(batches_.size());
    b.created = std::time(nullptr);
    b.ends = Clock::now() + std::chrono::milliseconds(faults_.ms);
    b.failed = static_cast<int64_t>(batches_.size()) < faults_.fail;
    batches_.push_back(std::move(b));
    if (faults_.lose_create-- > 0) {
      // Announced, and then the connection is closed.
      r.set_content_provider(1000, "application/json", [](size_t, size_t, httplib::DataSink&) { return false; });
      return;
    }
    r.set_content(describe(batches_.back()).dump(), "application/json");
  }

  void list(const httplib::Request&, httplib::Response& r, bool anthropic) {
    if (faults_.no_list) return refuse(r, 404, "not here");
    Json data = Json::array();
    if (faults_.hide-- <= 0)
      for (size_t i = batches_.size(); i-- > 0;)
        if (batches_[i].anthropic == anthropic) data.push_back(describe(batches_[i]));
    r.set_content(Json{{"data", data}, {"has_more", false}}.dump(), "application/json");
  }

  // What its requests came to; the order of the results is not that of the requests.
  void finish(Batch& b) {
    if (b.finished || b.failed) return;
    b.finished = true;
    std::string output, errors;
    for (size_t i = b.requests.size(); i-- > 0;) {
      const Json& request = b.requests[i];
      const std::string id = request.is_object() ? request.value("custom_id", "") : "";
      const bool expired =
          static_cast<double>(((i + 1) * 7919 + batches_.size() * 104729) % 1000) < faults_.expire * 1000;
      if (b.cancelled || expired) {
        const char* why = b.cancelled ? "canceled" : "expired";
        if (b.anthropic)
          output += Json{{"custom_id", id}, {"result", {{"type", why}}}}.dump() + "\n";
        else
          errors += Json{{"custom_id", id}, {"response", nullptr}, {"error", {{"code", std::string("batch_") + why}}}}
                        .dump() +
                    "\n";
        continue;
      }
      const auto [status, body] = answer_(request[b.anthropic ? "params" : "body"], b.anthropic);
      b.succeeded += status == 200;
      if (b.anthropic) {
        const Json result =
            status == 200 ? Json{{"type", "succeeded"}, {"message", body}} : Json{{"type", "errored"}, {"error", body}};
        output += Json{{"custom_id", id}, {"result", result}}.dump() + "\n";
      } else {
        const Json line = {
            {"custom_id", id}, {"response", {{"status_code", status}, {"body", body}}}, {"error", nullptr}};
        (status == 200 ? output : errors) += line.dump() + "\n";
      }
    }
    if (b.anthropic) {
      b.results = output;
      return;
    }
    if (!output.empty()) b.output = add_file(output);
    if (!errors.empty()) b.errors = add_file(errors);
  }

  Json describe(Batch& b) {
    const bool over = ended(b);
    if (over) finish(b);
    const size_t n = b.requests.size();
    if (b.anthropic) {
      char created[32];
      std::tm utc{};
      gmtime_r(&b.created, &utc);
      std::strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &utc);
      return {{"id", b.id},
              {"type", "message_batch"},
              {"processing_status", over ? "ended" : "in_progress"},
              {"created_at", created},
              {"request_counts",
               {{"processing", over ? 0 : n},
                {"succeeded", over ? b.succeeded : 0},
                {"errored", over ? n - b.succeeded : 0},
                {"canceled", 0},
                {"expired", 0}}}};
    }
    Json json = {{"id", b.id},
                 {"object", "batch"},
                 {"status", b.failed      ? "failed"
                            : !over       ? "in_progress"
                            : b.cancelled ? "cancelled"
                                          : "completed"},
                 {"created_at", b.created},
                 {"metadata", b.metadata},
                 {"request_counts", {{"total", n}, {"completed", b.succeeded}, {"failed", over ? n - b.succeeded : 0}}},
                 {"output_file_id", b.output.empty() ? Json() : Json(b.output)},
                 {"error_file_id", b.errors.empty() ? Json() : Json(b.errors)}};
    if (b.failed)
      json["errors"] = {
          {"data", Json::array({{{"code", "token_limit_exceeded"}, {"message", "Enqueued token limit reached"}}})}};
    return json;
  }

  BatchFaults faults_;
  const Answer answer_;
  std::mutex mutex_;
  std::vector<std::string> files_;
  std::vector<Batch> batches_;
};
