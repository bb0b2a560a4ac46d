// JSON from elsewhere: parsed within a depth, looked into without exceptions.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace tracer::io {

// Nothing where the text is no JSON, or nests deeper than 64.
std::optional<nlohmann::json> parse_untrusted(std::string_view text);

// The value at a path of keys ("0": the first of an array), or nullptr.
const nlohmann::json* find_at(const nlohmann::json& json, std::initializer_list<std::string_view> path);

// A string, or a whole number as text; "" when there is none.
std::string text_at(const nlohmann::json& json, std::initializer_list<std::string_view> path);

// A count of 0 .. 2^27; false when there is none. Times the dearest price, four of them fit in an int64.
bool count_at(const nlohmann::json& json, std::initializer_list<std::string_view> path, int64_t& out);

}  // namespace tracer::io
