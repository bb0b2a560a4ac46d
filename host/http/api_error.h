// What the body of a refused request says, in the shapes that LLM and embedding servers use.
#pragma once

#include <string>
#include <string_view>

namespace tracer::http {

// What a server's error says; empty strings where it says nothing. The message is cut to 300 bytes of one line.
struct ApiError {
  std::string type, code, param, message;
};
ApiError parse_api_error(std::string_view body);

}  // namespace tracer::http
