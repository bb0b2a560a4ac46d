#include "host/encoder/embed_api.h"

#include <simdjson.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "host/http/api_error.h"
#include "host/io/json_text.h"

namespace tracer {
namespace {

namespace dom = simdjson::dom;

constexpr int64_t kMostDimensions = int64_t{1} << 20;

std::string_view without_query(std::string_view url) { return url.substr(0, url.find_first_of("?#")); }

std::string_view without_slashes(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

// The path; "" where the address is a host alone.
std::string_view path_of(std::string_view url) {
  const size_t host = url.find("://");
  const size_t slash = url.find('/', host == std::string_view::npos ? 0 : host + 3);
  return slash == std::string_view::npos ? std::string_view() : without_slashes(url.substr(slash));
}

int sextet(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// float32, little-endian. False where the text is no base64 of whole numbers.
bool decode_base64(std::string_view text, std::vector<float>& out) {
  static_assert(std::endian::native == std::endian::little);
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  if (text.size() % 4 == 1) return false;
  std::string bytes;
  uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    const int value = sextet(c);
    if (value < 0) return false;
    bits = bits << 6 | static_cast<uint32_t>(value);
    if ((held += 6) < 8) continue;
    held -= 8;
    bytes += static_cast<char>(bits >> held & 0xff);
  }
  if (bytes.size() % sizeof(float) != 0) return false;
  out.resize(bytes.size() / sizeof(float));
  if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
  return true;
}

// Puts the vectors of an answer where they belong, and checks them.
class Rows {
 public:
  Rows(int64_t count, int64_t dimension, Matrix<float>& out) : count_(count), dimension_(dimension), out_(out) {}

  // `value`: an array of numbers, or base64.
  std::optional<EmbedFault> take(int64_t row, dom::element value) {
    vector_.clear();
    std::string_view text;
    dom::array numbers;
    if (value.get(numbers) == simdjson::SUCCESS) {
      for (const dom::element number : numbers) {
        double d = 0;
        if (number.get(d) != simdjson::SUCCESS)
          return EmbedFault{"number " + std::to_string(vector_.size() + 1) + " of the vector is no number", row};
        vector_.push_back(static_cast<float>(d));
      }
    } else if (value.get(text) != simdjson::SUCCESS) {
      return EmbedFault{"the vector is no array of numbers", row};
    } else if (!decode_base64(text, vector_)) {
      return EmbedFault{"the vector is neither an array of numbers nor base64 of float32", row};
    }
    return place(row);
  }

 private:
  std::optional<EmbedFault> place(int64_t row) {
    const auto n = static_cast<int64_t>(vector_.size());
    if (n == 0 || n > kMostDimensions) return EmbedFault{"a vector of " + std::to_string(n) + " numbers", row};
    if (dimension_ == 0) dimension_ = n;
    if (n != dimension_)
      return EmbedFault{
          "a vector of dimension " + std::to_string(n) + ", where " + std::to_string(dimension_) + " is expected", row};
    const auto odd = std::find_if_not(vector_.begin(), vector_.end(), [](float x) { return std::isfinite(x); });
    if (odd != vector_.end())
      return EmbedFault{"number " + std::to_string(odd - vector_.begin() + 1) + " of the vector is not finite", row};
    if (std::all_of(vector_.begin(), vector_.end(), [](float x) { return x == 0; }))
      return EmbedFault{"a vector of zeros", row};
    if (out_.empty()) out_ = Matrix<float>(count_, dimension_);
    std::copy(vector_.begin(), vector_.end(), out_.row(row));
    return std::nullopt;
  }

  const int64_t count_;
  int64_t dimension_;
  Matrix<float>& out_;
  std::vector<float> vector_;
};

std::optional<EmbedFault> wrong_count(size_t found, int64_t expected) {
  if (found == static_cast<size_t>(expected)) return std::nullopt;
  return EmbedFault{"expected " + std::to_string(expected) + " vectors, one for each text, found " +
                    std::to_string(found)};
}

std::optional<EmbedFault> take_list(dom::array list, int64_t count, Rows& rows) {
  if (auto fault = wrong_count(list.size(), count)) return fault;
  int64_t row = 0;
  for (const dom::element vector : list)
    if (auto fault = rows.take(row++, vector)) return fault;
  return std::nullopt;
}

// In any order, where each says its place.
std::optional<EmbedFault> take_data(dom::array data, int64_t count, Rows& rows) {
  if (auto fault = wrong_count(data.size(), count)) return fault;
  std::vector<bool> seen(static_cast<size_t>(count), false);
  int64_t at = 0;
  for (const dom::element item : data) {
    int64_t row = at++;
    dom::object object;
    dom::element embedding;
    if (item.get(object) != simdjson::SUCCESS || object["embedding"].get(embedding) != simdjson::SUCCESS)
      return EmbedFault{"data has no \"embedding\"", row};
    const auto index = object["index"];
    if (index.error() == simdjson::SUCCESS && (index.get(row) != simdjson::SUCCESS || row < 0 || row >= count))
      return EmbedFault{"an \"index\" that is no place of " + std::to_string(count), at - 1};
    if (seen[row]) return EmbedFault{"the \"index\" of two vectors", row};
    seen[row] = true;
    if (auto fault = rows.take(row, embedding)) return fault;
  }
  return std::nullopt;
}

}  // namespace

const char* to_string(EmbedDialect dialect) {
  return dialect == EmbedDialect::kOpenAi ? "openai" : dialect == EmbedDialect::kTei ? "tei" : "json";
}

std::optional<EmbedDialect> parse_embed_dialect(std::string_view name) {
  for (const auto dialect : {EmbedDialect::kOpenAi, EmbedDialect::kTei, EmbedDialect::kJson})
    if (name == to_string(dialect)) return dialect;
  return std::nullopt;
}

EmbedDialect embed_dialect_of(std::string_view url) {
  const std::string_view path = path_of(without_query(url));
  if (path.ends_with("/embeddings") || path.ends_with("/v1")) return EmbedDialect::kOpenAi;
  return path.ends_with("/embed") ? EmbedDialect::kTei : EmbedDialect::kJson;
}

Result<EmbedApi> EmbedApi::make(EmbedApiOptions options) {
  const std::string& url = options.url;
  const size_t scheme = url.rfind("http://", 0) == 0 ? 7 : url.rfind("https://", 0) == 0 ? 8 : 0;
  const std::string_view host = std::string_view(url).substr(scheme, url.find_first_of("/?#", scheme) - scheme);
  if (scheme == 0 || host.empty())
    return bad_input("expected an address that begins with http:// or https://, found \"" +
                     std::string(without_query(url)) + "\"");
  if (host.find('@') != std::string_view::npos)
    return bad_input("the address holds a user name: a key is given by environment or file, never in an address");
  if (options.dialect == EmbedDialect::kOpenAi && options.model.empty())
    return bad_input("an openai server wants a model's name");
  EmbedApi api;
  api.name_ = std::string(without_slashes(without_query(url)));
  const std::string query = url.substr(without_query(url).size());
  if (options.dialect == EmbedDialect::kOpenAi && api.name_.ends_with("/v1")) api.name_ += "/embeddings";
  api.url_ = api.name_ + query;
  api.headers_ = {"Content-Type: application/json"};
  if (!options.key.empty()) api.headers_.push_back("Authorization: Bearer " + options.key);
  api.options_ = std::move(options);
  return api;
}

std::string EmbedApi::body(std::span<const std::string_view> texts) const {
  const EmbedApiOptions& o = options_;
  const bool openai = o.dialect == EmbedDialect::kOpenAi, tei = o.dialect == EmbedDialect::kTei;
  std::string out = "{" + (openai ? "\"input\"" : tei ? "\"inputs\"" : io::json_string(o.input_key)) + ":[";
  for (size_t i = 0; i < texts.size(); ++i) out += (i > 0 ? "," : "") + io::json_string(texts[i]);
  out += "]";
  if (tei) out += ",\"truncate\":true";  // as a local encoder does with longer texts
  if (!tei && !o.model.empty()) out += ",\"model\":" + io::json_string(o.model);
  if (openai && o.dimensions > 0) out += ",\"dimensions\":" + std::to_string(o.dimensions);
  if (openai && o.base64) out += ",\"encoding_format\":\"base64\"";
  return out + "}";
}

std::string EmbedApi::without_key(std::string text) const {
  const std::string& key = options_.key;
  for (size_t at = 0; !key.empty() && (at = text.find(key, at)) != std::string::npos;)
    text.replace(at, key.size(), "***");
  return text;
}

std::optional<EmbedFault> parse_embeddings(EmbedDialect dialect, std::string_view body, int64_t count,
                                           int64_t dimension, Matrix<float>& out) {
  out = Matrix<float>();
  dom::parser parser;
  dom::element answer;
  if (parser.parse(body.data(), body.size()).get(answer) != simdjson::SUCCESS) {
    const bool odd = body.find("NaN") != std::string_view::npos || body.find("Infinity") != std::string_view::npos;
    return EmbedFault{odd ? "the answer is no JSON: it holds NaN or Infinity" : "the answer is no JSON", -1, true};
  }
  Rows rows(count, dimension, out);
  dom::array list;
  dom::object object;
  const bool is_object = answer.get(object) == simdjson::SUCCESS;
  if (dialect == EmbedDialect::kOpenAi && is_object && object["data"].get(list) == simdjson::SUCCESS)
    return take_data(list, count, rows);
  if (dialect != EmbedDialect::kOpenAi && answer.get(list) == simdjson::SUCCESS) return take_list(list, count, rows);
  if (dialect == EmbedDialect::kJson && is_object && object["embeddings"].get(list) == simdjson::SUCCESS)
    return take_list(list, count, rows);
  const std::string said = http::parse_api_error(body).message;
  return EmbedFault{std::string("the answer ") +
                    (dialect == EmbedDialect::kOpenAi ? "has no array \"data\""
                     : dialect == EmbedDialect::kTei  ? "is no array of vectors"
                                                      : "is no array of vectors, and has none as \"embeddings\"") +
                    (said.empty() ? "" : ": " + said)};
}

}  // namespace tracer
