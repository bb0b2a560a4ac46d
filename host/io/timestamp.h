// Points in time as they are found in logs.
#pragma once

#include <optional>
#include <string_view>

namespace tracer::io {

// Seconds since 1970 (UTC) of
// * a decimal number: seconds; above 1e11 milliseconds, above 1e14 microseconds, above 1e17 nanoseconds;
// * an RFC 3339 / ISO 8601 date or date-time: "2024-05-01", "2024-05-01T12:00", "2024-05-01 12:00:00.25Z",
//   "2024-05-01T12:00:00+02:00" (also +0200, +02); without an offset UTC is meant; second 60 is taken as the next 0.
// Nothing for any other text.
std::optional<double> parse_timestamp(std::string_view text);

}  // namespace tracer::io
