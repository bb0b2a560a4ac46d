// A task holds a block of quantised queries in the second-level cache. It samples the screen's bounds to guess, for
// each query, a base that few references exceed; passes over the panels of references, comparing each tile of bounds
// with the bases while it lies in registers, and looks at what exceeds them: float32 dot products s make candidates.
// Then a query is done when its k-th s is so high that what stayed below the base does not matter; for the others the
// pass is made again with the base that their k-th s allows. Among the candidates f, computed by the very chain of
// fma's of the float32 search, decides.
//
// With slack >= |s - f| for every reference: at any time the k best candidates have f >= s_k - slack, s_k being the
// k-th best s so far. So a reference is out, whatever its index,
//   when the screen's upper bound of q.r, plus gamma(chain) |q| |r|, is below s_k - slack  (it is never looked at), or
//   when s < s_k - 2 slack                                                                 (it is dropped).
// A list that would have to drop a candidate for want of room, and a query that needs more looks than a float32 search
// would cost, is left to the float32 search.
#include "kernels/cpu/screened_search.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/cpu/query_block.h"

namespace tracer::cpu {
namespace {

constexpr int64_t kSampleShare = 8;

struct Task {
  const Context& context;
  HostMatrix<const float> q;
  HostMatrix<const float> r;
  const Screen& screen;
  std::span<const int32_t> q_group;
  std::span<const int32_t> r_group;
  TopK out;
  int64_t k;
  int64_t most_looks;
};

void give_up(QueryBlock& b, int64_t j) {
  b.base[j] = kNever;
  b.settled[b.id[j]] = false;
}

// The base that the k-th s of a query allows.
float base_of(const QueryBlock& b, int64_t j, int64_t k) {
  const Candidates& c = b.candidates[b.id[j]];
  if (c.count < k) return -std::numeric_limits<float>::infinity();
  const float kth = c.s[k - 1];
  return kth - b.reach[j] - std::fabs(kth) * 0x1p-22f;
}

// False where there is no room.
bool offer(Candidates& c, int64_t k, float twice_slack, float s, int32_t reference) {
  if (c.count >= k && s < c.s[k - 1] - twice_slack) return true;
  for (int32_t i = 0; i < c.count; ++i) {
    if (c.index[i] == reference) return true;  // from the pass before
  }
  if (c.count == kMostCandidates) return false;
  int32_t at = c.count++;
  for (; at > 0 && c.s[at - 1] < s; --at) {
    c.s[at] = c.s[at - 1];
    c.index[at] = c.index[at - 1];
  }
  c.s[at] = s;
  c.index[at] = reference;
  while (c.count > k && c.s[c.count - 1] < c.s[k - 1] - twice_slack) --c.count;
  return true;
}

// Rows lie all over the references: the next ones travel while these are multiplied.
void prefetch(const void* row, int64_t bytes) {
  for (int64_t k = 0; k < std::min<int64_t>(bytes, 2048); k += 64) {
    __builtin_prefetch(static_cast<const char*>(row) + k);
  }
}

// Sharpens the bounds of what is pending by the references' bytes.
void look_at_bytes(const Task& t, QueryBlock& b, int64_t j) {
  const Screen& s = t.screen;
  Pending& p = b.pending[j];
  const int8_t* query = b.byte_rows + b.id[j] * s.byte_width;
  const uint8_t* rows[4];
  int32_t product[4];
  for (int32_t i = 0; i < std::min(p.count, 8); ++i) prefetch(s.bytes.row(p.index[i]), s.bytes.cols());
  for (int32_t at = 0; at < p.count; at += 4) {
    const int32_t here = std::min(4, p.count - at);
    for (int32_t l = 0; l < 4; ++l) {
      rows[l] = s.bytes.row(p.index[at + (l < here ? l : 0)]);
      if (at + 8 + l < p.count) prefetch(s.bytes.row(p.index[at + 8 + l]), s.bytes.cols());
    }
    t.context.isa->screen->dot_bytes(s.byte_width, query, rows, product);
    for (int32_t l = 0; l < here; ++l) {
      const ByteRow row = s.byte_row(p.index[at + l]);
      // Below 2^31: d 255 127. Then at most 6 roundings of terms below 2 |q| |r|.
      p.bound[at + l] = static_cast<float>(product[l] - b.byte_sum[j]) * (b.byte_step[j] * row.step) +
                        b.byte_error[j] * row.norm + b.length[j] * row.error;
    }
  }
}

// Looks at what is pending, the most promising first.
void look(const Task& t, int64_t first, QueryBlock& b, int64_t j) {
  Pending& p = b.pending[j];
  const int32_t id = b.id[j];
  if (p.count == 0 || !b.settled[id]) return;
  float base = base_of(b, j, t.k), margin = b.margin[j];
  if (t.screen.projected) {
    look_at_bytes(t, b, j);
    margin = b.slack[j];  // for the roundings of these bounds
  }
  int32_t order[kMostPending];
  int32_t n = 0;
  for (int32_t i = 0; i < p.count; ++i) {
    order[n] = i;
    n += p.bound[i] + margin >= base;
  }
  const int32_t promising = std::min<int32_t>(n, static_cast<int32_t>(t.k));
  const auto higher = [&](int32_t x, int32_t y) { return p.bound[x] > p.bound[y]; };
  if (promising < n) std::nth_element(order, order + promising, order + n, higher);
  const float* query = t.q.row(first + id);
  const int64_t bytes = t.screen.d * static_cast<int64_t>(sizeof(float));
  for (int32_t at = 0; at < n; ++at) {
    const int32_t i = order[at];
    if (at + 1 < n) prefetch(t.r.row(p.index[order[at + 1]]), bytes);
    if (p.bound[i] + margin < base) continue;
    ++b.looks[id];
    const float s = t.context.isa->screen->dot(query, t.r.row(p.index[i]), t.screen.d);
    if (!offer(b.candidates[id], t.k, 2 * b.slack[j], s, p.index[i])) return give_up(b, j);
    base = base_of(b, j, t.k);
  }
  p.count = 0;
  b.base[j] = std::max(b.base[j], base);
  if (b.looks[id] > t.most_looks) give_up(b, j);
}

// Bases that a small multiple of k references exceed, by the largest bounds of a sample in each lane of its panels.
void guess_bases(const Task& t, int64_t count, const int8_t* tiles, QueryBlock& b) {
  const Screen& s = t.screen;
  const int64_t panels = static_cast<int64_t>(s.panel.size());
  const int64_t rank = std::min<int64_t>(7 + t.k / 2, kScreenReferences - 1);
  alignas(64) float most[kScreenQueries * kScreenReferences];
  for (int64_t j0 = 0; j0 < count; j0 += kScreenQueries) {
    std::fill_n(most, kScreenQueries * kScreenReferences, -std::numeric_limits<float>::infinity());
    for (int64_t p = 0; p < panels; p += kSampleShare) {
      t.context.isa->screen->maxima(s.groups, tiles + j0 * s.groups * 4, s.panels.row(p), s.residual.row(p),
                                    b.slope + j0, b.offset + j0, 1 / s.panel[static_cast<size_t>(p)].inverse_step,
                                    most);
    }
    for (int64_t j = j0; j < std::min(count, j0 + kScreenQueries); ++j) {
      float* lanes = most + (j - j0) * kScreenReferences;
      std::nth_element(lanes, lanes + rank, lanes + kScreenReferences, std::greater<>());
      if (b.base[j] < kNever) b.base[j] = lanes[rank] / b.inverse_step[j] + b.margin[j];
    }
  }
}

void scan(const Task& t, int64_t first, int64_t count, const int8_t* tiles, QueryBlock& b) {
  const ScreenKernels& kernels = *t.context.isa->screen;
  const Screen& s = t.screen;
  const bool grouped = !t.q_group.empty() && !t.r_group.empty();
  alignas(64) float bound[kScreenQueries * kScreenReferences];
  uint32_t above[kScreenQueries];
  for (int64_t p = 0; p < static_cast<int64_t>(s.panel.size()); ++p) {
    const ScreenPanel& panel = s.panel[static_cast<size_t>(p)];
    const int64_t lanes = std::min(kScreenReferences, s.rows - p * kScreenReferences);
    const uint32_t present = static_cast<uint32_t>((uint64_t{1} << lanes) - 1);
    const float step = 1 / panel.inverse_step;
    kernels.thresholds(round_up(count, kScreenQueries), b.queries(), panel, b.threshold);
    for (int64_t j0 = 0; j0 < count; j0 += kScreenQueries) {
      const int64_t rows = std::min(kScreenQueries, count - j0);
      if (kernels.tile(rows, s.groups, tiles + j0 * s.groups * 4, s.panels.row(p), s.residual.row(p), b.slope + j0,
                       b.threshold + j0, bound, above) == 0) {
        continue;
      }
      for (int64_t i = 0; i < rows; ++i) {
        if (above[i] == 0) continue;
        const int64_t j = j0 + i;
        Pending& pending = b.pending[j];
        for (uint32_t bits = above[i] & present; bits != 0; bits &= bits - 1) {
          const int64_t lane = std::countr_zero(bits), reference = p * kScreenReferences + lane;
          if (grouped && t.q_group[static_cast<size_t>(first + b.id[j])] == t.r_group[static_cast<size_t>(reference)]) {
            continue;
          }
          pending.bound[pending.count] = (bound[i * kScreenReferences + lane] - b.offset[j]) * step / b.inverse_step[j];
          pending.index[pending.count++] = static_cast<int32_t>(reference);
        }
        if (pending.count > kMostPending - kScreenReferences) look(t, first, b, j);
      }
    }
  }
  for (int64_t j = 0; j < count; ++j) look(t, first, b, j);
}

// The places whose k-th s does not rule out what stayed below the base of the pass; their base becomes what it allows.
int64_t unfinished(const Task& t, int64_t count, const float* guessed, QueryBlock& b, int32_t* places) {
  int64_t n = 0;
  for (int64_t j = 0; j < count; ++j) {
    if (!b.settled[b.id[j]]) continue;
    const float base = base_of(b, j, t.k);
    if (base >= guessed[j]) continue;
    b.base[j] = base;
    places[n++] = static_cast<int32_t>(j);
  }
  return n;
}

// The candidates' similarities by the float32 chain, best first; ties to the lower index.
void decide(const Task& t, int64_t query, const Candidates& c) {
  alignas(64) float f[kMostCandidates];
  int32_t order[kMostCandidates];
  const float* rows[16];
  for (int32_t at = 0; at < c.count; at += 16) {
    for (int32_t l = 0; l < 16; ++l) rows[l] = t.r.row(c.index[at + l < c.count ? at + l : at]);
    t.context.isa->screen->chain_scores(t.q.row(query), rows, t.screen.d, f + at);
  }
  for (int32_t i = 0; i < c.count; ++i) order[i] = i;
  const int64_t found = std::min<int64_t>(t.k, c.count);
  std::partial_sort(order, order + found, order + c.count,
                    [&](int32_t x, int32_t y) { return f[x] != f[y] ? f[x] > f[y] : c.index[x] < c.index[y]; });
  for (int64_t j = 0; j < found; ++j) {
    t.out.similarity(query, j) = f[order[j]];
    t.out.index(query, j) = c.index[order[j]];
  }
}

void search_block(const Task& t, int64_t first, int64_t count, float* scratch, int8_t* tiles, QueryBlock& b,
                  std::vector<int64_t>& open) {
  pack_queries(*t.context.isa, t.screen, t.q, first, count, scratch, b, tiles);
  float guessed[kQueryBlock];
  int32_t places[kQueryBlock];
  guess_bases(t, count, tiles, b);
  std::copy_n(b.base, count, guessed);
  scan(t, first, count, tiles, b);
  const int64_t again = unfinished(t, count, guessed, b, places);
  if (again > 0) {
    keep_places(t.screen, places, again, b, tiles);
    scan(t, first, again, tiles, b);
  }
  for (int64_t i = 0; i < count; ++i) {
    if (b.settled[i]) {
      decide(t, first + i, b.candidates[i]);
    } else {
      open.push_back(first + i);
    }
  }
}

}  // namespace

std::vector<int64_t> screened_search(const Context& context, HostMatrix<const float> q, HostMatrix<const float> r,
                                     const Screen& screen, std::span<const int32_t> q_group,
                                     std::span<const int32_t> r_group, TopK out) {
  const int64_t k = out.index.cols, threads = context.pool->threads();
  const Task task{context, q, r, screen, q_group, r_group, out, k, 4 * k + 512 + r.rows / 8};
  const int64_t units = ceil_div(q.rows, kScreenQueries);
  // A multiple of the number of threads, so that none waits for the last task.
  const int64_t tasks = std::min(units, round_up(ceil_div(q.rows, kQueryBlock), threads));
  const int64_t block_floats = round_up(static_cast<int64_t>(sizeof(QueryBlock)), 64) / 4;
  const int64_t tile_floats = ceil_div(ceil_div(units, tasks) * kScreenQueries * screen.groups * 4, 64) * 16;
  const int64_t byte_floats = ceil_div(units, tasks) * kScreenQueries * screen.byte_width / 4;
  const int64_t floats = block_floats + tile_floats + byte_floats + pack_queries_floats(*context.isa, screen);
  const Scratch scratch = context.scratch->take(floats * threads);
  std::vector<std::vector<int64_t>> open(static_cast<size_t>(tasks));
  run(*context.pool, tasks, [&](int64_t i, int worker) {
    const int64_t first = units * i / tasks * kScreenQueries;
    const int64_t count = std::min(units * (i + 1) / tasks * kScreenQueries, q.rows) - first;
    float* base = scratch.data() + worker * floats;
    QueryBlock& block = *reinterpret_cast<QueryBlock*>(base);
    int8_t* tiles = reinterpret_cast<int8_t*>(base + block_floats);
    block.byte_rows = reinterpret_cast<int8_t*>(base + block_floats + tile_floats);
    search_block(task, first, count, base + block_floats + tile_floats + byte_floats, tiles, block,
                 open[static_cast<size_t>(i)]);
  });
  std::vector<int64_t> all;
  for (const std::vector<int64_t>& o : open) all.insert(all.end(), o.begin(), o.end());
  return all;
}

}  // namespace tracer::cpu
