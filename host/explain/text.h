// An explanation in the lines that matter. Parts of it serve elsewhere: each is one line, "" where there is nothing to
// say.
#pragma once

#include <string>
#include <vector>

#include "host/artifact/artifact.h"

namespace tracer {

// document: as sections_json made it, with "rows" beside.
std::string explain_text(const Json& document);

// Of the document's "reasons" those that occur, the most frequent first. They point into the document.
std::vector<const Json*> reasons_by_rows(const Json& document);
std::string weakest_labels(const Json& labels);  // those that answer with the least agreement
std::string least_region(const Json& regions);   // the one of the least coverage
std::string first_suspect(const Json& suspects);

}  // namespace tracer
