// What a long call tells its caller on the way, and how the caller stops it. Nothing in the libraries prints.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace tracer {

// How far one pass over rows is. `doing` ("embedding") names the pass; passes do not overlap.
struct Progress {
  std::string_view doing;
  int64_t rows = 0;   // done so far, 0 at the start of the pass
  double share = -1;  // of the pass, in [0, 1]; negative: not known
  bool done = false;  // the last word of the pass
};

// Each function may be empty. They are called on the thread that made the call, one at a time, but `stopped`, which any
// thread may ask; none may throw. Lines have no line break at their end; what they quote of files is raw text.
struct Events {
  std::function<void(std::string_view line)> note;  // what is being done
  std::function<void(std::string_view line)> warn;  // what the caller should know of the result
  std::function<void(const Progress&)> progress;
  std::function<bool()> stopped;  // true: end soon, in order; the call returns kInterrupted

  void tell(std::string_view line) const {
    if (note) note(line);
  }
  void caution(std::string_view line) const {
    if (warn) warn(line);
  }
  void advance(const Progress& at) const {
    if (progress) progress(at);
  }
  bool stop_wanted() const { return stopped && stopped(); }
};

}  // namespace tracer
