// What labels mean, to learn from beside a log that shows a label few times: their names, or a file.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/learn/descriptions.h"
#include "host/encoder/encoder.h"
#include "host/encoder/log_vectors.h"
#include "host/encoder/source.h"
#include "host/io/events.h"
#include "host/io/file_uses.h"

namespace tracer {

// The files that the options name, for check_outputs.
std::vector<FileUse> description_files(const DescriptionOptions& options);

// Whether some label may have fewer rows to learn from than need no description (engine/learn/descriptions.h), when a
// fit learns from `share` of the rows: names are not worth an encoder's start otherwise.
bool may_need_names(const Traces& traces, double share);

// Labels by index into learned.labels. encoder: what embeds the log's text, null where its vectors were given; names,
// or a file without vectors, are then embedded with the encoder that those are noted to be of. log: how its rows are
// read. Nothing where names are not asked for and not needed, or the vectors are of no encoder of this machine; where
// that encoder cannot be opened, with a warning. Descriptions of labels that the log does not have are left out with a
// warning; bad rows likewise. kBadInput as read_alike where names or a file are asked for.
Result<Descriptions> read_descriptions(Backend& backend, const DescriptionOptions& options, const RowSource& log,
                                       const LearnedLog& learned, bool names_needed, const Encoder* encoder,
                                       const Events& events);

}  // namespace tracer
