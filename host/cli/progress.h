// How far a long pass over rows is, on stderr: on a terminal one line that redraws itself, elsewhere a plain line now
// and then. Silent under --quiet.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "host/cli/command.h"

namespace tracer::cli {

class ProgressLine {
 public:
  // doing: "embedding". Nothing is shown before the first update.
  ProgressLine(const Console& console, std::string doing);
  // Ends the redrawn line, when there is one.
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // `rows` are done; `share` of everything is, in [0, 1], or negative where that is not known. Not thread-safe.
  void show(int64_t rows, double share);
  // The last word, with the rows and their rate: shown even when the pass was too short for an update.
  void finish();

 private:
  double seconds() const;
  std::string line(double share) const;
  void draw(const std::string& text);

  const Console console_;
  const std::string doing_;
  const bool terminal_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  double shown_at_ = 0;
  int64_t rows_ = 0;
  bool drawn_ = false;
};

}  // namespace tracer::cli
