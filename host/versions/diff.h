// Two policies compared: what they promise, which labels they know, and what they do on the same rows.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "host/versions/changes.h"
#include "host/versions/kept_files.h"

namespace tracer {

using DiffSides = std::array<LoadedPolicy, 2>;  // before, after

// The policy in the folder and its certificate at alpha, or at the one that it was asked for; certified or not.
// kRefused if alpha was not part of its sweep.
Result<LoadedPolicy> load_side(const std::string& folder, std::optional<double> alpha);

// kBadInput if no rows fit both: their vectors are of different dimensions, or of different encoders.
Status check_same_dimension(const DiffSides& sides);
Status check_same_encoder(const DiffSides& sides);

struct Diff {
  Change change;
  std::optional<RowNames> names;  // of the rows that both were asked; without rows `change` has labels alone
};
Diff compare_labels_known(const DiffSides& sides);
// read: with the texts that a cascade needs.
Result<Diff> compare_on_rows(Backend& backend, const DiffSides& sides, ReadRows read);

// Format: docs/updating.md.
Json diff_json(const DiffSides& sides, const Diff& diff);
std::string diff_text(const DiffSides& sides, const Diff& diff);

}  // namespace tracer
