// What a change of policy did to the same rows, in words.
#pragma once

#include <optional>
#include <string>

#include "host/versions/changes.h"

namespace tracer {

// "-" where there is none.
std::string figure(const std::optional<double>& value);

// Coverage and agreement before and after, and the labels and regions that moved most. names: as change_on was given.
std::string change_text(const Change& change, const RowNames& names);
// The regions alone; "" where none moved.
std::string moved_regions(const Change& change, const RowNames& names);

}  // namespace tracer
