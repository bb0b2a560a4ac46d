// The vectors of the rows that a job exports, picked from those of its input.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/io/npy.h"
#include "host/io/trace_reader.h"
#include "host/job/store.h"
#include "kernels/matrix.h"
#include "kernels/status.h"

namespace tracer::cli {

struct JobVectorOptions {
  std::string vectors;  // of the job's input, one row a data line; "": none are picked
  std::string input;    // the job's input; "": every row of it could be read
};
Flag* add_job_vector_options(Flags& app, JobVectorOptions& options);  // --vectors

class JobVectors {
 public:
  // The vectors go to `npy`, with a note of their encoder where the input's have one. A job knows its rows by their
  // number among those that could be read. So without the input there must be one vector for each row routed (kBadInput
  // otherwise); with it, it must be the job's own, row for row, and have one vector a data line.
  static Result<JobVectors> open(const JobVectorOptions& options, const job::Store& store, const std::string& npy);

  // Rows of the job, ascending.
  Status add(const job::DeferredRow& row);
  // Nothing is at `npy` before.
  Status commit();

 private:
  JobVectors(JobVectorOptions options, std::string npy, io::NpyReader in, io::NpyWriter out)
      : options_(std::move(options)), npy_(std::move(npy)), in_(std::move(in)), out_(std::move(out)) {}
  Result<bool> next_good();
  Result<int64_t> position(const job::DeferredRow& row);

  JobVectorOptions options_;
  std::string npy_;
  io::NpyReader in_;
  io::NpyWriter out_;
  std::optional<io::TraceReader> reader_;
  int64_t read_ = 0;  // good rows of the input
  Matrix<float> vector_;
};

}  // namespace tracer::cli
