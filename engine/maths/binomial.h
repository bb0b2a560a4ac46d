// Exact binomial probabilities and the bounds built on them, in float64.
#pragma once

#include <cstdint>
#include <vector>

namespace tracer {

// P(Bin(n, p) <= k). Absolute error below 1e-12 for n <= 1e5, 1e-9 for n <= 1e8. 0 for k < 0, 1 for k >= n.
double binomial_cdf(int64_t k, int64_t n, double p);

// One-sided Clopper-Pearson bounds on p at level delta after k successes in n trials: the true p lies below the lower
// (above the upper) bound with probability at most delta. n == 0 gives 0 and 1.
double clopper_pearson_lower(int64_t k, int64_t n, double delta);
double clopper_pearson_upper(int64_t k, int64_t n, double delta);

// The most disagreements among N rows that still reject "disagreement > epsilon" at level delta:
// allowed[N] = max{c : P(Bin(N, epsilon) <= c) <= delta}, -1 where no c does. Entries 0..n. Cost: n incomplete betas.
std::vector<int64_t> critical_values(int64_t n, double epsilon, double delta);

// ceil(ln delta / ln alpha): the fewest rows that can certify agreement alpha, when all of them agree.
int64_t fewest_certifying_rows(double alpha, double delta);

}  // namespace tracer
