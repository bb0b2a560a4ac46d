// Queries go through cell by cell, in blocks that lie in the second-level cache. Each tile of queries is searched first
// in its home panels, those of its queries' cells and of the cells around them: what is found there gives each query a
// base that few of the other references reach. Then the block passes over all panels, comparing each tile of bounds
// with the bases while it lies in registers. What reaches its base gets a sharper bound from all its coordinates in 8
// bits, and what still does is looked at, the most promising first, by the very chain of fma's of the float32 search:
// f, the similarity that counts.
//
// A reference is out, whatever its index, when its bound on q.r, plus what f may be off q.r (gamma(chain) |q| |r|), is
// below the k-th f found so far; bases only rise. A query that needs more looks than a float32 search would cost is
// left to that one.
#include "kernels/cpu/screened_search.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/cpu/kmeans.h"
#include "kernels/cpu/query_block.h"

namespace tracer::cpu {
namespace {

constexpr int32_t kRowsTogether = 16;  // of ScreenKernels::chain_scores
constexpr int32_t kMostTogether = 32;
constexpr int32_t kLeftAtHome = kMostPending / 2;          // of what is pending for a query
constexpr int64_t kHomePanels = 8, kMostHomePanels = 512;  // of a tile
constexpr int64_t kWaveFloats = int64_t{1} << 22;          // of projected queries at a time

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

  const ScreenKernels& kernels() const { return *context.isa->screen; }
  bool grouped() const { return !q_group.empty() && !r_group.empty(); }
};

void give_up(QueryBlock& b, int64_t j) {
  b.base[j] = kNever;
  b.settled[j] = false;
}

// The base that the k-th similarity found so far allows.
float base_of(const Task& t, const QueryBlock& b, int64_t j) {
  if (!b.settled[j]) return kNever;
  if (b.found[j] < t.k) return -std::numeric_limits<float>::infinity();
  const float kth = t.out.similarity(b.id[j], t.k - 1);
  return kth - b.reach[j] - std::fabs(kth) * 0x1p-22f;
}

// Puts a reference in its place: higher similarity first, then lower index.
void offer(const Task& t, QueryBlock& b, int64_t j, float f, int32_t reference) {
  float* similarity = t.out.similarity.row(b.id[j]);
  int32_t* index = t.out.index.row(b.id[j]);
  int32_t& found = b.found[j];
  if (found == t.k && (similarity[t.k - 1] > f || (similarity[t.k - 1] == f && index[t.k - 1] < reference))) return;
  found += found < t.k;
  t.kernels().insert(f, reference, found, similarity, index);
}

// Rows lie all over the references: the next ones travel while these are multiplied.
void prefetch(const float* row, int64_t d) {
  for (int64_t k = 0; k < std::min<int64_t>(d, 512); k += 16) __builtin_prefetch(row + k, 0, 2);
}

const float* row_of(const Task& t, int32_t position) { return t.r.row(t.screen.order[static_cast<size_t>(position)]); }

// Leaves the most promising of what is pending at its end, and drops what no longer matters. At least k must be looked
// at; beyond, each look may spare others.
template <int32_t Most>
int32_t choose(const Task& t, const QueryBlock& b, int64_t j, Pending<Most>& p) {
  const bool many = t.k - b.found[j] > kRowsTogether;
  return t.kernels().choose(b.margin[j], base_of(t, b, j), many ? kMostTogether : kRowsTogether, &p.count, p.bound,
                            p.index);
}

// Looks at the last `chosen` of what is pending, then at the others as long as they matter and are more than `enough`.
template <int32_t Most>
void look(const Task& t, QueryBlock& b, int64_t j, Pending<Most>& p, int32_t chosen, int32_t enough = 0) {
  const float* rows[kMostTogether];
  alignas(64) float f[kMostTogether];
  while (chosen > 0 && p.count > enough) {
    const int32_t at = p.count - chosen;
    const int32_t filled = round_up(chosen, kRowsTogether);
    for (int32_t l = 0; l < filled; ++l) rows[l] = row_of(t, p.index[at + (l < chosen ? l : 0)]);
    t.kernels().chain_scores(filled, t.q.row(b.id[j]), rows, t.screen.d, f);
    for (int32_t l = 0; l < chosen; ++l) {
      offer(t, b, j, f[l], t.screen.order[static_cast<size_t>(p.index[at + l])]);
    }
    p.count = at;
    b.looks[j] += chosen;
    if (b.looks[j] > t.most_looks) give_up(b, j);
    chosen = choose(t, b, j, p);
  }
  b.base[j] = std::max(b.base[j], base_of(t, b, j));
}

// Looks at all that is pending of `count` queries; the rows of the next query travel meanwhile.
template <int32_t Most>
void look_at_all(const Task& t, QueryBlock& b, int64_t first, int64_t count, Pending<Most>* pending,
                 int32_t enough = 0) {
  int32_t chosen = 0;
  for (int64_t i = 0; i <= count; ++i) {
    int32_t next = 0;
    if (i < count) {
      Pending<Most>& p = pending[i];
      next = choose(t, b, first + i, p);
      for (int32_t l = p.count - next; l < p.count; ++l) prefetch(row_of(t, p.index[l]), t.screen.d);
    }
    if (i > 0) look(t, b, first + i - 1, pending[i - 1], chosen, enough);
    chosen = next;
  }
}

// The queries of a tile with a reference above.
uint32_t rows_above(const TileBounds& tile, int64_t rows) {
  uint32_t some = 0;
  for (int i = 0; i < static_cast<int>(kMostScreenQueries); ++i) {
    if (i < rows && tile.above[i] != 0) some |= 1u << i;
  }
  return some;
}

// The bounds of one tile of queries (from place j0 on) by panel p; by the first m directions. Returns the rows with a
// bound that reaches its base.
uint32_t screen_tile(const Task& t, const QueryBlock& b, int64_t j0, int64_t rows, int64_t p, TileBounds& tile) {
  const Screen& s = t.screen;
  tile.any = t.kernels().tile(rows, s.groups, b.tiles + j0 * s.groups * 4, s.panel_at(p), s.residual.row(p),
                              b.slope + j0, b.threshold + j0, tile.bound, tile.above);
  if (tile.any == 0) return 0;
  return rows_above(tile, rows);
}

SharpPanel sharp_panel(const Screen& s, int64_t p) {
  return {s.sharp_at(p), s.sharp_step.row(p), s.sharp_norm.row(p), s.sharp_error.row(p)};
}

// By all coordinates, for the queries named by the bits of `rows`. Where W is the identity those are the bounds that
// screen_tile gave, in other units.
void sharpen(const Task& t, const QueryBlock& b, int64_t j0, uint32_t rows, int64_t p, TileBounds& tile) {
  const Screen& s = t.screen;
  const int8_t* queries = b.sharp + j0 * s.sharp_groups * 4;
  if (s.whole) {
    t.kernels().sharpen_block(1, s.sharp_groups, queries, b.sharp_queries(j0), sharp_panel(s, p), &tile);
    return;
  }
  if (s.projected) {
    t.kernels().sharpen(rows, s.sharp_groups, queries, b.sharp_queries(j0), sharp_panel(s, p), tile.bound, tile.above);
    return;
  }
  const float step = 1 / s.panel[static_cast<size_t>(p)].inverse_step;
  for (; rows != 0; rows &= rows - 1) {
    const int64_t i = std::countr_zero(rows), j = j0 + i;
    float* bound = tile.bound + i * kScreenReferences;
    for (int64_t l = 0; l < kScreenReferences; ++l) bound[l] = (bound[l] - b.offset[j]) * (step / b.inverse_step[j]);
  }
}

// References of panel p that the query at place j may have.
uint32_t admissible(const Task& t, const QueryBlock& b, int64_t j, int64_t p, uint32_t above) {
  const int64_t first = p * kScreenReferences, lanes = std::min(kScreenReferences, t.screen.rows - first);
  above &= static_cast<uint32_t>((uint64_t{1} << lanes) - 1);
  if (!t.grouped()) return above;
  const int32_t group = t.q_group[static_cast<size_t>(b.id[j])];
  for (uint32_t bits = above; bits != 0; bits &= bits - 1) {
    const int64_t lane = std::countr_zero(bits);
    const int32_t reference = t.screen.order[static_cast<size_t>(first + lane)];
    if (t.r_group[static_cast<size_t>(reference)] == group) above &= ~(1u << lane);
  }
  return above;
}

// Adds what reaches its base in a tile to what is pending; pending: of the tile's queries.
template <int32_t Most>
void add_pending(const Task& t, QueryBlock& b, int64_t j0, uint32_t rows, int64_t p, const TileBounds& tile,
                 Pending<Most>* pending) {
  for (; rows != 0; rows &= rows - 1) {
    const int64_t i = std::countr_zero(rows), j = j0 + i;
    const uint32_t above = admissible(t, b, j, p, tile.above[i]);
    if (above == 0) continue;
    Pending<Most>& here = pending[i];
    here.count = t.kernels().append(above, tile.bound + i * kScreenReferences,
                                    static_cast<int32_t>(p * kScreenReferences), here.count, here.bound, here.index);
    if (here.count > Most) look(t, b, j, here, choose(t, b, j, here));
  }
}

// The panels of the cells of a tile's queries, then of the cells around, until there are enough; ascending.
std::vector<int32_t> home_panels(const Screen& s, const QueryBlock& b, int64_t j0, int64_t rows) {
  const Cells& cells = s.cells;
  const int64_t panels = s.panel_count();
  const int64_t enough = std::clamp(panels / 64, kHomePanels, kMostHomePanels);
  std::vector<int32_t> home;
  for (int64_t rank = 0; rank < cells.near.cols() && static_cast<int64_t>(home.size()) < enough; ++rank) {
    for (int64_t i = 0; i < rows; ++i) {
      if (i > 0 && b.cell[j0 + i] == b.cell[j0 + i - 1]) continue;
      const int32_t c = cells.near(b.cell[j0 + i], rank);
      const int64_t from = cells.begin[static_cast<size_t>(c)], to = cells.begin[static_cast<size_t>(c) + 1];
      const int64_t last = std::min(ceil_div(to, kScreenReferences), from / kScreenReferences + enough);
      for (int64_t p = from / kScreenReferences; from < to && p < last; ++p) home.push_back(static_cast<int32_t>(p));
    }
    std::sort(home.begin(), home.end());
    home.erase(std::unique(home.begin(), home.end()), home.end());
  }
  return home;
}

// Searches a tile's home panels. What little still matters then waits for what the other panels have.
std::vector<int32_t> search_home(const Task& t, QueryBlock& b, int64_t j0, int64_t rows, TileBounds& tile) {
  const std::vector<int32_t> home = home_panels(t.screen, b, j0, rows);
  for (Pending<kMostCandidates>& p : b.home) p.count = 0;
  const uint32_t all = (1u << rows) - 1;
  for (const int32_t p : home) {
    uint32_t some = all;
    if (!t.screen.sharpens()) {
      t.kernels().thresholds(t.screen.queries, b.queries(j0), t.screen.panel[static_cast<size_t>(p)], b.threshold + j0);
      some = screen_tile(t, b, j0, rows, p, tile);
    }
    if (some == 0) continue;
    sharpen(t, b, j0, some, p, tile);
    add_pending(t, b, j0, some, p, tile, b.home);
  }
  look_at_all(t, b, j0, rows, b.home, kLeftAtHome);
  for (int64_t i = 0; i < rows; ++i) {
    Pending<kMostPending>& left = b.pending[j0 + i];
    left.count = b.home[i].count;
    std::copy_n(b.home[i].bound, left.count, left.bound);
    std::copy_n(b.home[i].index, left.count, left.index);
  }
  return home;
}

// Which panels each tile of a block has searched as its home; asked for in ascending order.
class HomePanels {
 public:
  explicit HomePanels(int64_t tiles) : panels_(static_cast<size_t>(tiles)), next_(static_cast<size_t>(tiles), 0) {}
  void set(int64_t tile, std::vector<int32_t> panels) { panels_[static_cast<size_t>(tile)] = std::move(panels); }
  bool done(int64_t tile, int64_t p) {
    const std::vector<int32_t>& home = panels_[static_cast<size_t>(tile)];
    size_t& next = next_[static_cast<size_t>(tile)];
    if (next == home.size() || home[next] != p) return false;
    ++next;
    return true;
  }

 private:
  std::vector<std::vector<int32_t>> panels_;
  std::vector<size_t> next_;
};

// Panel p against all tiles but those at home there: by the first m directions, and what is left by all coordinates.
void pass_by_directions(const Task& t, int64_t count, int64_t p, HomePanels& home, QueryBlock& b) {
  TileBounds tile;
  t.kernels().thresholds(round_up(count, t.screen.queries), b.queries(0), t.screen.panel[static_cast<size_t>(p)],
                         b.threshold);
  for (int64_t j0 = 0; j0 < count; j0 += t.screen.queries) {
    if (home.done(j0 / t.screen.queries, p)) continue;
    const uint32_t some = screen_tile(t, b, j0, std::min(t.screen.queries, count - j0), p, tile);
    if (some == 0) continue;
    sharpen(t, b, j0, some, p, tile);
    add_pending(t, b, j0, some, p, tile, b.pending + j0);
  }
}

// The same by all coordinates at once. tile: of each tile of the block.
void pass_whole(const Task& t, int64_t count, int64_t p, HomePanels& home, std::vector<TileBounds>& tile,
                QueryBlock& b) {
  t.kernels().sharpen_block(ceil_div(count, t.screen.queries), t.screen.sharp_groups, b.sharp, b.sharp_queries(0),
                            sharp_panel(t.screen, p), tile.data());
  for (int64_t j0 = 0; j0 < count; j0 += t.screen.queries) {
    if (home.done(j0 / t.screen.queries, p)) continue;
    const int64_t rows = std::min(t.screen.queries, count - j0);
    const TileBounds& here = tile[static_cast<size_t>(j0 / t.screen.queries)];
    if (here.any != 0) add_pending(t, b, j0, rows_above(here, rows), p, here, b.pending + j0);
  }
}

void search_block(const Task& t, int64_t count, QueryBlock& b, std::vector<int32_t>& open) {
  TileBounds tile;
  const int64_t queries = t.screen.queries, tiles = ceil_div(count, queries);
  HomePanels home(tiles);
  std::vector<TileBounds> bounds(static_cast<size_t>(t.screen.whole ? tiles : 0));
  for (int64_t j0 = 0; j0 < count; j0 += queries) {
    home.set(j0 / queries, search_home(t, b, j0, std::min(queries, count - j0), tile));
  }
  for (int64_t p = 0; p < t.screen.panel_count(); ++p) {
    if (t.screen.whole) {
      pass_whole(t, count, p, home, bounds, b);
    } else {
      pass_by_directions(t, count, p, home, b);
    }
  }
  look_at_all(t, b, 0, count, b.pending);
  for (int64_t j = 0; j < count; ++j) {
    if (b.settled[j]) continue;
    open.push_back(b.id[j]);
    std::fill_n(t.out.index.row(b.id[j]), t.k, -1);
    std::fill_n(t.out.similarity.row(b.id[j]), t.k, -2.0f);
  }
}

// The queries of one wave, `first` rows into the call; appends those that are left to the float32 search.
void search_wave(const Task& task, int64_t first, std::vector<int64_t>& open) {
  const Context& context = task.context;
  const Screen& screen = task.screen;
  const int64_t n = task.q.rows, threads = context.pool->threads();
  const Scratch projected = context.scratch->take(screen.projected ? n * screen.m : 0);
  if (screen.projected) project_all(context, screen, task.q, projected.data());
  const HostMatrix<const float> y = screen.projected ? HostMatrix<const float>(projected.data(), n, screen.m) : task.q;
  std::vector<int32_t> cell(static_cast<size_t>(n)), order;
  (void)kmeans_assign(context, y, screen.cells.centroid.view(), cell, {});  // the shapes fit
  order_by_cell(cell, screen.cells.count(), order);
  std::vector<int32_t> cell_in_order;
  for (const int32_t i : order) cell_in_order.push_back(cell[static_cast<size_t>(i)]);

  const int64_t queries = screen.queries, units = ceil_div(n, queries);
  // A multiple of the number of threads, so that none waits for the last task.
  const int64_t tasks = std::min(units, round_up(ceil_div(n, kQueryBlock), threads));
  const int64_t most = ceil_div(units, tasks) * queries;
  const auto floats_of = [](int64_t bytes) { return round_up(bytes, 64) / 4; };
  const int64_t block_floats = floats_of(sizeof(QueryBlock)), tile_floats = floats_of(tile_bytes(screen, most));
  const int64_t sharp_floats = floats_of(sharp_bytes(screen, most)), row_floats = floats_of(screen.d + 4);
  const int64_t floats = block_floats + tile_floats + sharp_floats + row_floats;
  const Scratch scratch = context.scratch->take(floats * threads);
  std::vector<std::vector<int32_t>> left(static_cast<size_t>(tasks));
  run(*context.pool, tasks, [&](int64_t i, int worker) {
    const int64_t from = units * i / tasks * queries;
    const int64_t count = std::min(units * (i + 1) / tasks * queries, n) - from;
    float* base = scratch.data() + worker * floats;
    QueryBlock& block = *reinterpret_cast<QueryBlock*>(base);
    block.tiles = reinterpret_cast<int8_t*>(base + block_floats);
    block.sharp = reinterpret_cast<int8_t*>(base + block_floats + tile_floats);
    int8_t* integers = reinterpret_cast<int8_t*>(base + block_floats + tile_floats + sharp_floats);
    pack_queries(*context.isa, screen, task.q, y, order.data() + from, cell_in_order.data() + from, count, integers,
                 block);
    TileConfiguration before;
    if (task.kernels().enter != nullptr) task.kernels().enter(before);
    search_block(task, count, block, left[static_cast<size_t>(i)]);
    if (task.kernels().leave != nullptr) task.kernels().leave(before);
  });
  for (const std::vector<int32_t>& some : left) {
    for (const int32_t i : some) open.push_back(first + i);
  }
}

}  // namespace

std::vector<int64_t> screened_search(const Context& context, HostMatrix<const float> q, HostMatrix<const float> r,
                                     const Screen& screen, std::span<const int32_t> q_group,
                                     std::span<const int32_t> r_group, TopK out) {
  const int64_t k = out.index.cols;
  const int64_t wave = std::max(kQueryBlock * context.pool->threads(), kWaveFloats / screen.m);
  std::vector<int64_t> open;
  for (int64_t first = 0; first < q.rows; first += wave) {
    const int64_t n = std::min(wave, q.rows - first);
    const std::span<const int32_t> group =
        q_group.empty() ? q_group : q_group.subspan(static_cast<size_t>(first), static_cast<size_t>(n));
    search_wave({context,
                 q.rows_from(first, n),
                 r,
                 screen,
                 group,
                 r_group,
                 {out.index.rows_from(first, n), out.similarity.rows_from(first, n)},
                 k,
                 4 * k + 512 + r.rows / 8},
                first, open);
  }
  std::sort(open.begin(), open.end());
  return open;
}

}  // namespace tracer::cpu
