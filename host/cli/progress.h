// How far a long pass over rows is, on stderr: on a terminal one line that redraws itself, elsewhere a plain line now
// and then. Silent under --quiet.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "host/cli/command.h"

namespace tracer::cli {

class Progress {
 public:
  // doing: "embedding". Nothing is shown before the first update.
  Progress(const Console& console, std::string doing);
  // Ends the redrawn line, when there is one.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `rows` more are done; `share` of everything is, in [0, 1], or negative where that is not known. Not thread-safe.
  void advance(int64_t rows, double share);
  // The last word, with the rows and their rate: shown even when the pass was too short for an update.
  void finish();

  int64_t rows() const { return rows_; }
  double seconds() const;

 private:
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

// "1 h 02 min", "3 min 20 s", "7 s".
std::string duration(double seconds);

}  // namespace tracer::cli
