// A text encoder ready to run, and where to find one.
#pragma once

#include <string>

#include "engine/text/text_encoder.h"
#include "host/encoder/encoder_identity.h"
#include "kernels/status.h"

namespace tracer {

struct Encoder {
  EncoderIdentity identity;
  TextEncoder text;
};

// $TRACER_EMBED_MODEL, else models/all-MiniLM-L6-v2 in the folder of the running program. It need not exist.
std::string default_encoder_folder();

// Reads the folder and opens libtorch. Errors as read_encoder_folder and open_transformer_module.
Result<Encoder> open_encoder(const std::string& folder, Precision precision, int threads);

// The encoder that made a policy's vectors: `folder` where it is not empty, else where it was, else the default.
// Another one is kBadInput, with what was expected and what was found. `whose`, for messages: the policy's path.
Result<Encoder> open_encoder_of(const EncoderIdentity& wanted, const std::string& folder, int threads,
                                const std::string& whose);

}  // namespace tracer
