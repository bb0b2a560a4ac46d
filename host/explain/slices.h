// Slices of the traffic: rows of one length, script, time or value of a metadata key, against all the others.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/explain/counts.h"
#include "host/explain/rows.h"

namespace tracer {

inline constexpr int64_t kFewestSliceRows = 20;
inline constexpr double kFlagLevel = 0.05;

// One way to slice: a value for each row, "" where it has none.
struct SliceKey {
  std::string key;
  std::vector<std::string> value;  // n
};

struct Slice : Counts {
  std::string key, value;
  // Against the other rows (with a value or not): Fisher's exact test, corrected over all slices and both figures
  // (Holm). Flagged at most at kFlagLevel: then all flags hold together at that level.
  double p_coverage = 1, p_agreement = 1;
  bool flag_coverage = false, flag_agreement = false;
};

// By key in the order given, then by value. Values of fewer than kFewestSliceRows rows, or of all rows, are left out.
std::vector<Slice> find_slices(const std::vector<ExplainedRow>& rows, const std::vector<SliceKey>& keys);

// Quarters of the rows by words of text ("1-6 words"), of equal counts where ties allow.
SliceKey slices_by_length(const std::vector<std::string>& input);
// The script of most of the text's letters: "latin", "cyrillic", ... or "other"; "none" without letters.
SliceKey slices_by_script(const std::vector<std::string>& input);
// Quarters by time, of equal counts: "2024-01-31 to 2024-02-10" (UTC). timestamp: seconds, or NaN.
SliceKey slices_by_time(const std::vector<double>& timestamp);

std::string script_of(const std::string& text);

}  // namespace tracer
