// The seam between learning and arithmetic: a handful of coarse operations, a whole batch a call, stated as a contract.
// engine/ reaches arithmetic only through a Backend.
//
// Common to all operations
//   Storage       row-major float32, or bfloat16 where an operation says so; views may have stride > cols; no alignment
//                 is required (64 bytes is fastest).
//   Accumulation  dot products in float32 with fused multiply-add, in ascending order of the inner index within fixed
//                 blocks; losses in float64.
//   Determinism   the bytes of every output depend on the inputs and on the instruction set (isa()), never on the
//                 number of threads; one row's result does not depend on the other rows of its batch, nor a column's on
//                 others. On a GPU the bytes of gemm, gemm_backward and wide_softmax also depend on the shapes: cuBLAS
//                 chooses the order of its sums by them.
//   Errors        a shape that does not fit is ErrorCode::kInternal (a bug of the caller); NaN inputs are not checked
//                 here: host/ refuses them at the door.
//   Threads       a Backend may be used from one thread at a time; it runs its own pool.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/bfloat16.h"
#include "kernels/decisions.h"
#include "kernels/matrix.h"
#include "kernels/parity.h"
#include "kernels/status.h"

namespace tracer {

enum class Trans { kNo, kYes };

// Top-k neighbours of each query. Entry (q, j) is the j-th nearest; unused entries (fewer than k admissible references)
// have index -1 and similarity -2.
struct TopK {
  HostMatrix<int32_t> index;     // queries x k
  HostMatrix<float> similarity;  // queries x k, descending; ties in ascending index
};

// ---- Neighbour search: references prepared once, searched many times ----------------------------------------------

// A backend's own copy of the reference rows, in the layout that its search wants (the rows handed over may go away).
// Immutable; used only with the backend that made it, which must outlive it.
class References {
 public:
  virtual ~References() = default;
  virtual int64_t rows() const = 0;
  virtual int64_t cols() const = 0;
};

struct ReferenceOptions {
  std::span<const int32_t> group;  // one for each reference, or empty: see Backend::topk_cosine
  std::span<const int32_t> label;  // one for each reference (>= 0), or empty: for the vote of NeighbourSummary
  // About how many queries will come, of all searches together: few do not pay for what makes many of them fast.
  // Changes no result.
  int64_t queries = std::numeric_limits<int64_t>::max();
};

// How a search went.
struct TopKReport {
  int64_t queries = 0;
  int64_t rescanned = 0;  // queries that screening did not settle and that were searched again in float32
  bool screened = false;  // scores of lower precision proposed the candidates
};

// What the k neighbours of a query say together.
struct NeighbourSummary {
  float nearest = -2;          // similarity of the nearest neighbour; -2 when there is none
  float mean_distance_10 = 2;  // mean of 1 - similarity over the nearest min(kNeighbourhood, k, available), else 2
  int32_t vote = -1;           // most frequent label among the neighbours, ties to the lower label; -1 when there is
                               // no neighbour or the references carry no labels
  float vote_share = 0;        // share of the neighbours that carry it
};

// ---------------------------------------------------------------------------------------------------------------------

// Many softmax regressions that share the rows X (n x d) and the labels: model m owns the columns
// [m * classes, (m + 1) * classes) of the weights W (d x models*classes) and of the bias b.
struct WideSoftmaxProblem {
  HostMatrix<const float> x;             // n x d
  std::span<const int32_t> label;        // n, each in [0, classes)
  int64_t classes = 0;                   // C >= 1
  std::span<const int32_t> fold;         // n: the fold of each row
  std::span<const int32_t> held_out;     // models: the fold that model m must not learn from; -1: learns from all rows
  HostMatrix<const uint8_t> class_seen;  // models x C: 0 removes the class from the model (probability exactly 0)
};

// Applied to each entry of a layer's output. kGelu is x * Phi(x), Phi the normal distribution function (not the tanh
// form); value and derivative err by less than 2e-6 * max(1, |x|).
enum class Activation { kNone, kRelu, kGelu };

// What a product's output goes through: c = activation(op(a) op(b) + bias).
struct Epilogue {
  std::span<const float> bias = {};  // c.cols values, or empty
  Activation activation = Activation::kNone;
  HostMatrix<float> pre = {};  // receives the values before the activation where data is not null; the shape of c
};

// A sparse matrix, row by row: row i holds the entries [begin[i], begin[i + 1]).
struct SparseRows {
  std::span<const int64_t> begin;  // rows + 1, ascending from 0
  std::span<const int32_t> index;  // column of each entry, in [0, columns); a column may occur more than once in a row
  std::span<const float> weight;   // value of each entry
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;  // "cpu"
  virtual std::string_view isa() const = 0;  // "avx512_amx", "avx512_bf16", "avx512_vnni", "avx512", "avx2", "portable"
  virtual int threads() const = 0;

  // Scales each row of x to unit Euclidean length, in place. The sum of squares is float64. Rows of length 0 stay 0.
  virtual Status normalise_rows(HostMatrix<float> x) = 0;

  // Row i of out is row index[i] of x (in [0, x.rows); rows may repeat). The two must not overlap.
  virtual Status gather_rows(HostMatrix<const float> x, std::span<const int64_t> index, HostMatrix<float> out) = 0;

  // ---- Neighbour search ----

  // Copies unit rows r (m x d) for searching. Cost: reads r once.
  virtual Result<std::unique_ptr<References>> prepare_references(HostMatrix<const float> r,
                                                                 const ReferenceOptions& options) = 0;

  // Exact top-k cosine similarity of unit rows q (n x d) against prepared references; never materialises n x m.
  //   Scores        float32 dot products in the fixed order above. Scores of lower precision may propose candidates
  //                 (report->screened), and a derived bound of their error decides what needs a look in float32:
  //                 indices and similarities are, bit for bit, those of a search in float32 alone.
  //   Groups        where q_group is not empty and the references carry groups, a reference of the query's own group
  //                 is not admissible (a row is not its own neighbour; a fold does not see itself).
  //   summary       n entries, or empty. report: may be null.
  // k = out.index.cols <= 64. Rows of any finite length are accepted: the similarity is then their dot product.
  // Cost: 2 n m d flops.
  virtual Status topk_cosine(HostMatrix<const float> q, const References& r, std::span<const int32_t> q_group, TopK out,
                             std::span<NeighbourSummary> summary = {}, TopKReport* report = nullptr) = 0;

  // The same search without prepared references: for references that are searched once. Groups count where both spans
  // are not empty. k <= 64. Cost: 2 n m d flops.
  virtual Status topk_cosine(HostMatrix<const float> q, HostMatrix<const float> r, std::span<const int32_t> q_group,
                             std::span<const int32_t> r_group, TopK out) = 0;

  // ---- Layers ----

  // c = activation(op(a) * op(b) + bias). op(a): m x k, op(b): k x n. No output may overlap an operand or the other
  // output. Cost: 2 m n k flops.
  virtual Status gemm(Trans ta, Trans tb, HostMatrix<const float> a, HostMatrix<const float> b,
                      const Epilogue& epilogue, HostMatrix<float> c) = 0;

  // The same of bfloat16 operands, which are multiplied exactly and accumulated in float32. Only tests and
  // benches call this yet (tests/backend_callers.py).
  virtual Status gemm(Trans ta, Trans tb, HostMatrix<const BFloat16> a, HostMatrix<const BFloat16> b,
                      const Epilogue& epilogue, HostMatrix<float> c) = 0;

  // c = (op(a) * op(b)) .* activation'(pre): the gradient before an activation, from the one after the next product.
  // pre: the shape of c; ignored (may be empty) for Activation::kNone. The derivative of kRelu at 0 is 0.
  virtual Status gemm_backward(Trans ta, Trans tb, HostMatrix<const float> a, HostMatrix<const float> b,
                               Activation activation, HostMatrix<const float> pre, HostMatrix<float> c) = 0;

  // out[j] = sum over rows of x(i, j), in float64 and in ascending i: the gradient of a bias. out: x.cols values.
  virtual Status column_sums(HostMatrix<const float> x, std::span<float> out) = 0;

  // out = a * b for sparse a: each element is a chain of fused multiply-adds over the entries of its row, in order. out
  // must not overlap b. Cost: 2 flops an entry and column; bound by reading rows of b.
  virtual Status sparse_product(const SparseRows& a, HostMatrix<const float> b, HostMatrix<float> out) = 0;

  // For every model m, over the n_m rows that it learns from:
  //   loss[m]     = mean of -ln p(label)                       (no regulariser; float64)
  //   grad_w, grad_b = its gradient with respect to W and b; columns of removed classes are 0.
  // active (models; non-zero = compute): inactive models' outputs are left untouched.
  // If held_out_probability is not empty (n x C), row i receives the class probabilities of the model that holds i's
  // fold out (rows whose fold no active model holds out are left untouched).
  // Where several active models hold a fold out, the last of them gives its rows' probabilities. A model that learns
  // from no row has loss 0 and gradient 0. A row whose class is removed from a model that learns from it is
  // ErrorCode::kInternal.
  // Cost: 4 n d C flops a model (half of it without gradient: pass grad_w with data == nullptr). Rows sorted by fold
  // are faster: whole blocks that a model holds out are skipped (a seventh of the time with five folds).
  virtual Status wide_softmax(const WideSoftmaxProblem& problem, HostMatrix<const float> w, std::span<const float> b,
                              std::span<const uint8_t> active, std::span<double> loss, HostMatrix<float> grad_w,
                              std::span<float> grad_b, HostMatrix<float> held_out_probability) = 0;

  // ---- Decisions ----

  // Packs the softmax regression of weights w (d x C with C >= 1) and bias b (C; at least one class must stay, see
  // kRemovedBias) for head_probabilities. The caller's arrays are not kept.
  virtual Result<std::unique_ptr<LinearHead>> prepare_head(HostMatrix<const float> w, std::span<const float> b) = 0;

  // out (n x C) = softmax(x w + b), row by row; out must not overlap x. Cost: 2 n d C flops, and about 10 n C more.
  virtual Status head_probabilities(HostMatrix<const float> x, const LinearHead& head, HostMatrix<float> out) = 0;

  // Mixture, argmax, top-1, top-2, entropy and what the neighbours say, from given s (n x C, each row sums to 1) and
  // the vote; see kernels/decisions.h. Cost: about 20 n C.
  virtual Status decision_features_from(HostMatrix<const float> s, const NeighbourVote& vote,
                                        std::span<DecisionFeatures> out) = 0;

  // ---- Parity sweep, k-means ----

  // See kernels/parity.h; out is S x A. An empty segment handles 0 rows and has score_next = +infinity.
  // Only tests and benches call this yet (tests/backend_callers.py).
  // Cost: a radix sort of n scores, and at most n * A comparisons.
  virtual Status parity_sweep(const ParitySweepProblem& problem, HostMatrix<ParityPoint> out) = 0;

  // The nearest centroid of each row by Euclidean distance: argmax of x.c - |c|^2 / 2 in float32, ties to the lower
  // index; 1 <= centroids <= 4,096. distance2 (n, or empty) receives the squared distance to it, summed in float64.
  // Cost: 2 n d k flops.
  virtual Status kmeans_assign(HostMatrix<const float> x, HostMatrix<const float> centroid, std::span<int32_t> label,
                               std::span<float> distance2) = 0;

  // Moves each centroid to the mean of its rows (float64 sums in ascending row index); count receives the sizes. A
  // centroid without rows stays. Labels are in [0, centroids).
  virtual Status kmeans_update(HostMatrix<const float> x, std::span<const int32_t> label, HostMatrix<float> centroid,
                               std::span<int64_t> count) = 0;

  // Runs body(i) for i in [0, count) on the pool; the caller must make the bodies independent.
  virtual void parallel_for(int64_t count, void (*body)(void* context, int64_t i), void* context) = 0;
};

// parallel_for for any callable.
template <class F>
void parallel_for(Backend& backend, int64_t count, F&& f) {
  using Fn = std::remove_reference_t<F>;
  backend.parallel_for(
      count, [](void* c, int64_t i) { (*static_cast<Fn*>(c))(i); }, const_cast<void*>(static_cast<const void*>(&f)));
}

struct BackendOptions {
  std::string device = "auto";  // auto | cpu | cuda | cuda:N
  int threads = 0;              // 0: all cores this process may use
  // Empty: the best of this CPU; else avx512_amx | avx512_bf16 | avx512_vnni | avx512 | avx2 | portable.
  std::string isa;
};

// Backends that this build knows, in order of preference, with the reason why one cannot be used here.
struct BackendInfo {
  std::string name;
  bool usable = false;
  std::string detail;
};
std::vector<BackendInfo> list_backends();

// Picks a backend. `auto` reads the environment variables TRACER_DEVICE and TRACER_ISA where the options leave them
// open. A choice that is impossible here is ErrorCode::kDevice and says why; "no GPU" under auto is a normal answer.
Result<std::unique_ptr<Backend>> make_backend(const BackendOptions& options);

}  // namespace tracer
