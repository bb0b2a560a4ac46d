// Numbers, counts and foreign text as people read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tracer {

// Text of a file as a terminal may show it: control characters and bytes that are no UTF-8 as \xNN, C1 controls and
// those that change the direction of writing as <U+NNNN>. For people only: JSON carries the text itself. What is shown
// already stays as it is.
std::string shown(std::string_view text);

// "1 row", "2 rows".
std::string counted(int64_t n, const std::string& noun);

std::string number(double v);  // to six digits, in the shortest form: 0.95

// The text with its marked options (kernels/status.h) as the command line spells them: embed_url is --embed-url, output
// -o. Documents and reports hold them so.
std::string as_flags(std::string_view marked);

// Milliseconds of a duration like "1h2m3.5s", "250ms" or "12" (seconds), a day at most; -1 when it is none.
int64_t duration_ms(std::string_view text);

// "1 h 02 min", "3 min 20 s", "7 s".
std::string duration(double seconds);

}  // namespace tracer
