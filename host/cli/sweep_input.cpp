#include "host/cli/sweep_input.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "host/artifact/ledger.h"
#include "host/cli/embedding.h"

namespace tracer::cli {

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
      return bad_input("--curve: expected auto, or numbers of traces with commas between, found " + shown(*text));
    curve.sizes.push_back(n);
    if (stop == end) return curve;
    at = stop + 1;
  }
}

std::vector<int64_t> sweep_sizes(const CurveSizes& asked, int64_t rows, const Console& console) {
  std::set<int64_t> sizes = {rows};
  if (asked.automatic)
    for (int64_t n = std::min<int64_t>(500, std::max<int64_t>(1, rows / 8)); n <= rows * 4 / 5; n *= 2) sizes.insert(n);
  for (int64_t n : asked.sizes)
    if (n > rows)
      console.warn("--curve " + std::to_string(n) + ": the log has " + std::to_string(rows) + " rows; left out");
    else
      sizes.insert(n);
  return {sizes.begin(), sizes.end()};
}

Result<TestLog> read_test(Backend& backend, const InputOptions& test, const std::string& vectors,
                          const LearnedLog& learned, const Encoder* encoder, const Console& console) {
  const std::string start = "--test " + test.traces + ": ";
  const EncoderIdentity& known = learned.vectors.encoder;
  std::optional<Encoder> own;
  if (vectors.empty() && encoder == nullptr) {
    if (!known.known())
      return bad_input(start + "has no vectors, and nothing is known of what made those of " + learned.path +
                       "; give --test-embeddings");
    if (known.is_server())
      return bad_input(start + "has no vectors, and those of " + learned.path + " are of a server, " + describe(known) +
                       "; embed it with `tracer embed` and give --test-embeddings");
    InputOptions same = test;
    same.encoder = known.path;
    auto opened = open_named_encoder(same, {known.precision, {known.prompt, {}}}, backend, console);
    if (!opened.ok()) return opened.status();
    own.emplace(std::move(opened).value());
    encoder = &*own;
  }
  auto file = read_log(test, "", "", vectors.empty(), console);
  if (!file.ok()) return file.status();
  auto read = read_or_embed(vectors, vectors.empty() ? encoder : nullptr, *file, test.traces, console);
  if (!read.ok()) return read.status();
  if (read->encoder.known() && known.known() && !read->encoder.makes_vectors_of(known))
    return bad_input(start + "its vectors are of " + describe(read->encoder) + ", those of the log of " +
                     describe(known));
  if (read->x.cols() != learned.vectors.x.cols())
    return bad_input(start + "expected vectors of dimension " + std::to_string(learned.vectors.x.cols()) + ", found " +
                     std::to_string(read->x.cols()));
  TestLog out;
  out.digest = log_digest(file->traces, read->x);
  TRACER_RETURN_IF_ERROR(backend.normalise_rows(read->x.view()));
  out.rows.x = std::move(read->x);
  std::map<std::string, int32_t> index;
  for (size_t l = 0; l < learned.labels.size(); ++l) index[learned.labels[l]] = static_cast<int32_t>(l);
  for (int32_t label : file->traces.label) {
    const auto at = index.find(file->traces.labels[label]);
    out.rows.label.push_back(at == index.end() ? -1 : at->second);
  }
  return out;
}

}  // namespace tracer::cli
