// The rows that a policy was fitted on, for the challengers that learn after it.
#pragma once

#include <string>

#include "host/encoder/source.h"
#include "host/io/events.h"
#include "host/route/opened_policy.h"
#include "host/versions/rows.h"

namespace tracer {

struct OriginalOptions {
  std::string traces;      // "": where the policy says they were
  std::string embeddings;  // "": where the policy says they were, else as for other traces
};

// The whole log, certify rows included, checked against the digest in the policy. Where it is not given and no longer
// in its place, the learn rows that the policy holds, with a warning. input: keys and encoder. kBadInput where another
// log is given, or where the policy holds no rows either.
Result<KeptRows> original_rows(const OriginalOptions& options, const RowSource& input, const LoadedPolicy& loaded,
                               const Backend& backend, const Events& events);

// Rows of a file with provenance as they are kept; of a cascade the file has their texts. Vectors are checked against
// the policy's encoder and dimension.
struct ReadRows {
  io::TraceFile file;
  KeptRows rows;
};
Result<ReadRows> read_kept_rows(const RowSource& input, const std::string& vectors, const std::string& rejects,
                                bool provenance, const LoadedPolicy& loaded, const Backend& backend,
                                const Events& events);

}  // namespace tracer
