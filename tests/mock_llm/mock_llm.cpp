// An LLM for tests and benches: answers chat completions and Anthropic messages with a label that the text decides, and
// fails in the ways real servers do. It counts what it answered, text by text: GET /stats.
//
//   mock_llm --labels a,b [--port 0] [--latency-ms 50] [--threads 64] [--tls-cert F --tls-key F] [--faults ...]
//
// Prints its port, one line, once it listens. Faults are drawn from a hash of (seed, request number).
#include <httplib.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <iostream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/maths/random.h"
#include "host/io/text_hash.h"
#include "tests/mock_llm/batches.h"
#include "tests/mock_llm/embeddings.h"

namespace {

using Json = nlohmann::json;

struct Options {
  std::vector<std::string> labels;
  int port = 0;
  int latency_ms = 0;
  int threads = 64;
  std::string cert, key, expect_key;
  double p429 = 0, p500 = 0, p529 = 0, torn = 0, garbage = 0, wrong = 0, hang = 0;
  int64_t quota_after = -1;   // answers, then 429 insufficient_quota
  int64_t most_at_once = -1;  // more get 429
  int64_t fail_first = 0;     // requests that get 503
  int64_t reject_after = -1;  // answers, then 401
  int retry_after_ms = -1;
  bool no_schema = false, no_max_tokens = false, no_usage = false, refuse_all = false, wrong_once = false;
  uint64_t seed = 1;
  BatchFaults batches;
  EmbedFaults embed;
};

class Mock {
 public:
  explicit Mock(const Options& options) : o_(options) {}

  void answer(const httplib::Request& request, httplib::Response& response, bool anthropic) {
    const int64_t number = requests_++;
    const int64_t at_once = ++in_flight_;
    if (request.get_header_value("Via").rfind("2 ", 0) == 0) ++http2_;  // as a proxy in front says
    peak_ = std::max<int64_t>(peak_, at_once);
    decide(request, response, anthropic, number, at_once);
    --in_flight_;
  }

  // Likewise, for texts to embed.
  void embed(MockEmbeddings& embeddings, const httplib::Request& request, httplib::Response& r) {
    const int64_t number = requests_++;
    const int64_t at_once = ++in_flight_;
    peak_ = std::max<int64_t>(peak_, at_once);
    if (fit_to_answer(request, r, false, number, at_once)) {
      const bool arrives = draw(number, 6) >= o_.garbage && draw(number, 7) >= o_.torn;
      auto [status, bytes] = embeddings.answer(request.path, request.body, arrives);
      r.status = status;
      send(r, std::move(bytes), number);
    }
    --in_flight_;
  }

  bool key_fits(const httplib::Request& request, bool anthropic) const {
    if (o_.expect_key.empty()) return true;
    return anthropic ? request.get_header_value("x-api-key") == o_.expect_key
                     : request.get_header_value("Authorization") == "Bearer " + o_.expect_key;
  }

  // One request of a batch: its status and body.
  std::pair<int, Json> answer_in_batch(const Json& body, bool anthropic) {
    const auto refused = [&](const char* message, const char* param) {
      ++refused_;
      return std::pair(400,
                       Json{{"error", {{"message", message}, {"type", "invalid_request_error"}, {"param", param}}}});
    };
    if (!body.is_object() || !body.contains("messages")) return refused("no messages", "messages");
    if (o_.no_schema && (body.contains("response_format") || body.contains("tools")))
      return refused("response_format is not supported", "response_format");
    const Turn turn = turn_of(body);
    const std::lock_guard<std::mutex> lock(mutex_);
    ++answers_;
    if (turn.count > 1) ++corrections_;
    if (turn.count == 1) ++answered_[turn.text];
    return {200, message(body, turn, anthropic)};
  }

  Json stats() {
    const std::lock_guard<std::mutex> lock(mutex_);
    int64_t more = 0;
    for (const auto& [text, times] : answered_) more += times - 1;
    return {{"requests", requests_.load()}, {"answers", answers_},    {"texts", answered_.size()},
            {"answered_again", more},       {"peak", peak_.load()},   {"corrections", corrections_},
            {"refused", refused_.load()},   {"early", early_.load()}, {"over_http2", http2_.load()}};
  }

 private:
  double draw(int64_t number, uint64_t what) const {
    return tracer::Random(o_.seed ^ (what << 32), tracer::Stream::kRows).uniform(static_cast<uint64_t>(number));
  }
  void error(httplib::Response& r, int status, const std::string& code, const std::string& message,
             const std::string& param = "") {
    r.status = status;
    r.set_content(Json{{"error", {{"message", message}, {"type", code}, {"code", code}, {"param", param}}}}.dump(),
                  "application/json");
    if (status != 400 && status != 401 && o_.retry_after_ms >= 0)
      r.set_header("retry-after-ms", std::to_string(o_.retry_after_ms));
    ++refused_;
  }

  // What the user says.
  struct Turn {
    std::string text;
    int64_t count = 0;
  };
  static Turn turn_of(const Json& body) {
    Turn turn;
    for (const Json& message : body["messages"]) {
      if (message.value("role", "") != "user") continue;
      if (turn.count++ == 0) turn.text = message.value("content", "");
    }
    return turn;
  }
  // The answer, decided by the text.
  Json message(const Json& body, const Turn& turn, bool anthropic) const {
    const size_t request_bytes = body.dump().size();
    std::string label = o_.labels[tracer::io::xxh64(turn.text) % o_.labels.size()];
    const bool is_wrong = (o_.wrong_once && turn.count == 1) ||
                          draw(static_cast<int64_t>(tracer::io::xxh64(turn.text) >> 1), 5) < o_.wrong;
    if (is_wrong) label = "I think it is " + label;
    const bool structured = body.contains("response_format") || body.contains("tools");
    Json out;
    if (anthropic) {
      Json part = structured
                      ? Json{{"type", "tool_use"}, {"id", "t"}, {"name", "classify"}, {"input", {{"label", label}}}}
                      : Json{{"type", "text"}, {"text", label}};
      out = {{"id", "m"}, {"type", "message"}, {"role", "assistant"}, {"content", Json::array({part})}};
      if (!o_.no_usage) out["usage"] = {{"input_tokens", request_bytes / 4}, {"output_tokens", 5}};
    } else {
      const std::string content = structured ? Json{{"label", label}}.dump() : label + "\n";
      out = {{"id", "c"},
             {"choices", Json::array({{{"index", 0}, {"message", {{"role", "assistant"}, {"content", content}}}}})}};
      if (!o_.no_usage) out["usage"] = {{"prompt_tokens", request_bytes / 4}, {"completion_tokens", 5}};
    }
    return out;
  }

  // False: the request has got an error, whatever it asks for.
  bool fit_to_answer(const httplib::Request& request, httplib::Response& r, bool anthropic, int64_t number,
                     int64_t at_once) {
    const auto refuse = [&](int status, const char* code, const char* message) {
      error(r, status, code, message);
      return false;
    };
    // A client that was told to wait must have waited.
    const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
    if (o_.retry_after_ms >= 0 && now < not_before_.load()) ++early_;
    if (!key_fits(request, anthropic)) return refuse(401, "invalid_api_key", "Incorrect API key provided");
    std::this_thread::sleep_for(std::chrono::milliseconds(o_.latency_ms));
    if (number < o_.fail_first) return refuse(503, "overloaded", "not yet");
    if (o_.most_at_once >= 0 && at_once > o_.most_at_once) return refuse(429, "rate_limit_exceeded", "too many");
    if (draw(number, 1) < o_.p429) {
      if (o_.retry_after_ms >= 0)
        not_before_.store(now + (o_.latency_ms + o_.retry_after_ms) * int64_t{1'000'000} * 9 / 10);
      return refuse(429, "rate_limit_exceeded", "Rate limit reached");
    }
    if (draw(number, 2) < o_.p500) return refuse(500, "server_error", "something broke");
    if (draw(number, 3) < o_.p529) return refuse(529, "overloaded_error", "Overloaded");
    if (draw(number, 4) < o_.hang) std::this_thread::sleep_for(std::chrono::seconds(3600));
    return true;
  }

  void send(httplib::Response& r, std::string bytes, int64_t number) {
    if (draw(number, 6) < o_.garbage) bytes = "<html>502 from a proxy</html>";
    if (draw(number, 7) >= o_.torn) return r.set_content(bytes, "application/json");
    // Announced whole, sent in half, then the connection is closed.
    auto half = std::make_shared<std::string>(bytes.substr(0, bytes.size() / 2));
    r.set_content_provider(bytes.size(), "application/json", [half](size_t offset, size_t, httplib::DataSink& sink) {
      if (offset > 0) return false;
      sink.write(half->data(), half->size());
      return true;
    });
  }

  void decide(const httplib::Request& request, httplib::Response& r, bool anthropic, int64_t number, int64_t at_once) {
    if (!fit_to_answer(request, r, anthropic, number, at_once)) return;
    Json body = Json::parse(request.body, nullptr, false);
    if (body.is_discarded() || !body.contains("messages")) return error(r, 400, "invalid_request_error", "no messages");
    if (o_.refuse_all) return error(r, 400, "invalid_request_error", "the model does not exist here");
    if (o_.no_schema && (body.contains("response_format") || body.contains("tools")))
      return error(r, 400, "invalid_request_error", "response_format is not supported", "response_format");
    if (o_.no_max_tokens && body.contains("max_tokens"))
      return error(r, 400, "unsupported_parameter", "Unsupported parameter: use 'max_completion_tokens'", "max_tokens");
    const Turn turn = turn_of(body);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (o_.quota_after >= 0 && answers_ >= o_.quota_after)
        return error(r, 429, "insufficient_quota", "You exceeded your current quota");
      if (o_.reject_after >= 0 && answers_ >= o_.reject_after) return error(r, 401, "invalid_api_key", "revoked");
      ++answers_;
      if (turn.count > 1) ++corrections_;
      // What never arrives whole is not an answer that the client has.
      if (turn.count == 1 && draw(number, 6) >= o_.garbage && draw(number, 7) >= o_.torn) ++answered_[turn.text];
    }
    send(r, message(body, turn, anthropic).dump(), number);
  }

  const Options o_;
  std::atomic<int64_t> requests_{0}, in_flight_{0}, peak_{0}, refused_{0}, early_{0}, not_before_{0}, http2_{0};
  std::mutex mutex_;
  std::unordered_map<std::string, int64_t> answered_;
  int64_t answers_ = 0, corrections_ = 0;
};

int serve(httplib::Server& server, const Options& o) {
  Mock mock(o);
  server.new_task_queue = [&] { return new httplib::ThreadPool(static_cast<size_t>(o.threads)); };
  server.set_keep_alive_max_count(1'000'000);
  server.set_keep_alive_timeout(60);
  server.set_tcp_nodelay(true);
  // Compressing short answers is most of the work otherwise.
  server.set_pre_routing_handler([](const httplib::Request& q, httplib::Response&) {
    const_cast<httplib::Request&>(q).headers.erase("Accept-Encoding");
    return httplib::Server::HandlerResponse::Unhandled;
  });
  const auto chat = [&](const httplib::Request& q, httplib::Response& r) { mock.answer(q, r, false); };
  server.Post("/v1/chat/completions", chat);
  server.Post("/v1/messages", [&](const httplib::Request& q, httplib::Response& r) { mock.answer(q, r, true); });
  MockBatches batches(o.batches,
                      [&](const Json& body, bool anthropic) { return mock.answer_in_batch(body, anthropic); });
  batches.serve(server, [&](const httplib::Request& q, bool anthropic) { return mock.key_fits(q, anthropic); });
  MockEmbeddings embeddings(o.embed, o.labels.size());
  for (const char* path : {"/v1/embeddings", "/embed", "/vectors"})
    server.Post(path, [&](const httplib::Request& q, httplib::Response& r) { mock.embed(embeddings, q, r); });
  server.Get("/stats", [&](const httplib::Request&, httplib::Response& r) {
    Json stats = mock.stats();
    stats.update(batches.stats());
    stats["embed"] = embeddings.stats();
    r.set_content(stats.dump(), "application/json");
  });
  const int port =
      o.port == 0 ? server.bind_to_any_port("127.0.0.1") : (server.bind_to_port("127.0.0.1", o.port) ? o.port : -1);
  if (port < 0) {
    std::cerr << "mock_llm: cannot listen\n";
    return 1;
  }
  std::cout << port << std::endl;
  return server.listen_after_bind() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app{"an LLM for tests"};
  app.add_option("--labels", o.labels)->delimiter(',')->required();
  app.add_option("--port", o.port);
  app.add_option("--latency-ms", o.latency_ms);
  app.add_option("--threads", o.threads);
  app.add_option("--tls-cert", o.cert);
  app.add_option("--tls-key", o.key);
  app.add_option("--expect-key", o.expect_key);
  app.add_option("--p429", o.p429);
  app.add_option("--p500", o.p500);
  app.add_option("--p529", o.p529);
  app.add_option("--torn", o.torn);
  app.add_option("--garbage", o.garbage);
  app.add_option("--wrong", o.wrong, "share of texts whose every answer is no label");
  app.add_flag("--wrong-once", o.wrong_once, "every first answer is no label");
  app.add_option("--hang", o.hang);
  app.add_option("--quota-after", o.quota_after);
  app.add_option("--reject-after", o.reject_after);
  app.add_option("--most-at-once", o.most_at_once);
  app.add_option("--fail-first", o.fail_first);
  app.add_option("--retry-after-ms", o.retry_after_ms);
  app.add_flag("--no-schema", o.no_schema);
  app.add_flag("--no-max-tokens", o.no_max_tokens);
  app.add_flag("--no-usage", o.no_usage);
  app.add_flag("--refuse-all", o.refuse_all);
  app.add_option("--seed", o.seed);
  app.add_option("--batch-ms", o.batches.ms, "until a batch has ended");
  app.add_option("--batch-expire", o.batches.expire, "share of a batch's requests that expire");
  app.add_option("--batch-fail", o.batches.fail, "so many batches fail as a whole, the first ones");
  app.add_option("--batch-lose-create", o.batches.lose_create, "so many are made, and the answer never comes");
  app.add_option("--batch-hide", o.batches.hide, "so many lists come out empty");
  app.add_flag("--batch-no-list", o.batches.no_list);
  app.add_option("--embed-dim", o.embed.dimension, "of vectors");
  app.add_option("--embed-grow-after", o.embed.grow_after, "so many requests, then vectors are longer by one");
  app.add_option("--embed-most", o.embed.most, "texts of a request; more get 413");
  app.add_option("--embed-refuse", o.embed.refuse, "texts that hold this get 400");
  app.add_option("--embed-odd", o.embed.odd, "answers are wrong in this way (see embeddings.h)");
  CLI11_PARSE(app, argc, argv);
  if (o.cert.empty()) {
    httplib::Server server;
    return serve(server, o);
  }
  httplib::SSLServer server(o.cert.c_str(), o.key.c_str());
  return serve(server, o);
}
