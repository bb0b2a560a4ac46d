#include "host/encoder/label_descriptions.h"

#include <algorithm>
#include <utility>

#include "host/encoder/embedding.h"
#include "host/io/label_words.h"
#include "host/io/plain_text.h"

namespace tracer {
namespace {

constexpr char kNames[] = "names";
constexpr char kNone[] = "none";

bool is_file(const DescriptionOptions& o) { return o.source && *o.source != kNames && *o.source != kNone; }

Result<Descriptions> embed_names(const Backend& backend, const RowSource& log, const LearnedLog& learned,
                                 const Encoder* encoder, const Events& events) {
  Descriptions out;
  std::vector<std::string> texts;
  for (size_t l = 0; l < learned.labels.size(); ++l) {
    std::string words = io::words_of_label(learned.labels[l]);
    if (words.empty()) continue;
    texts.push_back(std::move(words));
    out.label.push_back(static_cast<int32_t>(l));
  }
  if (texts.empty()) return out;
  TRACER_ASSIGN_OR_RETURN(
      auto embeds, AlikeEncoder::open(option("descriptions") + " names: ", "", log, learned, encoder, backend, events));
  const EncoderIdentity &known = learned.vectors.encoder, &own = embeds.encoder()->identity;
  if (!own.makes_vectors_of(known))
    return bad_input(option("descriptions") + " names: the vectors of " + learned.path + " are of " + describe(known) +
                     ", and what was found in its place is " + describe(own));
  TRACER_ASSIGN_OR_RETURN(out.x, embed_log(*embeds.encoder(), texts, events, "embedding names of labels"));
  return out;
}

}  // namespace

std::vector<FileUse> description_files(const DescriptionOptions& options) {
  if (!is_file(options)) return {};
  return {{option("descriptions"), *options.source}, {option("descriptions_embeddings"), options.embeddings}};
}

bool may_need_names(const Traces& traces, double share) {
  std::vector<int64_t> rows(traces.labels.size(), 0);
  for (const int32_t label : traces.label) ++rows[static_cast<size_t>(label)];
  const double enough = 2 * static_cast<double>(kEnoughRows) / share;  // twice: shares of a label vary
  return std::any_of(rows.begin(), rows.end(), [&](int64_t n) { return static_cast<double>(n) < enough; });
}

Result<Descriptions> read_descriptions(Backend& backend, const DescriptionOptions& options, const RowSource& log,
                                       const LearnedLog& learned, bool names_needed, const Encoder* encoder,
                                       const Events& events) {
  if (options.source == kNone) return Descriptions{};
  if (!options.source) {
    const EncoderIdentity& noted = learned.vectors.encoder;
    if (!names_needed || (encoder == nullptr && (!noted.known() || noted.is_server()))) return Descriptions{};
    auto names = embed_names(backend, log, learned, encoder, events);
    if (names.ok() || encoder != nullptr) return names;
    events.caution("the labels' names are not learned from: " + names.status().message());
    return Descriptions{};
  }
  if (!is_file(options)) return embed_names(backend, log, learned, encoder, events);
  RowSource rows = log;
  rows.traces = *options.source, rows.embeddings = options.embeddings;
  TRACER_ASSIGN_OR_RETURN(auto vectors, vectors_path(rows));
  TRACER_ASSIGN_OR_RETURN(auto read,
                          read_alike(backend, option("descriptions") + " " + rows.traces + ": ",
                                     option("descriptions_embeddings"), rows, vectors, learned, encoder, events));
  const Descriptions all{std::move(read.vectors.x), std::move(read.file.traces.label)};
  Descriptions out = translate_descriptions(all, read.file.traces.labels, learned.labels);
  if (const size_t unknown = all.label.size() - out.label.size(); unknown > 0)
    events.caution(option("descriptions") + " " + rows.traces + ": " + counted(static_cast<int64_t>(unknown), "row") +
                   " of labels that " + learned.path + " does not have left out");
  return out;
}

}  // namespace tracer
