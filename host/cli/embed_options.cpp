#include "host/cli/embed_options.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "host/cli/flags.h"
#include "host/cli/signals.h"
#include "host/http/secret.h"

namespace tracer::cli {
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

void add_embed_options(Flags& app, EmbedOptions& o) {
  constexpr char kServer[] = "Embedding server and cache";
  Flag* url = app.add_option("--embed-url", o.url,
                             "embed text by this server: https://api.openai.com/v1/embeddings, "
                             "http://localhost:8080/embed, ...; --embed-model names its model");
  url->group(kServer)->check([](const std::string& given) {
    EmbedApiOptions address;
    address.url = given;
    address.model = "any";
    auto api = EmbedApi::make(std::move(address));
    return api.ok() ? std::string() : api.status().message();
  });
  const auto of_server = [&](Flag* option) { return option->needs(url)->group(kServer); };
  of_server(app.add_option("--embed-api", o.api,
                           "what the server speaks: auto goes by the path: .../embeddings and .../v1 openai, .../embed "
                           "tei (text-embeddings-inference), else json"))
      ->check(one_of({"auto", "openai", "tei", "json"}))
      ->capture_default_str();
  of_server(app.add_option("--embed-dimensions", o.dimensions, "openai: dimension to ask for"))
      ->check(in_range(1, 1 << 20));
  of_server(app.add_option("--embed-encoding", o.encoding, "openai: how vectors come; answers are read either way"))
      ->check(one_of({"float", "base64"}))
      ->capture_default_str();
  of_server(app.add_option("--embed-input-key", o.input_key, "json: key of the texts in a request"))
      ->capture_default_str();
  of_server(app.add_option("--embed-batch", o.batch, "texts of a request, at most; halved where the server refuses"))
      ->check(in_range(1, 1 << 16))
      ->capture_default_str();
  of_server(app.add_option("--embed-concurrency", o.concurrency,
                           "requests in flight, at most; fewer while the server pushes back"))
      ->check(in_range(1, 1024))
      ->capture_default_str();
  of_server(app.add_option("--embed-max-attempts", o.max_attempts, "of one request; being told to wait uses none up"))
      ->check(in_range(1, 1000))
      ->capture_default_str();
  of_server(app.add_option("--embed-timeout-seconds", o.timeout_seconds, "of one request"))
      ->check(in_range(0.001, 86'400.0))
      ->capture_default_str();
  of_server(
      app.add_option("--embed-give-up-seconds", o.give_up_seconds, "stop asking after so long without any answer"))
      ->check(positive())
      ->capture_default_str();
  of_server(app.add_option("--embed-key-env", o.key_env,
                           "environment variable with the API key (default: openai OPENAI_API_KEY, else none)"));
  of_server(app.add_option("--embed-key-file", o.key_file, "file with the API key, readable by its owner only"));
  of_server(app.add_option("--embed-ca-file", o.ca_file, "certificates to trust instead of the system's (PEM)"));
  app.add_option("--embed-cache", o.cache,
                 "keep vectors of text in this file, and take them from it; made where there is none (default: "
                 "$TRACER_EMBED_CACHE, else no cache)")
      ->envname("TRACER_EMBED_CACHE")
      ->group(kServer);
  app.add_option("--embed-cache-size", o.cache_bytes,
                 "of that file, at most: bytes, or 500MB, 4GB, ... (0: no limit); what was used longest ago goes first")
      ->as_bytes()
      ->default_str("4GB")
      ->group(kServer);
}

Result<std::shared_ptr<VectorCache>> open_cache(const EmbedOptions& o, const Console& console) {
  if (o.cache.empty()) return std::shared_ptr<VectorCache>();
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
  auto cache = VectorCache::open(o.cache, static_cast<int64_t>(std::min(o.cache_bytes, kMost)),
                                 [&console](const std::string& what) { console.warn(what); });
  if (!cache.ok()) return cache.status();
  return std::make_shared<VectorCache>(std::move(cache).value());
}

Result<Encoder> open_embed_server(const EmbedOptions& o, const std::string& model, const Console& console) {
  EmbedApiOptions api;
  api.dialect = o.api == "auto" ? embed_dialect_of(o.url) : *parse_embed_dialect(o.api);
  api.url = o.url;
  api.model = model;
  api.dimensions = o.dimensions;
  api.base64 = o.encoding == "base64";
  api.input_key = o.input_key;
  const bool openai = api.dialect == EmbedDialect::kOpenAi;
  if (openai && model.empty()) return bad_input("--embed-model is missing: an openai server wants a model's name");
  if (!openai && (o.dimensions > 0 || api.base64))
    return bad_input("--embed-dimensions and --embed-encoding are for openai servers, and this one is taken for " +
                     std::string(to_string(api.dialect)) + " (--embed-api)");
  const std::string variable = !o.key_env.empty() ? o.key_env : openai ? "OPENAI_API_KEY" : "";
  if (!o.key_file.empty() || !variable.empty()) {
    TRACER_ASSIGN_OR_RETURN(auto key, http::read_key({o.key_file, variable}));
    if (key.empty() && !o.key_env.empty()) return bad_input("--embed-key-env: $" + o.key_env + " is not set");
    api.key = std::move(key);
  }
  if (!api.key.empty() && !is_private(o.url))
    console.warn("the API key and the texts go to the embedding server unencrypted: its address is no https");
  TRACER_ASSIGN_OR_RETURN(auto made, EmbedApi::make(std::move(api)));
  EmbedClientOptions client;
  client.batch = o.batch;
  client.concurrency = o.concurrency;
  client.most_attempts = o.max_attempts;
  client.give_up_seconds = o.give_up_seconds;
  client.stopped = [] { return signals_seen() > 0; };
  http::HttpOptions http;
  http.timeout_ms = static_cast<int64_t>(std::ceil(o.timeout_seconds * 1000));
  http.max_connections = o.concurrency;
  http.max_response_bytes = int64_t{1} << 28;
  http.ca_file = o.ca_file;
  TRACER_ASSIGN_OR_RETURN(auto cache, open_cache(o, console));
  if (!cache)
    console.note("no --embed-cache: what the server answers is not kept, and a run that is stopped asks for it again");
  auto encoder = open_server(std::move(made), std::move(client), http, std::move(cache));
  if (encoder.ok()) console.note("embedding text by " + encoder->identity.path + ": " + describe(encoder->identity));
  return encoder;
}

}  // namespace tracer::cli
