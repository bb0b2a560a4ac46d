// Screening of neighbour search with 8-bit integers: an upper bound of every similarity, cheap enough to settle nearly
// all references without a look at their float32 rows.
//
// A reference r and a query q are projected by W (m x d, rows orthonormal to rounding; the identity when m == d) and
// quantised: W q = a, W r = b, a^ = step_q A and b^ = step_p B with integers |A|, |B| <= 127. With M = I - W'W,
//
//   q.r = a.b + q'M r = a^.b^ + (a - a^).b^ + a.(b - b^) + q'M r.
//
// The first product is an integer times step_q step_p: exact. By Cauchy-Schwarz the second is at most e_q |b^| and the
// third |a| e_r, where e_q >= |a - a^| and e_r >= |b - b^| are measured, not estimated: the norm of (computed
// projection - quantised one), plus delta = sqrt(m) gamma(d) (1 + eta) |r| for the roundings of the computed projection
// (each of its m elements is a chain of fma's: |error| <= gamma |w_i| |r|). For the fourth, W W' = I + E with |E| <=
// eta (measured in float64, Frobenius norm). W'W has the eigenvalues of W W' and 0, so M has 1 on the complement of the
// row space and at most eta in size on it: |q'M r| <= |q_c| |r_c| + eta |q| |r| with the complements' lengths bounded
// by r'M r = |r|^2 - |W r|^2 >= |r_c|^2 - eta |r|^2, |W r| >= |computed projection| - delta.
//
// So q.r <= step_q step_p A.B + e_q |b^| + |a| e_r + rho_q rho_r + eta |q| |r|. |b^| and e_r enter as the maximum over
// a panel, rho_r for each reference. The float32 similarity f(q, r), a chain of fma's, is off q.r by at most
// gamma(chain) |q| |r| (N. J. Higham, Accuracy and Stability of
// Numerical Algorithms, 2nd edition, section 3.1: gamma(n) = n u / (1 - n u), u = 2^-24, whatever the order).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/context.h"
#include "kernels/cpu/screen_cells.h"

namespace tracer::cpu {

// gamma(n) with room for the roundings of the bounds themselves.
double rounding_bound(int64_t n);
// Roundings in a row of the float32 chain over d dimensions.
int64_t chain_roundings(int64_t d);

// m directions that the references vary along, with random axes inside their span, so that no coordinate is much
// larger than the others.
struct Basis {
  int64_t m = 0;
  Matrix<float> w;  // m x d; empty: the identity
  double eta = 0;   // |W W' - I|
};

// Picks m so that most references are settled by their first m directions: the cost of both steps is estimated on a
// sample. Deterministic. Needs isa.screen.
Basis choose_basis(const Context& context, HostMatrix<const float> r);

// References as the tiles want them, cell after cell. Immutable.
struct Screen {
  int64_t rows = 0;
  int64_t d = 0;
  int64_t m = 0;
  int64_t groups = 0;    // of four dimensions
  int64_t queries = 0;   // of a tile
  double eta = 0;        // of the basis
  double longest = 0;    // at least the length of each reference
  double most_norm = 0;  // the largest of all panels
  double most_error = 0;
  bool whole = false;      // no directions, no panels: all coordinates in 8 bits alone (ScreenKernels::sharpen_block)
  bool projected = false;  // else W is the identity
  Matrix<float> w;         // packed for multiply_packed
  Cells cells;
  std::vector<int32_t> order;  // reference at each position; lane l of panel p has position p * kScreenReferences + l
  int64_t panel_bytes = 0;
  LargeArray<uint8_t> panels;  // panel after panel of kScreenReferences
  Matrix<float> residual;      // panels x kScreenReferences: rho in units of the panel's step
  std::vector<ScreenPanel> panel;
  // Where the screen is projected, or whole: all d coordinates of each reference in 8 bits, a second look. Four times
  // smaller than the rows, and the bound of the comment above with W = I.
  int64_t sharp_groups = 0;
  LargeArray<uint8_t> sharp;
  Matrix<float> sharp_step, sharp_norm, sharp_error;  // panels x kScreenReferences

  bool sharpens() const { return projected || whole; }
  int64_t panel_count() const { return ceil_div(rows, kScreenReferences); }
  uint8_t* panel_at(int64_t p) const { return panels.data() + p * panel_bytes; }
  uint8_t* sharp_at(int64_t p) const { return sharp.data() + p * sharp_groups * kScreenReferences * 4; }
};

inline constexpr int64_t kWorthPreparing = 512;  // queries that pay for a screen

// Null where screening does not apply: few references, no instructions for it, or a row that is too long for the
// bounds.
std::unique_ptr<Screen> make_screen(const Context& context, HostMatrix<const float> r);

// A row of n numbers, quantised.
struct Quantised {
  double norm = 0;       // at least its length
  double error = 0;      // at least the length of row - quantised
  double quantised = 0;  // at least the length of the quantised row
  double shortest = 0;   // at most its length
  int64_t sum = 0;       // of the integers
};

// out: n integers. `delta` bounds the error of y itself.
Quantised quantise(const IsaKernels& isa, const float* y, int64_t n, double step, double delta, int8_t* out);

// At least the error of a computed projection, and the length of the complement, of a row of at most this length.
double projection_error(const Screen& screen, double length);
double residual_of(const Screen& screen, double length, const Quantised& projected);

// Projects `count` rows of x from `first` on into y (count x m, dense). scratch: count rounded up to mr, times d.
void project(const IsaKernels& isa, const Screen& screen, HostMatrix<const float> x, int64_t first, int64_t count,
             float* scratch, float* y);

// The same for all rows of x, on the pool.
void project_all(const Context& context, const Screen& screen, HostMatrix<const float> x, float* y);

// The step that brings y into [-127, 127].
double step_of(const float* y, int64_t n);

// At least the length of x, in float64.
double row_length(const float* x, int64_t d);

}  // namespace tracer::cpu
