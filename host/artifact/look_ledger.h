// The ledger of looks: which certify rows have been looked at. One log buys one promise; a second look at the same rows
// (another seed, option or split) is certified only when delta was shared out among looks beforehand (--looks N).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/fit.h"
#include "host/artifact/artifact.h"

namespace tracer {

struct Look {
  std::string log;             // digest of rows, labels and vectors as they were read
  std::string config;          // digest of everything that decides the outcome, the log included
  std::vector<uint64_t> rows;  // sorted hashes (text and label) of the certify rows whose text is unique in the log
  std::vector<double> alphas;
  double delta = 0;
  int looks = 1;  // fits that share delta
};

// Rows, labels and vectors: the same for the same content, whatever the file and its keys were called.
std::string log_digest(const Traces& traces, const Matrix<float>& x);

// Of the vectors and labels.
std::string descriptions_digest(const Descriptions& descriptions);

// What was chosen to be tried, where it is not the default: part of what decides the outcome of a fit, and of a sweep.
void add_choices(const Choices& choices, Json& config);

// The look that this fit took; log as given by log_digest before fit took the vectors over.
Look look_of(const Traces& traces, const FitResult& result, const FitOptions& options, std::string log);

// Why the certificates of this look are void; empty when they stand. A look stands while fewer looks than delta was
// shared among stood before it on the same rows; the very same fit again is the same look. Two looks are at the same
// rows when their logs are equal or when a twentieth of either's rows stand in the other: where those rows are in their
// files does not matter. kBadInput for a ledger of another shape.
Result<std::string> check_look(const Json& ledger, const Look& look);

// The ledger with the look added, marked void or not (unchanged when it is there already).
Json add_look(Json ledger, const Look& look, const FitResult& result, bool is_void);

}  // namespace tracer
