// Beginnings of texts of any length and content.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace tracer {

// The text where script_json() writes it in at most `most` bytes; else a beginning of it, of whole characters, and "…".
// Bytes that are no UTF-8 count as one each.
std::string excerpt(std::string_view text, size_t most);

// The same for every string in the document; keys stay.
void shorten_strings(nlohmann::ordered_json& document, size_t most);

}  // namespace tracer
