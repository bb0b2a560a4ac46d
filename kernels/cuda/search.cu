#include <algorithm>
#include <vector>

#include "kernels/cuda/operations.cuh"
#include "kernels/cuda/topk.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

namespace {

// Rows of bfloat16 operands, and of their products, start at multiples of 16 bytes.
int64_t padded(int64_t cols) { return blocks_of(cols, 8) * 8; }

class DeviceReferences final : public References {
 public:
  DeviceReferences(int64_t rows, int64_t cols, device::Array<float> exact, device::Array<BFloat16> rounded,
                   device::Array<int32_t> largest, device::Array<int32_t> group, device::Array<int32_t> label)
      : rows_(rows),
        cols_(cols),
        exact(std::move(exact)),
        rounded(std::move(rounded)),
        largest(std::move(largest)),
        group(std::move(group)),
        label(std::move(label)) {}
  int64_t rows() const override { return rows_; }
  int64_t cols() const override { return cols_; }

 private:
  int64_t rows_, cols_;

 public:
  device::Array<float> exact;       // rows x cols
  device::Array<BFloat16> rounded;  // padded rows x padded cols, or nothing: too few rows to screen
  device::Array<int32_t> largest;   // of round_rows_kernel
  device::Array<int32_t> group;     // may be empty
  device::Array<int32_t> label;     // may be empty
};

constexpr int64_t kScreenFrom = 4096;  // references: with fewer the float32 product is cheap

Status round_rows(Context& c, device::Global<const float> x, int64_t rows, int64_t cols, device::Global<BFloat16> out,
                  device::Global<RowNorm> norm, device::Global<int32_t> largest) {
  return device::launch("round_rows_kernel", round_rows_kernel,
                        {blocks_of(rows, kTopkThreads / device::kWarp), kTopkThreads}, c.compute, x, rows, cols,
                        padded(cols), out, norm, largest);
}

// The length of the lists, in warps: room for k, and for what rounding may put before it.
int slots_for(int64_t k, bool screened) {
  const int64_t wanted = screened ? k + std::max<int64_t>(22, k / 2) : k;
  return wanted <= 32 ? 1 : wanted <= 64 ? 2 : 4;
}

// One search: everything of it that does not change from batch to batch.
struct Search {
  Context& c;
  const DeviceReferences& r;
  int64_t k;
  bool screened;
  bool summarising;
  bool excluding;
  int64_t batch;
  int64_t tile_cols;
  device::Array<float> tile;
  device::Array<float> list_score;
  device::Array<int32_t> list_index;
  device::Array<BFloat16> rounded;  // of the batch's queries
  device::Array<RowNorm> norm;
  device::Array<int32_t> largest;  // of the batch's queries; not used

  template <int kSlots>
  Status batch_of(device::Global<const float> q, device::Global<const int32_t> q_group, int64_t count,
                  device::Global<int32_t> certified, const Answers& answers) {
    const device::Shape shape{blocks_of(count, kTopkThreads / device::kWarp), kTopkThreads};
    const Lists lists{list_score.global(), list_index.global()};
    const Groups groups{excluding, q_group, r.group.global()};
    const int64_t d = r.cols(), depth = padded(d);
    if (screened) {
      TRACER_RETURN_IF_ERROR(device::fill_zero(largest, c.compute));
      TRACER_RETURN_IF_ERROR(round_rows(c, q, count, d, rounded.global(), norm.global(), largest.global()));
    }
    // No reference at all: one empty tile, so that the lists are written.
    for (int64_t first = 0; first == 0 || first < r.rows(); first += tile_cols) {
      const int64_t cols = std::min(tile_cols, r.rows() - first), stride = screened ? padded(cols) : cols;
      if (cols > 0 && screened) {
        TRACER_RETURN_IF_ERROR(product<BFloat16>(c, Trans::kNo, Trans::kYes, count, stride, depth, rounded.global(),
                                                 r.rounded.global() + first * depth, false, tile.global()));
      } else if (cols > 0) {
        TRACER_RETURN_IF_ERROR(exact_product<float>(c, Trans::kNo, Trans::kYes, count, cols, d, q,
                                                    r.exact.global() + first * d, false, tile.global()));
      }
      TRACER_RETURN_IF_ERROR(device::launch("select_kernel", select_kernel<kSlots>, shape, c.compute, tile.global(),
                                            count, cols, stride, first, first == 0, groups, lists));
    }
    if (screened) {
      return device::launch("rescore_kernel", rescore_kernel<kSlots>, shape, c.compute, q, count, d, r.exact.global(),
                            norm.global(), r.largest.global(), lists, certified, answers);
    }
    return device::launch("emit_kernel", emit_kernel<kSlots>, shape, c.compute, count, lists, answers);
  }
};

Result<std::unique_ptr<Search>> make_search(Context& c, const DeviceReferences& r, int64_t queries, int64_t k,
                                            bool screened, bool summarising, bool excluding) {
  const int64_t batch = std::min(c.tuning.queries, queries);
  // Fewer queries, wider tiles of the same size; padded, but for the last.
  const int64_t wide = c.tuning.queries * c.tuning.references / std::max<int64_t>(batch, 1);
  const int64_t tile_cols = std::min(std::max<int64_t>(wide / 8 * 8, 8), std::max<int64_t>(r.rows(), 1));
  const int64_t length = slots_for(k, screened) * device::kWarp;
  Result<device::Array<float>> tile = allocate<float>(c, batch * padded(tile_cols));
  if (!tile.ok()) return tile.status();
  Result<device::Array<float>> score = allocate<float>(c, batch * length);
  if (!score.ok()) return score.status();
  Result<device::Array<int32_t>> index = allocate<int32_t>(c, batch * length);
  if (!index.ok()) return index.status();
  Result<device::Array<BFloat16>> rounded = allocate<BFloat16>(c, screened ? batch * padded(r.cols()) : 0);
  if (!rounded.ok()) return rounded.status();
  Result<device::Array<RowNorm>> norm = allocate<RowNorm>(c, screened ? batch : 0);
  if (!norm.ok()) return norm.status();
  Result<device::Array<int32_t>> largest = allocate<int32_t>(c, 2);
  if (!largest.ok()) return largest.status();
  return std::unique_ptr<Search>(new Search{c, r, k, screened, summarising, excluding, batch, tile_cols,
                                            std::move(*tile), std::move(*score), std::move(*index), std::move(*rounded),
                                            std::move(*norm), std::move(*largest)});
}

// Searches the queries whose numbers are given; unproven receives those that screening did not settle.
Status search(Context& c, const DeviceReferences& r, HostMatrix<const float> q, std::span<const int64_t> queries,
              std::span<const int32_t> q_group, bool screened, TopK out, std::span<NeighbourSummary> summary,
              std::vector<int64_t>* unproven) {
  const int64_t n = static_cast<int64_t>(queries.size()), k = out.index.cols, d = r.cols();
  const bool summarising = !summary.empty(), excluding = !q_group.empty() && r.group.count() > 0;
  Result<std::unique_ptr<Search>> made = make_search(c, r, n, k, screened, summarising, excluding);
  if (!made.ok()) return made.status();
  Search& s = **made;
  Lane<float> rows, score;
  Lane<int32_t> group, index, certified;
  Lane<NeighbourSummary> summaries;
  TRACER_RETURN_IF_ERROR(rows.create(c, s.batch, d));
  TRACER_RETURN_IF_ERROR(score.create(c, s.batch, k));
  TRACER_RETURN_IF_ERROR(index.create(c, s.batch, k));
  if (excluding) TRACER_RETURN_IF_ERROR(group.create(c, s.batch, 1));
  if (screened) TRACER_RETURN_IF_ERROR(certified.create(c, s.batch, 1));
  if (summarising) TRACER_RETURN_IF_ERROR(summaries.create(c, s.batch, 1));
  const auto query = [&](int64_t i) { return queries[static_cast<size_t>(i)]; };
  return stream_rows(
      c, n, s.batch,
      [&](int slot, int64_t first, int64_t count) -> Status {
        in_pieces(c, count, d * static_cast<int64_t>(sizeof(float)), [&](int64_t begin, int64_t some) {
          for (int64_t i = begin; i < begin + some; ++i) {
            std::copy_n(q.row(query(first + i)), d, rows.host(slot) + i * d);
          }
        });
        TRACER_RETURN_IF_ERROR(rows.send(c, slot, count));
        if (!excluding) return {};
        for (int64_t i = 0; i < count; ++i) group.host(slot)[i] = q_group[static_cast<size_t>(query(first + i))];
        return group.send(c, slot, count);
      },
      [&](int slot, int64_t, int64_t count) -> Status {
        Answers answers{k, index.device(slot), score.device(slot), summarising, r.label.count() > 0, r.label.global(),
                        {}};
        if (summarising) answers.summary = summaries.device(slot);
        const device::Global<const int32_t> groups =
            excluding ? device::Global<const int32_t>(group.device(slot)) : device::Global<const int32_t>{};
        const device::Global<int32_t> proof = screened ? certified.device(slot) : device::Global<int32_t>{};
        switch (slots_for(k, screened)) {
          case 1:
            return s.template batch_of<1>(rows.device(slot), groups, count, proof, answers);
          case 2:
            return s.template batch_of<2>(rows.device(slot), groups, count, proof, answers);
          default:
            return s.template batch_of<4>(rows.device(slot), groups, count, proof, answers);
        }
      },
      [&](int slot, int64_t, int64_t count) -> Status {
        if (screened) TRACER_RETURN_IF_ERROR(certified.fetch(c, slot, count));
        if (summarising) TRACER_RETURN_IF_ERROR(summaries.fetch(c, slot, count));
        TRACER_RETURN_IF_ERROR(index.fetch(c, slot, count));
        return score.fetch(c, slot, count);
      },
      [&](int slot, int64_t first, int64_t count) {
        for (int64_t i = 0; i < count; ++i) {
          const int64_t row = query(first + i);
          std::copy_n(index.host(slot) + i * k, k, out.index.row(row));
          std::copy_n(score.host(slot) + i * k, k, out.similarity.row(row));
          if (summarising) summary[static_cast<size_t>(row)] = summaries.host(slot)[i];
          if (screened && certified.host(slot)[i] == 0) unproven->push_back(row);
        }
        return Status();
      });
}

}  // namespace

Result<std::unique_ptr<References>> prepare_references(Context& c, HostMatrix<const float> r,
                                                       const ReferenceOptions& options) {
  Result<device::Array<float>> exact = upload<float>(c, r);
  if (!exact.ok()) return exact.status();
  const bool screen = c.tuning.screening == Screening::kAlways ||
                      (c.tuning.screening == Screening::kAuto && c.products.available() && r.rows >= kScreenFrom);
  const int64_t depth = screen ? padded(r.cols) : 0;
  Result<device::Array<BFloat16>> rounded = allocate<BFloat16>(c, padded(r.rows) * depth);
  if (!rounded.ok()) return rounded.status();
  TRACER_RETURN_IF_ERROR(device::fill_zero(*rounded, c.compute));
  Result<device::Array<int32_t>> largest = allocate<int32_t>(c, 2);
  if (!largest.ok()) return largest.status();
  TRACER_RETURN_IF_ERROR(device::fill_zero(*largest, c.compute));
  if (depth > 0 && r.rows > 0) {
    Result<device::Array<RowNorm>> norm = allocate<RowNorm>(c, r.rows);
    if (!norm.ok()) return norm.status();
    TRACER_RETURN_IF_ERROR(
        round_rows(c, exact->global(), r.rows, r.cols, rounded->global(), norm->global(), largest->global()));
  }
  Result<device::Array<int32_t>> group = upload(c, options.group);
  if (!group.ok()) return group.status();
  Result<device::Array<int32_t>> label = upload(c, options.label);
  if (!label.ok()) return label.status();
  TRACER_RETURN_IF_ERROR(c.compute.synchronise());
  return std::unique_ptr<References>(std::make_unique<DeviceReferences>(r.rows, r.cols, std::move(*exact),
                                                                        std::move(*rounded), std::move(*largest),
                                                                        std::move(*group), std::move(*label)));
}

Status topk_cosine(Context& c, HostMatrix<const float> q, const References& r, std::span<const int32_t> q_group,
                   TopK out, std::span<NeighbourSummary> summary, TopKReport* report) {
  const auto* references = dynamic_cast<const DeviceReferences*>(&r);
  if (references == nullptr) return internal_error("topk_cosine: the references were made by another backend");
  const bool screened = references->rounded.count() > 0;
  if (report != nullptr) *report = {q.rows, 0, screened};
  if (q.rows == 0 || (out.index.cols == 0 && summary.empty())) return {};
  std::vector<int64_t> queries(static_cast<size_t>(q.rows)), unproven;
  for (size_t i = 0; i < queries.size(); ++i) queries[i] = static_cast<int64_t>(i);
  TRACER_RETURN_IF_ERROR(search(c, *references, q, queries, q_group, screened, out, summary, &unproven));
  if (unproven.empty()) return {};
  if (report != nullptr) report->rescanned = static_cast<int64_t>(unproven.size());
  return search(c, *references, q, unproven, q_group, false, out, summary, nullptr);
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
