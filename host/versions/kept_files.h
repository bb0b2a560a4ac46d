// The rows that a policy was fitted on, for the challengers that learn after it.
#pragma once

#include <string>
#include <vector>

#include "host/encoder/source.h"
#include "host/io/events.h"
#include "host/io/file_uses.h"
#include "host/route/opened_policy.h"
#include "host/versions/original.h"
#include "host/versions/rows.h"

namespace tracer {

// The whole log, certify rows included, checked against the digest in the policy. Where it is not given and no longer
// in its place, the learn rows that the policy holds, with a warning. input: keys and encoder. kBadInput where another
// log is given, or where the policy holds no rows either.
Result<KeptRows> original_rows(const OriginalLog& options, const RowSource& input, const LoadedPolicy& loaded,
                               const Backend& backend, const Events& events);

// The files beside the rows that a call reads: their vectors ("": the text is embedded), and where bad rows go.
struct RowFiles {
  std::string vectors, rejects;
};
// rejects is rejects.jsonl where input says nothing. rows: what messages call the rows' file. others: what else is
// read. Errors as vectors_path(), and as check_outputs() where the rejects or the vector cache would destroy a file.
Result<RowFiles> row_files(const RowSource& input, const std::string& rows, const std::vector<FileUse>& others,
                           const std::string& policy_folder);

// Rows of a file with provenance as they are kept; of a cascade the file has their texts. Vectors are checked against
// the policy's encoder and dimension.
struct ReadRows {
  io::TraceFile file;
  KeptRows rows;
};
Result<ReadRows> read_kept_rows(const RowSource& input, const RowFiles& files, bool provenance,
                                const LoadedPolicy& loaded, const Backend& backend, const Events& events);

}  // namespace tracer
