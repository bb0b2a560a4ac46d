#include "host/sweep/input.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "engine/log/label_index.h"
#include "host/artifact/look_ledger.h"
#include "host/io/plain_text.h"

namespace tracer {

Result<CurveSizes> parse_curve(const std::optional<std::string>& text) {
  CurveSizes curve;
  curve.automatic = text == "auto";
  if (!text || curve.automatic) return curve;
  const char* at = text->data();
  const char* const end = at + text->size();
  while (true) {
    int64_t n = 0;
    const auto [stop, error] = std::from_chars(at, end, n);
    if (error != std::errc() || n < 1 || (stop != end && (*stop != ',' || stop + 1 == end)))
      return bad_option("curve", option("curve") + ": expected auto, or numbers of traces with commas between, found " +
                                     shown(*text));
    curve.sizes.push_back(n);
    if (stop == end) return curve;
    at = stop + 1;
  }
}

std::vector<int64_t> sweep_sizes(const CurveSizes& asked, int64_t rows, const Events& events) {
  std::set<int64_t> sizes = {rows};
  if (asked.automatic)
    for (int64_t n = std::min<int64_t>(500, std::max<int64_t>(1, rows / 8)); n <= rows * 4 / 5; n *= 2) sizes.insert(n);
  for (int64_t n : asked.sizes)
    if (n > rows)
      events.caution(option("curve") + " " + std::to_string(n) + ": the log has " + std::to_string(rows) +
                     " rows; left out");
    else
      sizes.insert(n);
  return {sizes.begin(), sizes.end()};
}

Result<TestLog> read_test(Backend& backend, const RowSource& test, const std::string& vectors,
                          const LearnedLog& learned, const Encoder* encoder, const Events& events) {
  TRACER_ASSIGN_OR_RETURN(auto read, read_alike(backend, option("test") + " " + test.traces + ": ",
                                                option("test_embeddings"), test, vectors, learned, encoder, events));
  TestLog out;
  Traces& traces = read.file.traces;
  out.digest = log_digest(traces, read.vectors.x);
  TRACER_RETURN_IF_ERROR(backend.normalise_rows(read.vectors.x.view()));
  out.rows.x = std::move(read.vectors.x);
  out.rows.label = translate_labels(traces.label, traces.labels, learned.labels);
  return out;
}

}  // namespace tracer
