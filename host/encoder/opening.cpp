#include "host/encoder/opening.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "host/http/secret.h"
#include "host/io/plain_text.h"

namespace tracer {
namespace {

// https, or the machine itself.
bool is_private(std::string_view url) {
  if (url.starts_with("https://")) return true;
  for (const std::string_view host : {"http://localhost", "http://127.0.0.1", "http://[::1]"})
    if (url.starts_with(host) &&
        (url.size() == host.size() || std::string_view(":/?").find(url[host.size()]) != std::string_view::npos))
      return true;
  return false;
}

}  // namespace

Result<std::shared_ptr<VectorCache>> open_cache(const EmbedServer& o, const Events& events) {
  if (o.cache.empty()) return std::shared_ptr<VectorCache>();
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
  auto cache = VectorCache::open(o.cache, static_cast<int64_t>(std::min(o.cache_bytes, kMost)),
                                 [events](const std::string& what) { events.caution(what); });
  if (!cache.ok()) return cache.status();
  return std::make_shared<VectorCache>(std::move(cache).value());
}

Result<Encoder> open_embed_server(const EmbedServer& o, const std::string& model, const Events& events) {
  EmbedApiOptions api;
  api.dialect = o.api == "auto" ? embed_dialect_of(o.url) : *parse_embed_dialect(o.api);
  api.url = o.url;
  api.model = model;
  api.dimensions = o.dimensions;
  api.base64 = o.encoding == "base64";
  api.input_key = o.input_key;
  const bool openai = api.dialect == EmbedDialect::kOpenAi;
  if (openai && model.empty())
    return bad_input(option("embed_model") + " is missing: an openai server wants a model's name");
  if (!openai && (o.dimensions > 0 || api.base64))
    return bad_input(option("embed_dimensions") + " and " + option("embed_encoding") +
                     " are for openai servers, and this one is taken for " + std::string(to_string(api.dialect)) +
                     " (" + option("embed_api") + ")");
  const std::string variable = !o.key_env.empty() ? o.key_env : openai ? "OPENAI_API_KEY" : "";
  if (!o.key_file.empty() || !variable.empty()) {
    TRACER_ASSIGN_OR_RETURN(auto key, http::read_key({o.key_file, variable}));
    if (key.empty() && !o.key_env.empty())
      return bad_input(option("embed_key_env") + ": $" + o.key_env + " is not set");
    api.key = std::move(key);
  }
  if (!api.key.empty() && !is_private(o.url))
    events.caution("the API key and the texts go to the embedding server unencrypted: its address is no https");
  TRACER_ASSIGN_OR_RETURN(auto made, EmbedApi::make(std::move(api)));
  EmbedClientOptions client;
  client.batch = o.batch;
  client.concurrency = o.concurrency;
  client.most_attempts = o.max_attempts;
  client.give_up_seconds = o.give_up_seconds;
  client.stopped = events.stopped;
  http::HttpOptions http;
  http.timeout_ms = static_cast<int64_t>(std::ceil(o.timeout_seconds * 1000));
  http.max_connections = o.concurrency;
  http.max_response_bytes = int64_t{1} << 28;
  http.ca_file = o.ca_file;
  TRACER_ASSIGN_OR_RETURN(auto cache, open_cache(o, events));
  if (!cache)
    events.tell("no " + option("embed_cache") +
                ": what the server answers is not kept, and a run that is stopped asks for it again");
  auto encoder = open_server(std::move(made), std::move(client), http, std::move(cache));
  if (encoder.ok()) events.tell("embedding text by " + encoder->identity.path + ": " + describe(encoder->identity));
  return encoder;
}

Precision precision_of(const std::optional<std::string>& option) {
  return option ? *parse_precision(*option) : Precision::kFloat32;
}

EncoderMachine machine_of(const Backend& backend) { return {backend.threads(), std::string(backend.name())}; }

void note_encoder(const Encoder& encoder, const Events& events) {
  events.tell("embedding text with " + describe(encoder.identity) + (encoder.place.empty() ? "" : ", ") +
              encoder.place);
}

Result<Encoder> open_named_encoder(const RowSource& source, const EncoderRun& run, const Backend& backend,
                                   const Events& events) {
  if (!source.embed.url.empty()) return open_embed_server(source.embed, source.encoder, events);
  TRACER_ASSIGN_OR_RETURN(auto cache, open_cache(source.embed, events));
  auto encoder = open_encoder(source.encoder.empty() ? default_encoder_folder() : source.encoder,
                              precision_of(run.precision), machine_of(backend), std::move(cache), run.prompt);
  if (encoder.ok()) note_encoder(*encoder, events);
  return encoder;
}

void note_counts(const TextSource& text, const Events& events) {
  const TextSource::Counts c = text.counts();
  if (c.found > 0) events.tell(counted(c.found, "vector") + " from the cache, " + std::to_string(c.made) + " made");
  if (c.requests > 0)
    events.tell("embedding server: " + counted(c.made, "text") + " in " + counted(c.requests, "request") +
                (c.retried > 0 ? ", " + std::to_string(c.retried) + " of them again" : ""));
}

}  // namespace tracer
