// A labelled log and its vectors, as the commands that learn from one read it.
#pragma once

#include <optional>
#include <string>

#include "host/cli/command.h"
#include "host/cli/inputs.h"
#include "host/encoder/encoder.h"
#include "host/io/traces.h"
#include "kernels/matrix.h"

namespace tracer::cli {

// The rows of input.traces; warns of bad ones, which go to rejects_path ("": nowhere). keep_input: their text is to be
// embedded.
Result<io::TraceFile> read_log(const InputOptions& input, const std::string& group_by, const std::string& rejects_path,
                               bool keep_input, const Console& console);

struct LogVectors {
  Matrix<float> x;          // a row for each good trace
  EncoderIdentity encoder;  // of the vectors; unknown where they come without a note
};

// Read from `npy`, which holds a vector for each data line of the log, or made of the rows' text where there is an
// encoder. kBadInput when the number of vectors is another.
Result<LogVectors> read_or_embed(const std::string& npy, const Encoder* encoder, const io::TraceFile& file,
                                 const std::string& traces, const Console& console);

}  // namespace tracer::cli
