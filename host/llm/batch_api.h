// The batch APIs: OpenAI's files and batches, Anthropic's message batches. One request at a time, no retries: what an
// answer means, the caller is told.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "host/http/http_transfer.h"
#include "host/http/retry.h"
#include "host/llm/chat_api.h"

namespace tracer::llm {

enum class BatchProgress {
  kWorking,
  kEnded,   // completed, expired or cancelled: what it came to is in its results
  kFailed,  // refused as a whole: nothing of it was worked on
};

struct RemoteBatch {
  std::string id;
  BatchProgress progress = BatchProgress::kWorking;
  std::string status;                // in the server's words
  std::string tag;                   // as it was made with; "" where the API keeps none (Anthropic)
  double created = 0;                // seconds since 1970
  int64_t requests = 0;              // 0: not counted yet
  int64_t done = 0;                  // of them
  std::vector<std::string> results;  // names for download(): answers first, then errors
  std::string error;                 // of kFailed, in the server's words
};

// What a call came to. `value` is set when the verdict is kAnswered; `sent`: see HttpResponse.
template <typename T>
struct Called {
  http::Verdict verdict;
  bool sent = true;
  T value{};
};

class BatchApi {
 public:
  // Both must outlive it.
  BatchApi(const ChatApi& chat, http::HttpTransfer& http);

  // `requests`: the file that request_file() of host/job makes. OpenAI: uploads it, and gives the file's id. Anthropic
  // takes the requests with create(): nothing is sent, the id is "".
  Result<Called<std::string>> upload(const std::string& requests, const std::string& name);
  // tag: comes back with the batch, so that one whose answer was lost is found again.
  Result<Called<RemoteBatch>> create(const std::string& requests, const std::string& file_id, const std::string& tag);
  Result<Called<RemoteBatch>> get(const std::string& id);
  // The account's batches, newest first: those not older than `since` (seconds since 1970).
  Result<Called<std::vector<RemoteBatch>>> list(double since);
  Result<Called<RemoteBatch>> cancel(const std::string& id);
  // Into a file, whole or not at all.
  Result<Called<std::string>> download(const std::string& result, const std::string& path);

 private:
  template <typename T, typename Parse>
  Result<Called<T>> call(http::TransferRequest request, Parse parse);
  std::string batches() const;
  bool openai() const { return chat_.options().api == Api::kOpenAi; }

  const ChatApi& chat_;
  http::HttpTransfer& http_;
  std::string base_;                  // of the API
  std::vector<std::string> headers_;  // without a content type: for requests without a JSON body
};

// A batch as either API describes it; nothing where it is none. Ids are taken only if they are plain words: they
// become part of an address.
std::optional<RemoteBatch> parse_batch(Api api, const nlohmann::json& json);

}  // namespace tracer::llm
