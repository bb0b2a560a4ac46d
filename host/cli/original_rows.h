// The rows that a policy was fitted on, for the challengers that learn after it.
#pragma once

#include <string>

#include "host/cli/command.h"
#include "host/cli/inputs.h"
#include "host/cli/policy_input.h"
#include "host/versions/rows.h"

namespace tracer::cli {

struct OriginalOptions {
  std::string traces;      // "": where the policy says they were
  std::string embeddings;  // "": where the policy says they were, else as for other traces
};

// The whole log, certify rows included, checked against the digest in the policy. Where it is not given and no longer
// in its place, the learn rows that the policy holds, with a warning. input: keys and encoder. kBadInput where another
// log is given, or where the policy holds no rows either.
Result<KeptRows> original_rows(const OriginalOptions& options, const InputOptions& input, const LoadedPolicy& loaded,
                               const Backend& backend, const Console& console);

// Rows of a file with provenance as they are kept; of a cascade the file has their texts. Vectors are checked against
// the policy's encoder and dimension.
struct ReadRows {
  io::TraceFile file;
  KeptRows rows;
};
Result<ReadRows> read_kept_rows(const InputOptions& input, const std::string& vectors, const std::string& rejects,
                                bool provenance, const LoadedPolicy& loaded, const Backend& backend,
                                const Console& console);

}  // namespace tracer::cli
