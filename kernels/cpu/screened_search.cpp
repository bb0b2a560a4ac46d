// A task holds a block of quantised queries in the second-level cache. It samples the screen's bounds to guess, for
// each query, a base that few references exceed, and passes over the panels of references, comparing each tile of
// bounds with the bases while it lies in registers. What exceeds its base is looked at in two steps: by all its
// coordinates in 8 bits (while the panel is at hand), then, the most promising first, by the very chain of fma's of the
// float32 search: f, the similarity that counts. A query is done when its k-th f is so high that what stayed below the
// base does not matter; for the others the pass is made again with the base that their k-th f allows.
//
// A reference is out, whatever its index, when its bound on q.r, plus what f may be off q.r (gamma(chain) |q| |r|), is
// below the k-th f found so far. A query that needs more looks than a float32 search would cost is left to that one.
#include "kernels/cpu/screened_search.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/cpu/query_block.h"

namespace tracer::cpu {
namespace {

// One panel in so many is part of the sample: the more there are, the less a few more looks weigh.
int64_t sample_share(int64_t panels) { return panels < 2048 ? 8 : panels < 16384 ? 16 : 32; }
constexpr int32_t kRowsTogether = 16;  // of ScreenKernels::chain_scores

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

// The base that the k-th similarity found so far allows.
float base_of(const Task& t, int64_t first, const QueryBlock& b, int64_t j) {
  if (b.found[b.id[j]] < t.k) return -std::numeric_limits<float>::infinity();
  const float kth = t.out.similarity(first + b.id[j], t.k - 1);
  return kth - b.reach[j] - std::fabs(kth) * 0x1p-22f;
}

// Puts a reference in its place: higher similarity first, then lower index.
void offer(const Task& t, int64_t query, int32_t& found, float f, int32_t reference) {
  float* similarity = t.out.similarity.row(query);
  int32_t* index = t.out.index.row(query);
  const auto before = [&](int64_t at) { return similarity[at] > f || (similarity[at] == f && index[at] < reference); };
  if (found == t.k && before(t.k - 1)) return;
  for (int32_t i = 0; i < found; ++i) {
    if (index[i] == reference) return;  // from the pass before
  }
  int64_t at = found < t.k ? found++ : t.k - 1;
  for (; at > 0 && !before(at - 1); --at) {
    similarity[at] = similarity[at - 1];
    index[at] = index[at - 1];
  }
  similarity[at] = f;
  index[at] = reference;
}

// Rows lie all over the references: the next ones travel while these are multiplied.
void prefetch(const float* row, int64_t d) {
  for (int64_t k = 0; k < std::min<int64_t>(d, 512); k += 16) __builtin_prefetch(row + k);
}

// Leaves the up to 16 most promising of what is pending at its end, and drops what no longer matters.
int32_t choose(const QueryBlock& b, int64_t j, float base, Pending& p) {
  int32_t n = 0;
  for (int32_t i = 0; i < p.count; ++i) {
    if (!(p.bound[i] + b.margin[j] >= base)) continue;
    p.bound[n] = p.bound[i];
    p.index[n++] = p.index[i];
  }
  p.count = n;
  if (n <= kRowsTogether) return n;
  // A pivot that between half of kRowsTogether and all of it reach, by bisection: cheaper than a selection, and
  // exactness does not hang on it.
  float low = p.bound[0], high = p.bound[0];
  for (int32_t i = 1; i < n; ++i) {
    low = std::min(low, p.bound[i]);
    high = std::max(high, p.bound[i]);
  }
  float pivot = low;
  for (int round = 0; round < 12; ++round) {
    pivot = low + 0.5f * (high - low);
    int32_t reached = 0;
    for (int32_t i = 0; i < n; ++i) reached += p.bound[i] >= pivot;
    if (reached > kRowsTogether) {
      low = pivot;
    } else if (reached < kRowsTogether / 2) {
      high = pivot;
    } else {
      break;
    }
  }
  int32_t chosen = 0;
  for (int32_t i = n; i-- > 0 && chosen < kRowsTogether;) {
    if (!(p.bound[i] >= pivot)) continue;
    ++chosen;
    std::swap(p.bound[i], p.bound[n - chosen]);
    std::swap(p.index[i], p.index[n - chosen]);
  }
  return chosen > 0 ? chosen : kRowsTogether;
}

// Looks at the last `chosen` of what is pending, then at the others as long as they matter.
void look(const Task& t, int64_t first, QueryBlock& b, int64_t j, int32_t chosen) {
  Pending& p = b.pending[j];
  const int32_t id = b.id[j];
  if (!b.settled[id]) {
    p.count = 0;
    return;
  }
  const float* rows[kRowsTogether];
  alignas(64) float f[kRowsTogether];
  while (chosen > 0) {
    const int32_t at = p.count - chosen;
    for (int32_t l = 0; l < kRowsTogether; ++l) rows[l] = t.r.row(p.index[at + (l < chosen ? l : 0)]);
    t.context.isa->screen->chain_scores(t.q.row(first + id), rows, t.screen.d, f);
    for (int32_t l = 0; l < chosen; ++l) offer(t, first + id, b.found[id], f[l], p.index[at + l]);
    p.count = at;
    b.looks[id] += chosen;
    chosen = choose(b, j, base_of(t, first, b, j), p);
  }
  b.base[j] = std::max(b.base[j], base_of(t, first, b, j));
  if (b.looks[id] > t.most_looks) give_up(b, j);
}

// Looks at all that is pending; the rows of the next query travel meanwhile.
void look_at_all(const Task& t, int64_t first, int64_t count, QueryBlock& b) {
  int32_t chosen = 0;
  for (int64_t j = 0; j <= count; ++j) {
    int32_t next = 0;
    if (j < count) {
      Pending& p = b.pending[j];
      next = choose(b, j, base_of(t, first, b, j), p);
      for (int32_t i = p.count - next; i < p.count; ++i) prefetch(t.r.row(p.index[i]), t.screen.d);
    }
    if (j > 0) look(t, first, b, j - 1, chosen);
    chosen = next;
  }
}

// Pairs whose bound by the tiles exceeds the query's base.
struct Hits {
  static constexpr int32_t kEnough = 64;
  int32_t count = 0;
  int32_t place[kEnough + kScreenQueries * kScreenReferences];
  int32_t reference[kEnough + kScreenQueries * kScreenReferences];
  float bound[kEnough + kScreenQueries * kScreenReferences];
};

void add_pending(const Task& t, int64_t first, QueryBlock& b, int64_t j, float bound, int32_t reference) {
  Pending& p = b.pending[j];
  p.bound[p.count] = bound;
  p.index[p.count] = reference;
  p.count += bound + b.margin[j] >= b.base[j];
  if (p.count == kMostPending) look(t, first, b, j, choose(b, j, base_of(t, first, b, j), p));
}

// Gives hits sharper bounds from the references' bytes where the screen has them; those that still exceed the base
// become pending.
void sharpen(const Task& t, int64_t first, QueryBlock& b, Hits& hits) {
  const Screen& s = t.screen;
  if (!s.projected) {
    for (int32_t i = 0; i < hits.count; ++i) add_pending(t, first, b, hits.place[i], hits.bound[i], hits.reference[i]);
    hits.count = 0;
    return;
  }
  for (int32_t at = 0; at < hits.count; at += 4) {
    const int32_t here = std::min(4, hits.count - at);
    const int8_t* queries[4];
    const uint8_t* rows[4];
    int32_t product[4];
    for (int32_t l = 0; l < 4; ++l) {
      const int32_t i = at + (l < here ? l : 0);
      queries[l] = b.byte_rows + b.id[hits.place[i]] * s.byte_width;
      rows[l] = s.bytes_of(hits.reference[i]);
    }
    t.context.isa->screen->dot_bytes(s.byte_width, queries, rows, product);
    for (int32_t l = 0; l < here; ++l) {
      const int64_t j = hits.place[at + l];
      const ByteRow row = s.byte_row(hits.reference[at + l]);
      // The integers stay below 2^31 (d 255 127); the roundings of the terms are part of the margin.
      const float sharp = static_cast<float>(product[l] - b.byte_sum[j]) * (b.byte_step[j] * row.step) +
                          b.byte_error[j] * row.norm + b.length[j] * row.error;
      add_pending(t, first, b, j, sharp, hits.reference[at + l]);
    }
  }
  hits.count = 0;
}

// Bases that a small multiple of k references exceed, by the largest bounds of a sample in each lane of its panels.
void guess_bases(const Task& t, int64_t count, const int8_t* tiles, QueryBlock& b) {
  const Screen& s = t.screen;
  const int64_t panels = static_cast<int64_t>(s.panel.size());
  const int64_t share = sample_share(panels);
  const int64_t rank = std::min<int64_t>(7 + t.k / 2, kScreenReferences - 1);
  alignas(64) float most[kScreenQueries * kScreenReferences];
  for (int64_t j0 = 0; j0 < count; j0 += kScreenQueries) {
    std::fill_n(most, kScreenQueries * kScreenReferences, -std::numeric_limits<float>::infinity());
    for (int64_t p = 0; p < panels; p += share) {
      t.context.isa->screen->maxima(s.groups, tiles + j0 * s.groups * 4, s.panel_at(p), s.residual.row(p), b.slope + j0,
                                    b.offset + j0, 1 / s.panel[static_cast<size_t>(p)].inverse_step, most);
    }
    for (int64_t j = j0; j < std::min(count, j0 + kScreenQueries); ++j) {
      float* lanes = most + (j - j0) * kScreenReferences;
      std::nth_element(lanes, lanes + rank, lanes + kScreenReferences, std::greater<>());
      if (b.base[j] < kNever) {
        b.base[j] = lanes[rank] / b.inverse_step[j] + b.error[j] * static_cast<float>(s.most_norm) +
                    b.norm[j] * static_cast<float>(s.most_error);
      }
    }
  }
}

void scan(const Task& t, int64_t first, int64_t count, const int8_t* tiles, QueryBlock& b) {
  const ScreenKernels& kernels = *t.context.isa->screen;
  const Screen& s = t.screen;
  alignas(64) float bound[kScreenQueries * kScreenReferences];
  uint32_t above[kScreenQueries];
  Hits hits;
  const bool grouped = !t.q_group.empty() && !t.r_group.empty();
  for (int64_t p = 0; p < static_cast<int64_t>(s.panel.size()); ++p) {
    const ScreenPanel& panel = s.panel[static_cast<size_t>(p)];
    const int64_t lanes = std::min(kScreenReferences, s.rows - p * kScreenReferences);
    const uint32_t present = static_cast<uint32_t>((uint64_t{1} << lanes) - 1);
    const float step = 1 / panel.inverse_step;
    kernels.thresholds(round_up(count, kScreenQueries), b.queries(), panel, b.threshold);
    for (int64_t j0 = 0; j0 < count; j0 += kScreenQueries) {
      const int64_t rows = std::min(kScreenQueries, count - j0);
      if (kernels.tile(rows, s.groups, tiles + j0 * s.groups * 4, s.panel_at(p), s.residual.row(p), b.slope + j0,
                       b.threshold + j0, bound, above) == 0) {
        continue;
      }
      for (int64_t i = 0; i < rows; ++i) {
        const int64_t j = j0 + i;
        for (uint32_t bits = above[i] & present; bits != 0; bits &= bits - 1) {
          const int64_t lane = std::countr_zero(bits), reference = p * kScreenReferences + lane;
          if (grouped && t.q_group[static_cast<size_t>(first + b.id[j])] == t.r_group[static_cast<size_t>(reference)]) {
            continue;
          }
          hits.place[hits.count] = static_cast<int32_t>(j);
          hits.reference[hits.count] = static_cast<int32_t>(reference);
          hits.bound[hits.count++] = (bound[i * kScreenReferences + lane] - b.offset[j]) * (step / b.inverse_step[j]);
        }
      }
      if (hits.count >= Hits::kEnough) sharpen(t, first, b, hits);
    }
    sharpen(t, first, b, hits);
  }
  look_at_all(t, first, count, b);
}

// The places whose k-th s does not rule out what stayed below the base of the pass; their base becomes what it allows.
int64_t unfinished(const Task& t, int64_t first, int64_t count, const float* guessed, QueryBlock& b, int32_t* places) {
  int64_t n = 0;
  for (int64_t j = 0; j < count; ++j) {
    if (!b.settled[b.id[j]]) continue;
    const float base = base_of(t, first, b, j);
    if (base >= guessed[j]) continue;
    b.base[j] = base;
    places[n++] = static_cast<int32_t>(j);
  }
  return n;
}

void search_block(const Task& t, int64_t first, int64_t count, float* scratch, int8_t* tiles, QueryBlock& b,
                  std::vector<int64_t>& open) {
  pack_queries(*t.context.isa, t.screen, t.q, first, count, scratch, b, tiles);
  float guessed[kQueryBlock];
  int32_t places[kQueryBlock];
  guess_bases(t, count, tiles, b);
  std::copy_n(b.base, count, guessed);
  scan(t, first, count, tiles, b);
  const int64_t again = unfinished(t, first, count, guessed, b, places);
  if (again > 0) {
    keep_places(t.screen, places, again, b, tiles);
    scan(t, first, again, tiles, b);
  }
  for (int64_t i = 0; i < count; ++i) {
    if (b.settled[i]) continue;
    open.push_back(first + i);
    std::fill_n(t.out.index.row(first + i), t.k, -1);
    std::fill_n(t.out.similarity.row(first + i), t.k, -2.0f);
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
