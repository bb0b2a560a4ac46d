// What `tracer explain` and `tracer report --html` share: a policy, refused or not, explained on rows it never learned
// from.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/cli/explain_rows.h"
#include "host/cli/flags.h"
#include "host/explain/document.h"

namespace tracer::cli {

// The options that say which rows: --traces, the input options, --group-by, --slice; and --curve, --more,
// --since.
void add_explain_source(Flags& app, ExplainSource& source);
// "" where the source makes sense, else a usage error in words.
std::string source_fault(const ExplainSource& source);
// The policy, and no exit code; else the code, the message printed: nothing to explain, or an output (the rejects and
// the cache of source beside those given) that would destroy what is read. A refused alpha is explained too: everything
// is deferred.
std::optional<int> open_to_explain(const PolicyOptions& options, ExplainSource& source, std::vector<FileUse> outputs,
                                   const Console& console, LoadedPolicy& loaded);

struct Explained {
  Explanation explanation;  // refers to the policy that it was made of
  std::string path;         // the rows' file
  bool certify = false;     // the certify rows of the policy's own log
  int64_t as_learned = 0;   // rows with the vector of a reference
  Json growth, since;       // growth_json(), since_json(); null: not asked for, no earlier policy
};
// Warns where more than half of the rows were learned from.
Result<Explained> explain_unseen(Backend& backend, const LoadedPolicy& loaded, const ExplainSource& source,
                                 const Console& console);

// explain.json (docs/explain.md). label: of which only the rows are; null: all of them.
Json explain_document(const Explained& explained, const Json& label);

}  // namespace tracer::cli
