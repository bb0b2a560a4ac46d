// Flags that several commands share: where rows and vectors come from, which policy, which rows explain it.
#pragma once

#include "host/api/evaluate.h"
#include "host/api/explain.h"
#include "host/api/fit.h"
#include "host/cli/command.h"
#include "host/cli/flags.h"

namespace tracer::cli {

// --embeddings and what add_row_options adds. labelled: the command needs the teacher's answers.
void add_input_options(Flags& app, RowSource& source, bool labelled);
// How rows are read, and which encoder embeds them.
void add_row_options(Flags& app, RowSource& source, bool labelled);
// The embedding server and the cache. The cache becomes $TRACER_EMBED_CACHE where that is set. Options of the server
// need
// --embed-url.
void add_embed_options(Flags& app, EmbedServer& server);
// --precision, --embed-prompt, --embed-prompt-name. After add_row_options.
void add_local_encoder_options(Flags& app, EncoderRun& run);
// --descriptions, --descriptions-embeddings
void add_description_options(Flags& app, DescriptionOptions& options);
// DIR and --alpha
void add_policy_options(Flags& app, PolicyOptions& options);
// The options that say which rows: --traces, the input options, --group-by, --slice; and --curve, --more, --since.
void add_explain_source(Flags& app, ExplainSource& source);

}  // namespace tracer::cli
