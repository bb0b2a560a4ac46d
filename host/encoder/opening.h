// Opens what makes vectors of text: an encoder of this machine or an embedding server, with its cache. The one room
// that does.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "host/encoder/encoder.h"
#include "host/encoder/source.h"
#include "host/io/events.h"
#include "kernels/backend.h"

namespace tracer {

Precision precision_of(const std::optional<std::string>& name);

// An encoder computes where the backend does.
EncoderMachine machine_of(const Backend& backend);

// Which encoder is at work, and where.
void note_encoder(const Encoder& encoder, const Events& events);

// The cache that the server's options name, or nullptr. Faults of the cache that cost time only are warned of.
Result<std::shared_ptr<VectorCache>> open_cache(const EmbedServer& server, const Events& events);

// model: its name there, or "". Says where text goes. kInterrupted where the events stop it.
Result<Encoder> open_embed_server(const EmbedServer& server, const std::string& model, const Events& events);

// The server that the source names, else the folder that it names, else the default one.
Result<Encoder> open_named_encoder(const RowSource& source, const EncoderRun& run, const Backend& backend,
                                   const Events& events);

// What came from a cache and what was asked of a server; a note if there is either.
void note_counts(const TextSource& text, const Events& events);

}  // namespace tracer
