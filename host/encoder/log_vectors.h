// A labelled log and its vectors, as the commands that learn from one read it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/encoder/encoder.h"
#include "host/encoder/source.h"
#include "host/io/events.h"
#include "host/io/traces.h"
#include "kernels/backend.h"
#include "kernels/matrix.h"

namespace tracer {

io::TraceReaderOptions reader_options(const RowSource& source);

// The rows of input.traces; warns of bad ones, which go to rejects_path ("": nowhere). keep_input: their text is to be
// embedded.
Result<io::TraceFile> read_log(const RowSource& input, const std::string& group_by, const std::string& rejects_path,
                               bool keep_input, const Events& events);

struct LogVectors {
  Matrix<float> x;          // a row for each good trace
  EncoderIdentity encoder;  // of the vectors; unknown where they come without a note
};

// Read from `npy`, which holds a vector for each data line of the log, or made of the rows' text where there is an
// encoder. kBadInput when the number of vectors is another.
Result<LogVectors> read_or_embed(const std::string& npy, const Encoder* encoder, const io::TraceFile& file,
                                 const std::string& traces, const Events& events);

// The log that policies are learned from, as far as other rows have to fit it.
struct LearnedLog {
  const std::vector<std::string>& labels;
  const LogVectors& vectors;
  const std::string& path;
};

// What embeds other rows as the log's: the encoder that embeds the log itself, else the one that its vectors are noted
// to be of.
class AlikeEncoder {
 public:
  // kBadInput when nothing is known of what made the log's vectors, or it is a server. `start` begins messages,
  // `option` is the one that would give vectors instead ("": none would). rows: how they are read. The encoder must
  // outlive it.
  static Result<AlikeEncoder> open(const std::string& start, const std::string& option, const RowSource& rows,
                                   const LearnedLog& learned, const Encoder* encoder, const Backend& backend,
                                   const Events& events);
  const Encoder* encoder() const { return own_ ? &*own_ : given_; }

 private:
  std::optional<Encoder> own_;
  const Encoder* given_ = nullptr;
};

// Other labelled rows and their vectors, of the file `vectors`; where that is "" their text is embedded as the log's
// is. kBadInput as above, and when the vectors do not go together. Bad rows are warned of, and go nowhere.
struct AlikeRows {
  io::TraceFile file;
  LogVectors vectors;
};
Result<AlikeRows> read_alike(const Backend& backend, const std::string& start, const std::string& option,
                             const RowSource& rows, const std::string& vectors, const LearnedLog& learned,
                             const Encoder* encoder, const Events& events);

}  // namespace tracer
