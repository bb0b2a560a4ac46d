// The vectors of the rows that a job exports, picked from those of its input.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "host/io/npy.h"
#include "host/io/trace_reader.h"
#include "host/job/store.h"
#include "kernels/matrix.h"
#include "kernels/status.h"

namespace tracer::job {

class JobVectors {
 public:
  // vectors: of the job's input, one row a data line. input: the job's, or "". The vectors go to `npy`, with a note of
  // their encoder where the input's have one. A job knows its rows by their number among those that could be read. So
  // without the input there must be one vector for each row routed (kBadInput otherwise); with it, it must be the job's
  // own, row for row, and have one vector a data line.
  static Result<JobVectors> open(const std::string& vectors, const std::string& input, const Store& store,
                                 const std::string& npy);

  // Rows of the job, ascending.
  Status add(const DeferredRow& row);
  // Nothing is at `npy` before.
  Status commit();

 private:
  JobVectors(std::string vectors, std::string input, std::string npy, io::NpyReader in, io::NpyWriter out)
      : path_(std::move(vectors)),
        input_(std::move(input)),
        npy_(std::move(npy)),
        in_(std::move(in)),
        out_(std::move(out)) {}
  Result<bool> next_good();
  Result<int64_t> position(const DeferredRow& row);

  std::string path_;   // of the input's vectors
  std::string input_;  // "": every row of it could be read
  std::string npy_;
  io::NpyReader in_;
  io::NpyWriter out_;
  std::optional<io::TraceReader> reader_;
  int64_t read_ = 0;  // good rows of the input
  Matrix<float> vector_;
};

}  // namespace tracer::job
