// Queries lie along the lanes and references along the rows of a tile. A task holds up to kPanels panels of packed
// queries in the second-level cache and reads the references once, packing mr of them at a time into the first-level
// cache. Selection happens while the tile is hot: one vector compare against each query's current k-th similarity.
#include "kernels/cpu/topk.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <memory>
#include <vector>

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/screened_search.h"
#include "kernels/cpu/topk_summary.h"

namespace tracer::cpu {
namespace {

constexpr int64_t kPanels = 8;
constexpr int64_t kMaxQueries = kPanels * kMaxNr;
constexpr int64_t kMaxK = 64;

// The lists of one task's queries, best first.
struct Selection {
  int64_t k;
  std::span<const int32_t> q_group;
  std::span<const int32_t> r_group;
  TopK out;
  alignas(64) float threshold[kMaxQueries];  // the k-th similarity; +inf in lanes without a query
  int32_t filled[kMaxQueries];

  // References arrive in ascending index, so a later equal similarity ranks behind: ties go to the lower index.
  void offer(int64_t query, int64_t lane, int64_t reference, float similarity) {
    if (!(similarity > threshold[lane])) return;
    if (!q_group.empty() && !r_group.empty() &&
        q_group[static_cast<size_t>(query)] == r_group[static_cast<size_t>(reference)]) {
      return;
    }
    float* s = out.similarity.row(query);
    int32_t* index = out.index.row(query);
    int64_t at = filled[lane] < k ? filled[lane]++ : k - 1;
    for (; at > 0 && s[at - 1] < similarity; --at) {
      s[at] = s[at - 1];
      index[at] = index[at - 1];
    }
    s[at] = similarity;
    index[at] = static_cast<int32_t>(reference);
    if (filled[lane] == k) threshold[lane] = s[k - 1];
  }
};

struct Buffers {
  float* queries;     // kPanels panels of nr x d
  float* references;  // mr x d
};

void search(const IsaKernels& isa, HostMatrix<const float> q, HostMatrix<const float> r, int64_t q0, int64_t count,
            const Buffers& buffers, Selection& selection) {
  const int64_t d = q.cols;
  const int64_t panels = ceil_div(count, isa.nr);
  for (int64_t p = 0; p < panels; ++p) {
    for (int64_t k0 = 0; k0 < d; k0 += kKBlock) {
      const int64_t lanes = std::min(isa.nr, count - p * isa.nr);
      isa.pack_b(true, q.row(q0 + p * isa.nr) + k0, q.stride, lanes, std::min(kKBlock, d - k0),
                 buffers.queries + p * isa.nr * d + k0 * isa.nr);
    }
  }
  for (int64_t j = 0; j < panels * isa.nr; ++j) {
    selection.threshold[j] =
        j < count ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
    selection.filled[j] = 0;
  }
  alignas(64) float tile[kMaxMr * kMaxNr];
  uint32_t above[kMaxMr];
  for (int64_t r0 = 0; r0 < r.rows; r0 += isa.mr) {
    const int64_t rows = std::min(isa.mr, r.rows - r0);
    pack_a_rows(isa, Trans::kNo, r, r0, rows, d, buffers.references);
    for (int64_t p = 0; p < panels; ++p) {
      const int64_t first = p * isa.nr;
      isa.score_tile(rows, std::min(isa.nr, count - first), d, buffers.references, buffers.queries + first * d,
                     selection.threshold + first, tile, above);
      for (int64_t i = 0; i < rows; ++i) {
        for (uint32_t bits = above[i]; bits != 0; bits &= bits - 1) {
          const int64_t lane = std::countr_zero(bits);
          selection.offer(q0 + first + lane, first + lane, r0 + i, tile[i * isa.nr + lane]);
        }
      }
    }
  }
}

// The float32 search. k >= 1, and there are queries and references.
void search_all(const Context& context, HostMatrix<const float> q, HostMatrix<const float> r,
                std::span<const int32_t> q_group, std::span<const int32_t> r_group, TopK out) {
  const IsaKernels& isa = *context.isa;
  const int64_t k = out.index.cols;
  const int64_t threads = context.pool->threads();
  const int64_t panels = ceil_div(q.rows, isa.nr);
  // A multiple of the number of threads, so that none waits for the last task.
  const int64_t tasks = std::min(panels, round_up(ceil_div(panels, kPanels), threads));
  const int64_t panel_floats = isa.nr * q.cols * ceil_div(panels, tasks);
  const int64_t floats = round_up(panel_floats + isa.mr * q.cols, 16);
  const Scratch scratch = context.scratch->take(floats * threads);
  run(*context.pool, tasks, [&](int64_t task, int worker) {
    const int64_t first = panels * task / tasks * isa.nr;
    const int64_t last = std::min(panels * (task + 1) / tasks * isa.nr, q.rows);
    float* base = scratch.data() + worker * floats;
    Selection selection{k, q_group, r_group, out, {}, {}};
    search(isa, q, r, first, last - first, {base, base + panel_floats}, selection);
  });
}

// The same for some of the queries.
void search_some(const Context& context, const std::vector<int64_t>& which, HostMatrix<const float> q,
                 HostMatrix<const float> r, std::span<const int32_t> q_group, std::span<const int32_t> r_group,
                 TopK out) {
  if (which.empty()) return;
  const int64_t n = static_cast<int64_t>(which.size()), k = out.index.cols;
  Matrix<float> some(n, q.cols), similarity(n, k);
  Matrix<int32_t> index(n, k);
  std::vector<int32_t> group;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t from = which[static_cast<size_t>(i)];
    std::copy_n(q.row(from), q.cols, some.row(i));
    std::copy_n(out.similarity.row(from), k, similarity.row(i));
    std::copy_n(out.index.row(from), k, index.row(i));
    if (!q_group.empty()) group.push_back(q_group[static_cast<size_t>(from)]);
  }
  search_all(context, some.view(), r, group, r_group, {index.view(), similarity.view()});
  for (int64_t i = 0; i < n; ++i) {
    const int64_t to = which[static_cast<size_t>(i)];
    std::copy_n(similarity.row(i), k, out.similarity.row(to));
    std::copy_n(index.row(i), k, out.index.row(to));
  }
}

// screen: null for a search in float32 alone.
Status run_search(const Context& context, HostMatrix<const float> q, HostMatrix<const float> r, const Screen* screen,
                  std::span<const int32_t> q_group, std::span<const int32_t> r_group, TopK out, TopKReport* report) {
  const int64_t k = out.index.cols;
  if (report != nullptr) *report = {q.rows, 0, false};
  for (int64_t i = 0; i < q.rows; ++i) {
    std::fill_n(out.index.row(i), k, -1);
    std::fill_n(out.similarity.row(i), k, -2.0f);
  }
  if (q.rows == 0 || r.rows == 0 || k == 0) return {};
  if (screen == nullptr) {
    search_all(context, q, r, q_group, r_group, out);
    return {};
  }
  const std::vector<int64_t> open = screened_search(context, q, r, *screen, q_group, r_group, out);
  search_some(context, open, q, r, q_group, r_group, out);
  if (report != nullptr) *report = {q.rows, static_cast<int64_t>(open.size()), true};
  return {};
}

Status check(HostMatrix<const float> q, int64_t references, int64_t d, std::span<const int32_t> q_group,
             std::span<const int32_t> r_group, const TopK& out) {
  const int64_t k = out.index.cols;
  if (q.cols != d) return internal_error("topk_cosine: queries and references differ in width");
  if (k > kMaxK) return internal_error("topk_cosine: k is above 64");
  if (out.index.rows != q.rows || out.similarity.rows != q.rows || out.similarity.cols != k) {
    return internal_error("topk_cosine: the output must be queries x k");
  }
  if (references > std::numeric_limits<int32_t>::max()) return internal_error("topk_cosine: too many references");
  if (!q_group.empty() && !r_group.empty() &&
      (static_cast<int64_t>(q_group.size()) != q.rows || static_cast<int64_t>(r_group.size()) != references)) {
    return internal_error("topk_cosine: one group for each row");
  }
  return {};
}

}  // namespace

Status topk_cosine(const Context& context, HostMatrix<const float> q, HostMatrix<const float> r,
                   std::span<const int32_t> q_group, std::span<const int32_t> r_group, TopK out) {
  TRACER_RETURN_IF_ERROR(check(q, r.rows, r.cols, q_group, r_group, out));
  const std::unique_ptr<Screen> screen = q.rows >= kWorthPreparing ? make_screen(context, r) : nullptr;
  return run_search(context, q, r, screen.get(), q_group, r_group, out, nullptr);
}

Status topk_cosine(const Context& context, HostMatrix<const float> q, const CpuReferences& r,
                   std::span<const int32_t> q_group, TopK out, std::span<NeighbourSummary> summary,
                   TopKReport* report) {
  TRACER_RETURN_IF_ERROR(check(q, r.rows(), r.cols(), q_group, r.group(), out));
  if (!summary.empty() && static_cast<int64_t>(summary.size()) != q.rows) {
    return internal_error("topk_cosine: one summary for each query");
  }
  TRACER_RETURN_IF_ERROR(run_search(context, q, r.values(), r.screen(), q_group, r.group(), out, report));
  const size_t k = static_cast<size_t>(out.index.cols);
  for (int64_t i = 0; !summary.empty() && i < q.rows; ++i) {
    summary[static_cast<size_t>(i)] = summarise({out.index.row(i), k}, {out.similarity.row(i), k}, r.label());
  }
  return {};
}

}  // namespace tracer::cpu
