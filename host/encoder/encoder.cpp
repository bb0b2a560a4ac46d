#include "host/encoder/encoder.h"

#include <cstdlib>
#include <filesystem>

#include "host/encoder/encoder_folder.h"
#include "host/encoder/local_text.h"
#include "host/encoder/remote_text.h"

namespace tracer {
namespace {

namespace fs = std::filesystem;

constexpr char kDefaultModel[] = "models/all-MiniLM-L6-v2";

// What the identity of `folder` at that precision would be. The path is absolute: a policy is used from other folders.
EncoderIdentity identity_of(const EncoderFolder& folder, Precision precision) {
  std::error_code ec;
  fs::path whole = fs::canonical(folder.path, ec);
  if (ec) whole = folder.path;
  std::string name = whole.filename().string();
  if (name.empty() || name == kUnknownEncoder) name = "encoder";
  return {name, folder.digest, to_string(precision), folder.shape.hidden, folder.max_tokens, whole.string(),
          "",   folder.prompt};
}

Result<Encoder> start(EncoderFolder folder, Precision precision, int threads, std::shared_ptr<VectorCache> cache) {
  auto module = open_transformer_module();
  if (!module.ok()) return module.status();
  std::unique_ptr<Transformer> transformer;
  if (Status made = (*module)->make(folder.shape, folder.weights, precision, &transformer); !made.ok())
    return made.code() == ErrorCode::kBadInput ? bad_input(folder.path + ": " + made.message()) : made;
  EncoderIdentity identity = identity_of(folder, precision);
  const std::string made_by = identity.digest + " " + identity.precision + " " + arithmetic_here((*module)->version());
  std::string prompt = std::move(folder.prompt);
  TextEncoder encoder(std::move(folder.tokenizer), std::move(transformer), folder.shape.hidden, folder.max_tokens,
                      threads);
  return Encoder{std::move(identity),
                 std::make_unique<LocalText>(std::move(encoder), std::move(prompt), made_by, std::move(cache))};
}

}  // namespace

std::string default_encoder_folder() {
  const char* named = std::getenv("TRACER_EMBED_MODEL");
  if (named != nullptr && *named != '\0') return named;
  std::error_code ec;
  return (fs::read_symlink("/proc/self/exe", ec).parent_path() / kDefaultModel).string();
}

Result<Encoder> open_encoder(const std::string& path, Precision precision, int threads,
                             std::shared_ptr<VectorCache> cache, const PromptChoice& prompt) {
  auto folder = read_encoder_folder(path, prompt);
  if (!folder.ok()) return folder.status();
  return start(std::move(folder).value(), precision, threads, std::move(cache));
}

Result<Encoder> open_encoder_of(const EncoderIdentity& wanted, const std::string& named, int threads,
                                const std::string& whose, std::shared_ptr<VectorCache> cache) {
  std::error_code ec;
  const std::string path = !named.empty()                ? named
                           : fs::exists(wanted.path, ec) ? wanted.path
                                                         : default_encoder_folder();
  auto folder = read_encoder_folder(path, {.text = wanted.prompt, .name = {}});
  if (!folder.ok()) return folder.status();
  const Precision precision = *parse_precision(wanted.precision);
  const EncoderIdentity found = identity_of(*folder, precision);
  if (!found.makes_vectors_of(wanted))
    return bad_input(path + ": another encoder than " + whose + " was fitted with: expected " + describe(wanted) +
                     ", found " + describe(found) + (named.empty() ? "; name the folder with --embed-model" : ""));
  return start(std::move(folder).value(), precision, threads, std::move(cache));
}

Result<Encoder> open_server(llm::EmbedApi api, llm::EmbedClientOptions options, const llm::HttpOptions& http,
                            std::shared_ptr<VectorCache> cache) {
  auto client = llm::HttpClient::create(http);
  if (!client.ok()) return client.status();
  auto text = std::make_unique<RemoteText>(
      std::make_unique<llm::EmbedClient>(std::move(api), std::move(options), std::move(client).value()),
      std::move(cache));
  auto identity = text->identify();
  if (!identity.ok()) return identity.status();
  return Encoder{std::move(identity).value(), std::move(text)};
}

Status check_encoder(const EncoderIdentity& wanted, const EncoderIdentity& found, const std::string& whose) {
  if (found.makes_vectors_of(wanted)) return {};
  return bad_input(found.path + ": another encoder than " + whose + " was fitted with: expected " + describe(wanted) +
                   ", found " + describe(found));
}

}  // namespace tracer
