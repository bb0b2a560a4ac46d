// Fisher's exact test of a two by two table, and Holm's correction for many tests.
#pragma once

#include <cstdint>
#include <vector>

namespace tracer {

// Two-sided p-value of "k of n and l of m have the same rate": the tables of the same margins that are no more probable
// than this one. 1 where n or m is 0. Cost: O(min(n, k + l)).
double fisher_exact(int64_t k, int64_t n, int64_t l, int64_t m);

// Adjusted p-values, in the order given: those at most 0.05 hold together at level 0.05, whatever the dependence (Holm
// 1979).
std::vector<double> holm(const std::vector<double>& p);

}  // namespace tracer
