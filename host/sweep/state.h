// What a sweep has finished, on disk, so that a run that was stopped goes on where it was. JSON lines: the first says
// what the runs are of, each other one is a finished run (host/sweep/run_json.h).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/study/sweep.h"
#include "host/io/file.h"
#include "kernels/status.h"

namespace tracer {

// One process at a time: the file is locked while it is open. Not thread-safe.
class SweepState {
 public:
  // config: everything that decides what a run of a given size and seed comes to (an object of scalars and lists).
  // Makes the file when it is absent or empty. A last line without its end was being written when the process died: it
  // is cut off. kBadInput, and the file as it was, when it is something else, damaged, or of another config; the
  // message names what differs. kIo: cannot be opened, or is in use by another process.
  static Result<SweepState> open(const std::string& path, const nlohmann::ordered_json& config);

  const std::vector<SweepRun>& runs() const { return runs_; }
  // On the disk when it returns.
  Status append(const SweepRun& run);

 private:
  std::string path_;
  io::UniqueFd fd_;
  std::vector<SweepRun> runs_;
};

}  // namespace tracer
