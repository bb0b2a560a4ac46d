// What `tracer explain` and `tracer report --html` share: a policy, refused or not, explained on rows it never learned
// from.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/explain/explained_rows.h"
#include "host/explain/unseen_rows.h"
#include "host/io/file_uses.h"

namespace tracer {

// The policy to explain. A refused alpha is explained too: everything is deferred. outputs: what the caller will write;
// the rejects and the cache of the source join them. kBadInput where the source makes no sense or an output would
// destroy what is read, kRefused where there is nothing to explain.
Result<LoadedPolicy> open_to_explain(const PolicyOptions& options, ExplainSource& source, std::vector<FileUse> outputs);

struct Explanation {
  ExplainedRows rows;      // refers to the policy that it was made of
  std::string path;        // the rows' file
  bool certify = false;    // the certify rows of the policy's own log
  int64_t as_learned = 0;  // rows with the vector of a reference
  Json growth, since;      // growth_json(), since_json(); null: not asked for, no earlier policy
};
// Warns where more than half of the rows were learned from.
Result<Explanation> explain_unseen(Backend& backend, const LoadedPolicy& loaded, const ExplainSource& source,
                                   const Events& events);

// A JSON line for each row to the file; "-": to standard output.
Status write_explained_rows(const ExplainedRows& e, const std::string& path);

// The file that `tracer explain` writes (docs/explain.md), whatever it is called. label: of which only the rows are;
// null: all of them.
Json explain_document(const Explanation& explanation, const Json& label);

}  // namespace tracer
