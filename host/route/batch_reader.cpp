#include "host/route/batch_reader.h"

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "engine/policy/text_stage.h"
#include "host/encoder/log_vectors.h"

namespace tracer {
namespace {

constexpr int64_t kBatchRows = TextEncoder::kGroup;
constexpr int64_t kStretchRows = 128;  // read by one thread at a time

}  // namespace

Result<BatchReader> BatchReader::open(const RowSource& o, bool need_label, bool keep_input, int64_t dimension,
                                      const std::string& rejects_path, const VectorSource& source,
                                      const Events& events) {
  auto options = reader_options(o);
  options.need_label = need_label;
  options.read_timestamp = false;
  TRACER_ASSIGN_OR_RETURN(auto reader, io::TraceReader::open(o.traces, options));
  BatchReader batches(std::move(reader), io::Rejects(o.traces, rejects_path, o.max_bad_ratio));
  batches.traces_path_ = o.traces;
  batches.keep_input_ = keep_input;
  batches.text_stage_ = source.text_stage;
  batches.rule_ = source.rule;
  int64_t found = 0;
  if (source.encoder) {
    batches.embedding_ = std::make_unique<Embedding>(*source.encoder, events, o.traces);
    found = batches.embedding_->dimension();
  } else {
    TRACER_ASSIGN_OR_RETURN(auto vectors, io::NpyReader::open(source.npy));
    found = vectors.cols();
    batches.vectors_ = std::move(vectors);
  }
  if (found != dimension)
    return bad_input((source.encoder ? source.encoder->identity.path : source.npy) +
                     ": expected vectors of dimension " + std::to_string(dimension) +
                     " as the policy was fitted on, found " + std::to_string(found));
  return batches;
}

int64_t BatchReader::lead_of(int64_t rows) const {
  return embedding_ && embedding_->groups_matter() ? rows % kBatchRows : 0;
}

// Gathers rows, and notes where their vectors lie in a file.
Status BatchReader::read_rows(RowBatch& batch) {
  // Vectors lie in stretches of consecutive positions: a bad row ends one.
  int64_t first = -1, count = 0;
  const auto end_stretch = [&]() -> Status {
    if (count == 0 || !vectors_) return {};
    const int64_t at = static_cast<int64_t>(batch.rows.size()) - count;
    if (first + count > vectors_->rows())
      return bad_input(vectors_->name() + ": " + std::to_string(vectors_->rows()) + " vectors, but " + traces_path_ +
                       " has more rows (row " + std::to_string(vectors_->rows() + 1) + " has none)");
    for (int64_t done = 0; done < count; done += kStretchRows)
      batch.stretches.push_back({first + done, at + done, std::min(kStretchRows, count - done)});
    count = 0;
    return {};
  };
  const auto full = [&] { return static_cast<int64_t>(embedding_ ? texts_.size() : batch.rows.size()) >= kBatchRows; };
  while (!full()) {
    if (left_ == 0) {
      done_ = true;
      break;
    }
    TRACER_ASSIGN_OR_RETURN(auto kind, reader_.next());
    if (kind == io::RowKind::kEnd) {
      done_ = true;
      break;
    }
    if (kind == io::RowKind::kBad) {
      TRACER_RETURN_IF_ERROR(end_stretch());
      TRACER_RETURN_IF_ERROR(rejects_.add(reader_.bad()));
      if (rejects_.clearly_above(reader_.positions())) return rejects_.too_many(reader_.positions(), /*early=*/true);
      continue;
    }
    if (skip_ > 0) {
      if (skip_-- <= lead_) texts_.emplace_back(reader_.row().input);
      continue;
    }
    --left_;
    const io::TraceRow& row = reader_.row();
    if (count == 0) first = row.position;
    ++count;
    batch.rows.emplace_back();
    RowBatch::Row& out = batch.rows.back();
    out.line = row.line;
    if (row.has_id) out.id = std::string(row.id);
    out.label = row.label;
    if (keep_input_) out.input = row.input;
    if (embedding_ || text_stage_ != nullptr) texts_.emplace_back(row.input);
  }
  return end_stretch();
}

// The texts after the last row that is wanted, up to the end of its group.
Status BatchReader::complete_group() {
  while (static_cast<int64_t>(texts_.size()) < kBatchRows) {
    TRACER_ASSIGN_OR_RETURN(auto kind, reader_.next());
    if (kind == io::RowKind::kEnd) return {};
    if (kind == io::RowKind::kRow) texts_.emplace_back(reader_.row().input);
  }
  return {};
}

// The text stage's answers to texts_, of which `lead` come before the batch's rows.
void BatchReader::answer(Backend* backend, RowBatch& batch, int64_t lead) {
  answer_texts(backend, *text_stage_, *rule_, texts_, answers_);
  const auto first = answers_.begin() + lead, end = first + static_cast<int64_t>(batch.rows.size());
  batch.answered.assign(first, end);
}

// On all cores, since copying them is most of the work of reading. Those of rows that the text stage did not answer
// close up.
Status BatchReader::read_vectors(Backend& backend, RowBatch& batch) {
  if (batch.vectors.empty())  // one row should not pay for a batch
    batch.vectors = Matrix<float>(std::min(kBatchRows, vectors_->rows()), vectors_->cols());
  const std::vector<RowBatch::Stretch>& stretches = batch.stretches;
  std::vector<Status> read(stretches.size());
  std::vector<uint8_t> too_large(stretches.size());  // for the memory left; no body may throw
  parallel_for(backend, static_cast<int64_t>(stretches.size()), [&](int64_t i) {
    const auto [first, at, count] = stretches[static_cast<size_t>(i)];
    try {
      read[static_cast<size_t>(i)] = vectors_->read_rows(first, count, batch.vectors.view().rows_from(at, count));
    } catch (const std::bad_alloc&) {
      too_large[static_cast<size_t>(i)] = 1;
    }
  });
  if (std::count(too_large.begin(), too_large.end(), 1) > 0) return out_of_memory("reading vectors");
  for (const Status& status : read) TRACER_RETURN_IF_ERROR(status);
  int64_t kept = 0;
  for (size_t i = 0; i < batch.answered.size(); ++i) {
    if (batch.answered[i]) continue;
    const auto at = static_cast<int64_t>(i);
    if (kept < at) std::copy_n(batch.vectors.row(at), batch.vectors.cols(), batch.vectors.row(kept));
    ++kept;
  }
  return {};
}

// lead: how many of the texts come before the batch's rows. What the text stage answered is not embedded: the others of
// the group are, together and in order, so that a row's company is the same in every pass.
Status BatchReader::embed(RowBatch& batch, int64_t lead) {
  std::vector<std::string> left;
  if (text_stage_ != nullptr) {
    int64_t left_before = 0;
    for (size_t i = 0; i < texts_.size(); ++i) {
      if (answers_[i]) continue;
      left_before += static_cast<int64_t>(i) < lead;
      left.push_back(std::move(texts_[i]));
    }
    lead = left_before;
  }
  const std::vector<std::string>& texts = text_stage_ != nullptr ? left : texts_;
  const auto n = static_cast<int64_t>(texts.size());
  if (n == 0) return {};
  if (batch.vectors.rows() < n) batch.vectors = Matrix<float>(n, embedding_->dimension());
  TRACER_RETURN_IF_ERROR(embedding_->encode(texts, reader_.raw_bytes(), batch.vectors.view().rows_from(0, n)));
  for (int64_t i = 0; lead > 0 && i + lead < n; ++i)
    std::copy_n(batch.vectors.row(i + lead), batch.vectors.cols(), batch.vectors.row(i));
  return {};
}

Status BatchReader::finish() {
  if (left_ == 0) return rejects_.close();
  if (skip_ > 0)
    return bad_input(traces_path_ + ": has " + std::to_string(skip_) + " rows fewer than were read before");
  TRACER_RETURN_IF_ERROR(rejects_.close());
  if (rejects_.above(reader_.positions())) return rejects_.too_many(reader_.positions(), /*early=*/false);
  if (vectors_ && reader_.positions() != vectors_->rows())
    return bad_input(vectors_->name() + ": " + std::to_string(vectors_->rows()) + " vectors, but " + traces_path_ +
                     " has " + std::to_string(reader_.positions()) + " rows");
  return {};
}

// backend: null on another thread than the caller's, to whom it belongs.
Result<bool> BatchReader::read_batch(Backend* backend, RowBatch& batch) {
  batch.rows.clear();
  batch.answered.clear();
  batch.stretches.clear();
  texts_.clear();
  if (done_) return false;
  TRACER_RETURN_IF_ERROR(read_rows(batch));
  if (batch.rows.empty()) texts_.clear();  // all of them were read over
  const int64_t lead = batch.rows.empty() ? 0 : lead_;
  lead_ = 0;
  if (left_ == 0 && !batch.rows.empty() && embedding_ && embedding_->groups_matter())
    TRACER_RETURN_IF_ERROR(complete_group());
  if (text_stage_ != nullptr) answer(backend, batch, lead);
  if (embedding_) TRACER_RETURN_IF_ERROR(embed(batch, lead));
  if (done_) {
    if (embedding_) embedding_->finish();
    TRACER_RETURN_IF_ERROR(finish());
  }
  return !batch.rows.empty();
}

void BatchReader::read_ahead() {
  // An encoder uses all cores itself, and its progress is shown on the caller's thread.
  if (done_ || embedding_ || reading_.valid()) return;
  try {
    reading_ = std::async(std::launch::async, [this] { return read_batch(nullptr, ahead_); });
  } catch (const std::system_error&) {  // out of threads: the next call reads
  }
}

Result<bool> BatchReader::next(Backend& backend, RowBatch& batch) {
  Result<bool> more = false;
  if (reading_.valid()) {
    more = reading_.get();
    std::swap(batch, ahead_);
    std::swap(batch.vectors, ahead_.vectors);  // of what was read ahead there are none yet
  } else {
    more = read_batch(&backend, batch);
  }
  if (!more.ok() || !*more) return more;
  if (vectors_) TRACER_RETURN_IF_ERROR(read_vectors(backend, batch));
  TRACER_RETURN_IF_ERROR(backend.normalise_rows(batch.vectors.view().rows_from(0, batch.vector_rows())));
  return true;
}

}  // namespace tracer
