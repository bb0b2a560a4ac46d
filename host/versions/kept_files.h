// Reads rows for the calls about versions: new ones, and those that a policy was fitted on, for the challengers that
// learn after it.
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

// The whole log, certify rows included, checked against the digest in the policy. If the log is not given and no longer
// in its place, these are the learn rows that the policy holds, with a warning. input: keys and encoder. kBadInput if
// another log is given, or if the policy holds no rows either.
Result<KeptRows> original_rows(const OriginalLog& options, const RowSource& input, const LoadedPolicy& loaded,
                               const Backend& backend, const Events& events);

// The files beside the rows that a call reads.
struct RowFiles {
  std::string vectors;  // "": the rows' text is embedded
  std::string rejects;  // where bad rows go; rejects.jsonl if the call does not say
};
// rows: what messages call the file of the rows. others: what else the call reads. Errors as vectors_path(), and as
// check_outputs() if the rejects or the cache of vectors would destroy a file.
Result<RowFiles> row_files(const RowSource& input, const std::string& rows, const std::vector<FileUse>& others,
                           const std::string& policy_folder);

// The rows of input.traces as they are kept, and the file that they were read from, which has their texts if the policy
// is a cascade or if the texts were embedded. provenance: whether rows may say where they come from. Vectors are
// checked against the policy's encoder and dimension.
struct ReadRows {
  io::TraceFile file;
  KeptRows rows;
};
Result<ReadRows> read_kept_rows(const RowSource& input, const RowFiles& files, bool provenance,
                                const LoadedPolicy& loaded, const Backend& backend, const Events& events);

}  // namespace tracer
