// JSON documents that may hold anything: parsing with bounded nesting, and typed, range-checked reading of objects.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "kernels/status.h"

namespace tracer {

// kBadInput, beginning with `part`, for what is no JSON or nests deeper than any document of ours.
Result<nlohmann::ordered_json> parse_json(std::string_view text, const std::string& part);

// The fields of one object. The first fault is kept; later calls are no-ops.
class JsonFields {
 public:
  using Json = nlohmann::ordered_json;

  JsonFields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object_.is_object()) fail("", "an object");
  }

  const Status& status() const { return status_; }

  void number(const char* key, double& out, double low, double high) {
    const Json* v = find(key);
    if (v == nullptr) return;
    if (!v->is_number() || !(v->get<double>() >= low && v->get<double>() <= high))
      return fail(key, "a number from " + std::to_string(low) + " to " + std::to_string(high));
    out = v->get<double>();
  }
  void finite(const char* key, double& out) {
    number(key, out, -std::numeric_limits<double>::max(), std::numeric_limits<double>::max());
  }
  void optional_number(const char* key, std::optional<double>& out) {
    const Json* v = find(key);
    if (v == nullptr || v->is_null()) return;
    double value = 0;
    finite(key, value);
    out = value;
  }
  void count(const char* key, int64_t& out, int64_t most = std::numeric_limits<int64_t>::max()) {
    const Json* v = find(key);
    if (v == nullptr) return;
    // Unsigned values above int64 must not wrap.
    const bool whole =
        v->is_number_integer() &&
        (!v->is_number_unsigned() || v->get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()));
    if (!whole || v->get<int64_t>() < 0 || v->get<int64_t>() > most)
      return fail(key, "a whole number from 0 to " + std::to_string(most));
    out = v->get<int64_t>();
  }
  void optional_count(const char* key, std::optional<int64_t>& out) {
    const Json* v = find(key);
    if (v == nullptr || v->is_null()) return;
    int64_t value = 0;
    count(key, value);
    out = value;
  }
  void boolean(const char* key, bool& out) {
    const Json* v = find(key);
    if (v == nullptr) return;
    if (!v->is_boolean()) return fail(key, "true or false");
    out = v->get<bool>();
  }
  void text(const char* key, std::string& out) {
    const Json* v = find(key);
    if (v == nullptr) return;
    if (!v->is_string()) return fail(key, "a string");
    out = v->get<std::string>();
  }
  // One of the names; out: the value whose place the name has.
  template <class Kind, class Names>
  void word(const char* key, const Names& names, Kind& out) {
    std::string text, expected;
    this->text(key, text);
    if (!status_.ok()) return;
    int place = 0;
    for (const char* name : names) {
      if (text == name) {
        out = static_cast<Kind>(place);
        return;
      }
      expected += (place++ > 0 ? ", " : "one of ") + std::string(name);
    }
    fail(key, expected);
  }
  const Json& object(const char* key) { return typed(key, "an object", &Json::is_object, empty_object()); }
  const Json& array(const char* key) { return typed(key, "an array", &Json::is_array, empty_array()); }

 private:
  static const Json& empty_object() {
    static const Json value = Json::object();
    return value;
  }
  static const Json& empty_array() {
    static const Json value = Json::array();
    return value;
  }
  const Json& typed(const char* key, const char* what, bool (Json::*is)() const noexcept, const Json& fallback) {
    const Json* v = find(key);
    if (v == nullptr) return fallback;
    if (!(v->*is)()) {
      fail(key, what);
      return fallback;
    }
    return *v;
  }
  const Json* find(const char* key) {
    if (!status_.ok()) return nullptr;
    const auto it = object_.find(key);
    if (it != object_.end()) return &*it;
    status_ = bad_input(where_ + ": expected the field \"" + key + "\", found none");
    return nullptr;
  }
  void fail(const std::string& key, const std::string& expected) {
    if (!status_.ok()) return;
    std::string found = "nothing";
    if (key.empty()) {
      found = object_.type_name();
    } else {
      found = object_.at(key).dump(-1, ' ', true, Json::error_handler_t::replace);
      if (found.size() > 60) found = found.substr(0, 60) + "...";
    }
    status_ =
        bad_input(where_ + (key.empty() ? "" : ": \"" + key + "\"") + ": expected " + expected + ", found " + found);
  }

  const Json& object_;
  std::string where_;
  Status status_;
};

template <class T>
nlohmann::ordered_json optional_json(const std::optional<T>& v) {
  return v ? nlohmann::ordered_json(*v) : nlohmann::ordered_json(nullptr);
}

}  // namespace tracer
