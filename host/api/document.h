// What a call found, for programs and for people.
#pragma once

#include <string>

namespace tracer {

struct Document {
  std::string json;  // one JSON document with a line break at its end; null where a figure is undefined, never NaN
  std::string
      text;  // lines for a terminal, as the command of the same name prints them; text of files is shown() in it
};

// Every result that holds a Document gives its parts so.
template <class Found>
const std::string& to_json(const Found& found) {
  return found.document.json;
}
template <class Found>
const std::string& to_text(const Found& found) {
  return found.document.text;
}

}  // namespace tracer
