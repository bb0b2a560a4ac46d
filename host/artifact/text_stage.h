// The text stage of a cascade in an artifact: its encoder and stage in the manifest, its tensors (docs/artifact.md).
#pragma once

#include <cstdint>
#include <string>

#include "engine/policy/policy.h"
#include "host/artifact/artifact.h"
#include "host/io/safetensors.h"
#include "kernels/status.h"

namespace tracer {

// What `encoders` says of the hashed n-grams of engine/text/ngrams.h.
Json ngrams_json();
// kBadInput where it is another encoder, or n-grams that this version does not make.
Status check_ngrams(const Json& json);

// The stage's entry of `stages`; encoder: its index in `encoders`.
Json text_stage_json(const TextStage& stage, int64_t encoder);
// Adds the stage's tensors, prefix before their names. The stage must outlive the writer.
void add_text_stage(const TextStage& stage, const std::string& prefix, io::SafetensorsWriter& writer);

Status parse_text_stage(const Json& json, int64_t encoder, int64_t classes, const std::string& prefix,
                        const io::SafetensorsFile& file, TextStage& stage);

}  // namespace tracer
