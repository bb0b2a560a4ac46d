#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"
#include "host/encoder/embedding.h"
#include "host/encoder/source.h"
#include "host/io/npy.h"
#include "host/io/rejects.h"
#include "host/io/trace_reader.h"

namespace tracer::cli {
namespace {

struct EmbedCommand {
  Common common;
  RowSource input;
  EncoderRun encoder_options;
  std::string output;

  int run();
  Status embed(const Encoder& encoder, io::TraceReader& reader, io::Rejects& rejects, io::NpyWriter& out);
};

// Row i of the file belongs to data line i: a bad line leaves a row of zeros, which no reader takes for a vector.
Status EmbedCommand::embed(const Encoder& encoder, io::TraceReader& reader, io::Rejects& rejects, io::NpyWriter& out) {
  Embedding embedding(encoder, events_of(common.console), input.traces);
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
  if (rows == 0) return bad_input(input.traces + ": no rows");
  if (rejects.above(rows)) return rejects.too_many(rows, /*early=*/false);
  if (rejects.count() == rows) return bad_input(input.traces + ": no good row; first bad one, " + rejects.first());
  while (out.rows() < rows) TRACER_RETURN_IF_ERROR(out.write(zeros.view()));
  return out.commit();
}

int EmbedCommand::run() {
  const Console& console = common.console;
  if (output == "-") return usage_error(console, "-o -: vectors want a file, not standard output");
  const std::string rejects_path = input.rejects.empty() ? output + ".rejects.jsonl" : input.rejects;
  const Status clash = check_outputs({{option("output"), output},
                                      {option("rejects"), rejects_path},
                                      {"the note of -o,", vector_note_path(output)},
                                      {option("embed_cache"), input.embed.cache}},
                                     {{"IN", input.traces}}, "");
  if (!clash.ok()) return fail(console, clash);
  auto backend = open_backend(common);
  if (!backend.ok()) return fail(console, backend.status());
  auto options = reader_options(input);
  options.need_label = false;
  options.read_timestamp = false;
  auto reader = io::TraceReader::open(input.traces, options);
  if (!reader.ok()) return fail(console, reader.status());
  auto encoder = open_named_encoder(input, encoder_options, **backend, events_of(console));
  if (!encoder.ok()) return fail(console, encoder.status());
  auto out = io::NpyWriter::create(output, encoder->identity.dimension);
  if (!out.ok()) return fail(console, out.status());
  io::Rejects rejects(input.traces, rejects_path, input.max_bad_ratio);
  const Status embedded = embed(*encoder, *reader, rejects, *out);
  if (!embedded.ok()) return fail(console, embedded);
  const Status noted = write_vector_note(output, encoder->identity);
  if (!noted.ok()) return fail(console, noted);
  if (rejects.count() > 0)
    console.warn(counted(rejects.count(), "row") + " could not be read and has a row of zeros; first, " +
                 rejects.first() + "; all of them in " + rejects.path());
  const int code = rejects.count() > 0 ? kExitPartial : kExitOk;
  if (!console.json) return code;
  const TextSource::Counts counts = encoder->text->counts();
  return console.print_json({{"rows", out->rows()},
                             {"bad_rows", rejects.count()},
                             {"dimension", encoder->identity.dimension},
                             {"embedded", counts.made},
                             {"from_cache", counts.found},
                             {"encoder", encoder_json(encoder->identity)},
                             {"vectors", output}},
                            code);
}

}  // namespace

void add_embed(Flags& app, int& exit_code) {
  auto command = std::make_shared<EmbedCommand>();
  Flags* sub = app.add_subcommand("embed", "make a vector of each row's text: .npy, for fit, evaluate and route");
  sub->add_option("IN", command->input.traces, "rows: JSONL or CSV, plain or gzip; - for standard input")->required();
  sub->add_option("-o,--output", command->output, "vectors: .npy, float32, one unit row a data line")->required();
  add_row_options(*sub, command->input, false);
  add_local_encoder_options(*sub, command->encoder_options);
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
