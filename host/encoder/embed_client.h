// Asks an embedding server: texts in batches, many requests at once, what may succeed later again. Answers are given to
// the caller as they come.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "host/encoder/embed_api.h"
#include "host/http/http_client.h"
#include "host/http/pacing.h"
#include "host/http/retry.h"
#include "host/io/clock.h"

namespace tracer {

struct EmbedClientOptions {
  int64_t batch = 32;             // texts of a request, at most
  int64_t concurrency = 8;        // requests in flight, at most; fewer while the server pushes back
  int most_attempts = 6;          // of one request; being told to wait (429) uses none up
  double give_up_seconds = 600;   // without any answer, while asking
  std::function<bool()> stopped;  // asked often; true ends the asking, with kInterrupted
  uint64_t seed = 0;              // of the jitter
  io::ClockMs clock = io::steady_ms;
};

struct EmbedCounts {
  int64_t requests = 0, texts = 0, retried = 0, throttled = 0, split = 0;  // texts: sent, repetitions included
};

// One thread.
class EmbedClient {
 public:
  EmbedClient(EmbedApi api, EmbedClientOptions options, std::unique_ptr<http::HttpSender> http);

  // vectors: of texts first, first + 1, ...
  using Got = std::function<void(int64_t first, HostMatrix<const float> vectors)>;
  // rows[i]: what texts[i] is called in messages; none: the address alone is named. All vectors have one dimension,
  // that of the first answer ever. A request that is refused (400, 413, 422) is sent again in halves, and later ones
  // are no larger, until one text alone is refused. An error names the address, the batch and the row; no more is sent
  // then, and what is in flight is waited for and given. kBadInput: what the server says or wants makes no sense. kIo:
  // it is not reached, refuses us or breaks.
  Status embed(std::span<const std::string_view> texts, std::span<const int64_t> rows, const Got& got);

  int64_t dimension() const { return dimension_; }  // 0: no answer yet
  // Takes it as known, without an answer.
  void expect_dimension(int64_t dimension) { dimension_ = dimension; }
  const EmbedApi& api() const { return api_; }
  const EmbedCounts& counts() const { return counts_; }

 private:
  struct Batch {
    int64_t number = 0;  // for messages
    int64_t first = 0, count = 0;
    int attempts = 0;  // that counted
    int throttled = 0;
    bool again = false;
    int64_t started_ms = 0;
  };
  struct Later {
    int64_t at;
    Batch batch;
    bool operator<(const Later& o) const { return at != o.at ? at > o.at : batch.number > o.batch.number; }
  };
  struct Call {  // of embed()
    std::span<const std::string_view> texts;
    std::span<const int64_t> rows;
    const Got& got;
    int64_t next = 0;  // the first text that no batch has
    std::deque<Batch> ready;
    std::priority_queue<Later> later;
    std::unordered_map<uint64_t, Batch> flying;
    Status failed;
    int64_t heard_ms = 0;
  };

  // Sends what may be sent; when the next may go, or kNever.
  Result<int64_t> send_ready(Call& call, int64_t now);
  Status send(Call& call, Batch batch, int64_t now);
  void ended(Call& call, const http::HttpResponse& response, int64_t now);
  void answered(Call& call, Batch& batch, const http::HttpResponse& response, int64_t now);
  void retry(Call& call, Batch& batch, const http::HttpResponse& response, const http::Verdict& verdict, int64_t now);
  void refused(Call& call, Batch& batch, const std::string& why);
  void fail(Call& call, const Batch& batch, ErrorCode code, const std::string& what, int64_t row = -1);

  const EmbedApi api_;
  const EmbedClientOptions options_;
  const std::unique_ptr<http::HttpSender> http_;
  http::RateLimit rate_{0, 0};
  http::Concurrency concurrency_;
  int64_t batch_;  // texts of a request, as far as the server takes them
  int64_t dimension_ = 0;
  int64_t batches_ = 0;
  uint64_t sent_ = 0;
  EmbedCounts counts_;
};

}  // namespace tracer
