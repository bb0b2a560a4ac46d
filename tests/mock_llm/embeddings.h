// The embedding servers of mock_llm: OpenAI's /v1/embeddings, text-embeddings-inference's /embed, and a plain /vectors.
// A text decides its vector, near the centre of the label that mock_llm answers it with.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/maths/random.h"
#include "host/io/text_hash.h"

struct EmbedFaults {
  int64_t dimension = 16;
  int64_t grow_after = -1;
  int64_t most = -1;
  std::string refuse;
  // reversed: vectors in reverse order, each with its index; base64: so coded; wrapped: {"embeddings": ...} of
  // /vectors; no-index: as it says; twice: two vectors with one index; short: a vector missing; ragged: the last one is
  // longer; nan, null, text, huge: in place of a number; zero: a vector of zeros; not-json; other: JSON that is no
  // answer; once-not-json: the first answer alone.
  std::string odd;
};

class MockEmbeddings {
 public:
  using Json = nlohmann::json;

  MockEmbeddings(const EmbedFaults& faults, size_t labels) : faults_(faults), labels_(labels) {}

  // Status and body. arrives: whether the client will get it whole.
  std::pair<int, std::string> answer(const std::string& path, const std::string& body, bool arrives) {
    const bool openai = path == "/v1/embeddings", tei = path == "/embed";
    const Json request = Json::parse(body, nullptr, false);
    const char* key = openai ? "input" : tei ? "inputs" : "texts";
    const auto refuse = [](int status, const std::string& why) {
      return std::pair(status, Json{{"error", why}}.dump());
    };
    if (!request.is_object() || !request.contains(key) || !request[key].is_array())
      return refuse(400, std::string("no array ") + key);
    if (openai && request.value("model", "").empty()) return refuse(400, "no model");
    const auto texts = request[key].get<std::vector<std::string>>();
    const auto n = static_cast<int64_t>(texts.size());
    if (faults_.most >= 0 && n > faults_.most) return refuse(413, "batch size " + std::to_string(n) + " is too large");
    for (const std::string& text : texts)
      if (!faults_.refuse.empty() && text.find(faults_.refuse) != std::string::npos)
        return refuse(400, "a text of no kind that is taken here");
    int64_t dimension = request.value("dimensions", faults_.dimension);
    int64_t number = 0;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      number = requests_++;
      largest_ = std::max(largest_, n);
      if (faults_.grow_after >= 0 && number >= faults_.grow_after) ++dimension;
      for (const std::string& text : texts) {
        ++asked_;
        if (arrives) ++answered_[text];
      }
    }
    const std::string& odd = faults_.odd;
    Json vectors = Json::array();
    for (const std::string& text : texts) vectors.push_back(vector(text, dimension));
    Json& last = vectors.back();
    if (odd == "ragged") last.push_back(0.5);
    if (odd == "null") last[1] = nullptr;
    if (odd == "text") last[1] = "0.5";
    if (odd == "huge") last[1] = 1e300;
    if (odd == "zero") last = std::vector<float>(static_cast<size_t>(dimension), 0.0f);
    if (odd == "short") vectors.erase(vectors.size() - 1);
    if (odd == "not-json" || (odd == "once-not-json" && number == 0)) return {200, "<html>502 from a proxy</html>"};
    if (odd == "nan") return {200, "[[NaN]]"};
    if (odd == "other") return {200, Json{{"detail", "the model is loading"}}.dump()};
    if (openai) return {200, openai_answer(vectors, odd, request.value("encoding_format", "float") == "base64")};
    return {200, odd == "wrapped" ? Json{{"embeddings", vectors}}.dump() : vectors.dump()};
  }

  Json stats() {
    const std::lock_guard<std::mutex> lock(mutex_);
    int64_t again = 0;
    for (const auto& [text, times] : answered_) again += times - 1;
    return {{"requests", requests_},
            {"asked", asked_},
            {"texts", answered_.size()},
            {"answered_again", again},
            {"largest", largest_}};
  }

 private:
  std::vector<float> vector(const std::string& text, int64_t dimension) const {
    const uint64_t hash = tracer::io::xxh64(text);
    const tracer::Random noise(hash, tracer::Stream::kPosterior);
    std::vector<float> out;
    for (int64_t d = 0; d < dimension; ++d)
      out.push_back(static_cast<float>((d == static_cast<int64_t>(hash % labels_) ? 3.0 : 0.0) +
                                       0.5 * noise.normal(static_cast<uint64_t>(d))));
    return out;
  }

  static std::string base64(const Json& vector) {
    static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const auto numbers = vector.get<std::vector<float>>();
    std::string bytes(numbers.size() * sizeof(float), '\0'), out;
    std::memcpy(bytes.data(), numbers.data(), bytes.size());
    for (size_t i = 0; i < bytes.size(); i += 3) {
      uint32_t bits = 0;
      for (size_t j = 0; j < 3; ++j)
        bits = bits << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
      for (size_t j = 0; j < 4; ++j)
        out += j <= std::min<size_t>(3, bytes.size() - i) ? kDigits[bits >> (18 - 6 * j) & 63] : '=';
    }
    return out;
  }

  static std::string openai_answer(const Json& vectors, const std::string& odd, bool coded) {
    Json data = Json::array();
    for (size_t i = 0; i < vectors.size(); ++i) {
      Json item = {{"object", "embedding"}, {"index", i}};
      item["embedding"] = coded || odd == "base64" ? Json(base64(vectors[i])) : vectors[i];
      if (odd == "no-index") item.erase("index");
      if (odd == "twice") item["index"] = 0;
      data.push_back(std::move(item));
    }
    if (odd == "reversed") std::reverse(data.begin(), data.end());
    return Json{{"object", "list"}, {"data", std::move(data)}, {"model", "m"}}.dump();
  }

  const EmbedFaults faults_;
  const size_t labels_;
  std::mutex mutex_;
  std::unordered_map<std::string, int64_t> answered_;
  int64_t requests_ = 0, asked_ = 0, largest_ = 0;
};
