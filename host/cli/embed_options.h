// The options that say where vectors of text come from beside a folder: an embedding server, and a cache.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/encoder/encoder.h"

namespace tracer::cli {

struct EmbedOptions {
  std::string url;  // "": no server
  std::string api = "auto";
  std::string input_key = "texts";
  std::string encoding = "float";
  std::string key_env, key_file, ca_file;
  int64_t dimensions = 0;
  int64_t batch = 32, concurrency = 8;
  int max_attempts = 6;
  double timeout_seconds = 120, give_up_seconds = 600;
  std::string cache;  // "": none
  uint64_t cache_bytes = uint64_t{4} << 30;
};
// cache becomes $TRACER_EMBED_CACHE where that is set. Options of the server need --embed-url.
void add_embed_options(Flags& app, EmbedOptions& options);

// The cache named by the options, or nullptr.
Result<std::shared_ptr<VectorCache>> open_cache(const EmbedOptions& options, const Console& console);

// The server named by the options. model: its name there, or "". Says where text goes.
Result<Encoder> open_embed_server(const EmbedOptions& options, const std::string& model, const Console& console);

}  // namespace tracer::cli
