// What makes vectors of text, ready to run, and where to find it.
#pragma once

#include <memory>
#include <string>

#include "engine/text/text_encoder.h"
#include "host/encoder/embed_client.h"
#include "host/encoder/encoder_folder.h"
#include "host/encoder/encoder_identity.h"
#include "host/encoder/text_source.h"
#include "host/encoder/vector_cache.h"
#include "kernels/status.h"

namespace tracer {

struct Encoder {
  EncoderIdentity identity;
  std::unique_ptr<TextSource> text;
  std::string place;  // where a GPU was to be used: which one is, or why none is; else ""
};

// What of this machine an encoder uses.
struct EncoderMachine {
  int threads = 1;
  // A backend's name. "cuda", "cuda:N": the transformer runs there where libtorch's CUDA half can be opened
  // (engine/text/transformer.h) and the precision is not int8, else on the CPU.
  std::string device = "cpu";
};

// $TRACER_EMBED_MODEL, else all-MiniLM-L6-v2 beside the program or where an installed tree has it. It need not exist.
std::string default_encoder_folder();

// Reads the folder and opens libtorch. Errors as read_encoder_folder and open_transformer_module. cache: where vectors
// are looked for first, and kept; nullptr for none.
Result<Encoder> open_encoder(const std::string& folder, Precision precision, const EncoderMachine& machine,
                             std::shared_ptr<VectorCache> cache = nullptr, const PromptChoice& prompt = {});

// The encoder that made a policy's vectors, with its prompt: `folder` where it is not empty, else where it was, else
// the default. Another one is kBadInput, with what was expected and what was found. `whose`, for messages: the policy's
// path.
Result<Encoder> open_encoder_of(const EncoderIdentity& wanted, const std::string& folder, const EncoderMachine& machine,
                                const std::string& whose, std::shared_ptr<VectorCache> cache = nullptr);

// A server's model. Asks it for one vector (unless the cache knows the dimension), so that a wrong address, key or
// model shows at once. Errors as EmbedClient::embed.
Result<Encoder> open_server(EmbedApi api, EmbedClientOptions options, const http::HttpOptions& http,
                            std::shared_ptr<VectorCache> cache);

// kBadInput, with what was expected and what was found, where `found` does not make the vectors of `wanted`.
Status check_encoder(const EncoderIdentity& wanted, const EncoderIdentity& found, const std::string& whose);

}  // namespace tracer
