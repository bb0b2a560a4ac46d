// What labels mean, to learn from beside a log that shows a label few times: their names, or a file.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/learn/descriptions.h"
#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/inputs.h"
#include "host/cli/labelled_log.h"
#include "host/encoder/encoder.h"

namespace tracer::cli {

struct DescriptionOptions {
  std::optional<std::string> source;  // "names", "none" or a file; not given: names where they can be had
  std::string embeddings;             // of the file; "": as for logs

  // Its uses of files, for check_outputs.
  std::vector<FileUse> inputs() const;
};
// --descriptions, --descriptions-embeddings
void add_description_options(Flags& app, DescriptionOptions& options);

// Whether some label may have fewer rows to learn from than need no description (engine/learn/descriptions.h), when a
// fit learns from `share` of the rows: names are not worth an encoder's start otherwise.
bool may_need_names(const Traces& traces, double share);

// Labels by index into learned.labels. encoder: what embeds the log's text, null where its vectors were given; names,
// or a file without vectors, are then embedded with the encoder that those are noted to be of. log: how its rows are
// read. Nothing where names are not asked for and not needed, or the vectors are of no encoder of this machine; where
// that encoder cannot be opened, with a warning. Descriptions of labels that the log does not have are left out with a
// warning; bad rows likewise. kBadInput as read_alike where names or a file are asked for.
Result<Descriptions> read_descriptions(Backend& backend, const DescriptionOptions& options, const InputOptions& log,
                                       const LearnedLog& learned, bool names_needed, const Encoder* encoder,
                                       const Console& console);

}  // namespace tracer::cli
