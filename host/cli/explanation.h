// What `tracer explain` and `tracer report --html` share: a policy, refused or not, explained on rows it never learned
// from.
#pragma once

#include <string>

#include "host/cli/explain_rows.h"
#include "host/explain/document.h"

namespace tracer::cli {

// The options that say which rows: --traces, the input options, --group-by, --slice.
void add_explain_source(CLI::App& app, ExplainSource& source);
// "" where the source makes sense, else a usage error in words.
std::string source_fault(const ExplainSource& source);
// The files that are read, which no output may overwrite. kIo where --traces is absent.
Result<std::vector<FileUse>> explain_inputs(const ExplainSource& source, const LoadedPolicy& loaded);

// A refused alpha is explained too: everything is deferred. kRefused when it was not part of the sweep, or when there
// was too little to learn from.
Result<LoadedPolicy> load_to_explain(const PolicyOptions& options);

struct Explained {
  Explanation explanation;  // refers to the policy that it was made of
  std::string path;         // the rows' file
  bool certify = false;     // the certify rows of the policy's own log
  int64_t as_learned = 0;   // rows with the vector of a reference
};
// Warns where more than half of the rows were learned from.
Result<Explained> explain_unseen(Backend& backend, const LoadedPolicy& loaded, const ExplainSource& source,
                                 const Console& console);

// explain.json (docs/explain.md). label: of which only the rows are; null: all of them.
Json explain_document(const Explained& explained, const Json& label);

// Text that any JSON reader takes: bytes that are no UTF-8 become U+FFFD.
std::string json_text(const Json& document);

}  // namespace tracer::cli
