// The pages of `tracer report --html` and `tracer scan --html`: one HTML file that needs nothing else.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace tracer {

// JSON that is safe inside <script type="application/json">: no <, > or &, no U+2028 or U+2029, and UTF-8 whatever the
// strings held (bytes that are none become U+FFFD). Any JSON reader gives the document back.
std::string script_json(const nlohmann::ordered_json& document);

// data: as report_data() or scan_data() makes it. The page runs the program's own script and style, which its
// Content-Security-Policy names by their SHA-256, and may load nothing from anywhere. Same data, same bytes. "" if the
// crypto library failed.
std::string report_page(const nlohmann::ordered_json& data);
std::string scan_page(const nlohmann::ordered_json& data);

}  // namespace tracer
