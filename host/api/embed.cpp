#include "host/api/embed.h"

#include <utility>
#include <vector>

#include "host/api/access.h"
#include "host/encoder/embedding.h"
#include "host/encoder/log_vectors.h"
#include "host/io/file_uses.h"
#include "host/io/json_format.h"
#include "host/io/npy.h"
#include "host/io/plain_text.h"
#include "host/io/rejects.h"
#include "host/io/trace_reader.h"

namespace tracer {
namespace {

// Row i of the file belongs to data line i: a bad line leaves a row of zeros, which no reader takes for a vector.
Status embed_rows(const Encoder& encoder, const std::string& traces, io::TraceReader& reader, io::Rejects& rejects,
                  io::NpyWriter& out, const Events& events) {
  Embedding embedding(encoder, events, traces);
  std::vector<std::string> texts;
  std::vector<int64_t> position;
  Matrix<float> vectors(TextEncoder::kGroup, encoder.identity.dimension);
  const Matrix<float> zeros(1, encoder.identity.dimension);
  for (bool more = true; more;) {
    texts.clear(), position.clear();
    while (static_cast<int64_t>(texts.size()) < TextEncoder::kGroup) {
      TRACER_ASSIGN_OR_RETURN(auto kind, reader.next());
      if (kind == io::RowKind::kEnd) {
        more = false;
        break;
      }
      if (kind == io::RowKind::kBad) {
        TRACER_RETURN_IF_ERROR(rejects.add(reader.bad()));
        if (rejects.clearly_above(reader.positions())) return rejects.too_many(reader.positions(), /*early=*/true);
        continue;
      }
      texts.emplace_back(reader.row().input);
      position.push_back(reader.row().position);
    }
    const auto n = static_cast<int64_t>(texts.size());
    TRACER_RETURN_IF_ERROR(embedding.encode(texts, reader.raw_bytes(), vectors.view().rows_from(0, n)));
    for (int64_t i = 0; i < n; ++i) {
      while (out.rows() < position[i]) TRACER_RETURN_IF_ERROR(out.write(zeros.view()));
      int64_t j = i + 1;  // consecutive rows are written at once
      while (j < n && position[j] == position[j - 1] + 1) ++j;
      TRACER_RETURN_IF_ERROR(out.write(std::as_const(vectors).view().rows_from(i, j - i)));
      i = j - 1;
    }
  }
  embedding.finish();
  TRACER_RETURN_IF_ERROR(rejects.close());
  const int64_t rows = reader.positions();
  if (rows == 0) return bad_input(traces + ": no rows");
  if (rejects.above(rows)) return rejects.too_many(rows, /*early=*/false);
  if (rejects.count() == rows) return bad_input(traces + ": no good row; first bad one, " + rejects.first());
  while (out.rows() < rows) TRACER_RETURN_IF_ERROR(out.write(zeros.view()));
  return out.commit();
}

}  // namespace

Result<EmbedReport> embed_file(const Device& device, const EmbedRequest& request, const Events& events) {
  const RowSource& rows = request.source;
  if (request.output == "-")
    return bad_option("output", option("output") + " -: vectors want a file, not standard output");
  const std::string rejects_path = rows.rejects.empty() ? request.output + ".rejects.jsonl" : rows.rejects;
  TRACER_RETURN_IF_ERROR(check_outputs({{option("output"), request.output},
                                        {option("rejects"), rejects_path},
                                        {"the note of " + option("output") + ",", vector_note_path(request.output)},
                                        {option("embed_cache"), rows.embed.cache}},
                                       {{"IN", rows.traces}}, ""));
  auto options = reader_options(rows);
  options.need_label = false;
  options.read_timestamp = false;
  TRACER_ASSIGN_OR_RETURN(auto reader, io::TraceReader::open(rows.traces, options));
  TRACER_ASSIGN_OR_RETURN(const Encoder encoder,
                          open_named_encoder(rows, request.encoder, DeviceAccess::backend(device), events));
  TRACER_ASSIGN_OR_RETURN(auto out, io::NpyWriter::create(request.output, encoder.identity.dimension));
  io::Rejects rejects(rows.traces, rejects_path, rows.max_bad_ratio);
  TRACER_RETURN_IF_ERROR(embed_rows(encoder, rows.traces, reader, rejects, out, events));
  TRACER_RETURN_IF_ERROR(write_vector_note(request.output, encoder.identity));
  if (rejects.count() > 0)
    events.caution(counted(rejects.count(), "row") + " could not be read and has a row of zeros; first, " +
                   rejects.first() + "; all of them in " + rejects.path());
  EmbedReport report{out.rows(), rejects.count(), encoder.identity.dimension, {}};
  const TextSource::Counts counts = encoder.text->counts();
  report.document.json = json_text({{"rows", report.rows},
                                    {"bad_rows", report.bad_rows},
                                    {"dimension", report.dimension},
                                    {"embedded", counts.made},
                                    {"from_cache", counts.found},
                                    {"encoder", encoder_json(encoder.identity)},
                                    {"vectors", request.output}});
  report.document.text = counted(report.rows, "row") + " in " + shown(request.output) + "\n";
  return report;
}

Status check_embed_url(const std::string& url) {
  EmbedApiOptions address;
  address.url = url;
  address.model = "any";
  return EmbedApi::make(std::move(address)).status();
}

}  // namespace tracer
