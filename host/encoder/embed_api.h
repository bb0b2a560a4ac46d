// Three wire formats of embedding servers behind one shape: texts in, a vector each.
//
//   openai  POST {"model", "input": [text...], "dimensions"?}   -> {"data": [{"index", "embedding": [number...]}...]}
//           in any order; an embedding may also be base64 of little-endian float32
//   tei     POST {"inputs": [text...], "truncate": true}        -> [[number...]...]   (text-embeddings-inference,
//   /embed) json    POST {"texts": [text...], "model"?}                 -> [[number...]...] or {"embeddings":
//   [[number...]...]}
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/matrix.h"
#include "kernels/status.h"

namespace tracer {

enum class EmbedDialect { kOpenAi, kTei, kJson };
// Names are frozen: they are written to files.
const char* to_string(EmbedDialect dialect);  // "openai", "tei", "json"
std::optional<EmbedDialect> parse_embed_dialect(std::string_view name);

// By the end of the address's path: /embeddings and /v1 are openai (the latter is a base, and gets /embeddings), /embed
// is tei, anything else json.
EmbedDialect embed_dialect_of(std::string_view url);

struct EmbedApiOptions {
  EmbedDialect dialect = EmbedDialect::kOpenAi;
  std::string url;                  // http:// or https://
  std::string model;                // openai: needed; json: sent where it is not ""
  std::string key;                  // "": no Authorization
  int64_t dimensions = 0;           // openai: asked for; 0: the model's own
  bool base64 = false;              // openai: asked for; answers may be either way
  std::string input_key = "texts";  // json
};

// Builds requests. Immutable and thread-safe.
class EmbedApi {
 public:
  // kBadInput: no address of http or https, a user name in it, an openai server without a model.
  static Result<EmbedApi> make(EmbedApiOptions options);

  const EmbedApiOptions& options() const { return options_; }
  const std::string& url() const { return url_; }    // where requests go
  const std::string& name() const { return name_; }  // that without its query: for people, logs and files
  const std::vector<std::string>& headers() const { return headers_; }
  std::string body(std::span<const std::string_view> texts) const;
  // `text` without the key, should a server have quoted it.
  std::string without_key(std::string text) const;

 private:
  EmbedApi() = default;
  EmbedApiOptions options_;
  std::string url_, name_;
  std::vector<std::string> headers_;
};

// What is wrong with an answer. row: of the batch, from 0; -1: not of one row.
struct EmbedFault {
  std::string what;
  int64_t row = -1;
  bool no_json = false;  // not even JSON: a proxy's page, or half a document
};

// The vectors in the body of a 200, in the order of the texts, of one dimension: `dimension`, or any for 0. A fault
// when there are not `count`, when a number is none, not finite or no float32, or a vector is all zeros.
std::optional<EmbedFault> parse_embeddings(EmbedDialect dialect, std::string_view body, int64_t count,
                                           int64_t dimension, Matrix<float>& out);

}  // namespace tracer
