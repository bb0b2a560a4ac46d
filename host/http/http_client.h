// Many HTTP requests in flight on one thread (libcurl multi over epoll): HTTP/1.1 and 2, keep-alive, TLS verified,
// proxies from the environment (http_proxy, https_proxy, no_proxy).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/status.h"

namespace tracer::http {

// A POST.
struct HttpRequest {
  uint64_t id = 0;  // comes back with the response
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  std::string body;
};

struct HttpResponse {
  uint64_t id = 0;
  int status = 0;                                            // 0: no answer came; see error
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  std::string error;  // what the transport said; holds no header and no body
  bool sent = false;  // some of the request went out: without an answer, nobody knows whether it was worked on

  // The first of that name (lower case); "" when absent.
  std::string_view header(std::string_view name) const;
};

struct HttpOptions {
  int64_t connect_timeout_ms = 10'000;
  int64_t timeout_ms = 120'000;  // of a whole request
  int64_t max_connections = 1024;
  int64_t max_response_bytes = int64_t{8} << 20;
  std::string ca_file;  // "": the system's
};

// What sends requests. All calls on one thread but wake().
class HttpSender {
 public:
  virtual ~HttpSender() = default;
  // Starts a request.
  virtual Status submit(HttpRequest request) = 0;
  // Waits until something is done, timeout_ms passed or wake() was called; appends what ended.
  virtual Status poll(int64_t timeout_ms, std::vector<HttpResponse>& done) = 0;
  // Makes a poll() return, this one or the next. Any thread.
  virtual void wake() = 0;
};

// Redirects are not followed: an Authorization header goes to the host it was meant for. Cost: one
// epoll wait a poll(), whatever the number in flight.
class HttpClient final : public HttpSender {
 public:
  // kIo when the system gives no descriptors.
  static Result<std::unique_ptr<HttpClient>> create(const HttpOptions& options);
  ~HttpClient() override;
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // The connection of a request is chosen or made by libcurl.
  Status submit(HttpRequest request) override;
  Status poll(int64_t timeout_ms, std::vector<HttpResponse>& done) override;
  void wake() override;
  int64_t in_flight() const;

 private:
  struct State;
  explicit HttpClient(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tracer::http
