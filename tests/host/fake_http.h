// HTTP without a network, on a clock of the test's: the test says what is answered and after how long, and time passes
// only while somebody waits. All on one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "host/http/http_client.h"

namespace tracer::http {

class FakeHttp final : public HttpSender {
 public:
  struct Answer {
    int status = 200;
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
    int64_t after_ms = 1;
  };
  using Server = std::function<Answer(const HttpRequest& request)>;

  // now: the clock, in milliseconds; it must outlive the object.
  FakeHttp(int64_t& now, Server server) : now_(now), server_(std::move(server)) {}

  Status submit(HttpRequest request) override {
    const Answer answer = server_(request);
    HttpResponse response;
    response.id = request.id;
    response.status = answer.status;
    response.body = answer.body;
    response.headers = answer.headers;
    response.sent = true;
    if (answer.status == 0) response.error = "timed out";
    due_.emplace(now_ + answer.after_ms, std::move(response));
    return {};
  }
  Status poll(int64_t timeout_ms, std::vector<HttpResponse>& done) override {
    if (++polls_ > kMostPolls) return io_error("the test waits for ever");
    const int64_t until = woken_ ? now_ : now_ + std::max<int64_t>(timeout_ms, 0);
    woken_ = false;
    now_ = due_.empty() ? until : std::max(now_, std::min(until, due_.begin()->first));
    while (!due_.empty() && due_.begin()->first <= now_) {
      done.push_back(std::move(due_.begin()->second));
      due_.erase(due_.begin());
    }
    return {};
  }
  void wake() override { woken_ = true; }
  int64_t in_flight() const { return static_cast<int64_t>(due_.size()); }

 private:
  static constexpr int64_t kMostPolls = 1'000'000;
  int64_t& now_;
  const Server server_;
  std::multimap<int64_t, HttpResponse> due_;  // of one instant in the order of their requests
  int64_t polls_ = 0;
  bool woken_ = false;
};

}  // namespace tracer::http
