#include "host/encoder/encoder.h"

#include <cstdlib>
#include <filesystem>
#include <optional>

#include "engine/text/own_files.h"
#include "host/encoder/encoder_folder.h"
#include "host/encoder/local_text.h"
#include "host/encoder/remote_text.h"
#include "kernels/cuda/probe.h"
#include "kernels/device_name.h"

namespace tracer {
namespace {

namespace fs = std::filesystem;

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

// The GPU of the machine, where libtorch can compute there at that precision; `place` says so, or why not.
std::optional<int> gpu_of(const TransformerModule& module, const EncoderMachine& machine, Precision precision,
                          std::string& place) {
  const std::optional<int> wanted = cuda_device(machine.device);
  if (!wanted) return std::nullopt;
  const Status open =
      precision == Precision::kInt8 ? device_error("precision int8 is for processors") : module.open_cuda(*wanted);
  place = open.ok() ? "on " + machine.device : "on the CPU: " + open.message();
  return open.ok() ? wanted : std::nullopt;
}

Result<Encoder> start(EncoderFolder folder, Precision precision, const EncoderMachine& machine,
                      std::shared_ptr<VectorCache> cache) {
  TRACER_ASSIGN_OR_RETURN(auto module, open_transformer_module());
  std::string place;
  const std::optional<int> gpu = gpu_of(*module, machine, precision, place);
  std::unique_ptr<Transformer> transformer;
  if (Status made = module->make(folder.shape, folder.weights, precision, gpu, &transformer); !made.ok())
    return made.code() == ErrorCode::kBadInput ? bad_input(folder.path + ": " + made.message()) : made;
  EncoderIdentity identity = identity_of(folder, precision);
  std::string made_by = identity.digest + " " + identity.precision + " " + arithmetic_here(module->version());
  if (gpu) made_by += " " + cuda::probe(*gpu).detail;
  std::string prompt = std::move(folder.prompt);
  TextEncoder encoder(std::move(folder.tokenizer), std::move(transformer), folder.shape.hidden, folder.max_tokens,
                      machine.threads);
  return Encoder{std::move(identity),
                 std::make_unique<LocalText>(std::move(encoder), std::move(prompt), made_by, std::move(cache)),
                 std::move(place)};
}

}  // namespace

std::string default_encoder_folder() {
  const char* named = std::getenv("TRACER_EMBED_MODEL");
  if (named != nullptr && *named != '\0') return named;
  return own_file({"models/all-MiniLM-L6-v2", "../share/tracer/models/all-MiniLM-L6-v2"});
}

Result<Encoder> open_encoder(const std::string& path, Precision precision, const EncoderMachine& machine,
                             std::shared_ptr<VectorCache> cache, const PromptChoice& prompt) {
  TRACER_ASSIGN_OR_RETURN(auto folder, read_encoder_folder(path, prompt));
  return start(std::move(folder), precision, machine, std::move(cache));
}

Result<Encoder> open_encoder_of(const EncoderIdentity& wanted, const std::string& named, const EncoderMachine& machine,
                                const std::string& whose, std::shared_ptr<VectorCache> cache) {
  std::error_code ec;
  const std::string path = !named.empty()                ? named
                           : fs::exists(wanted.path, ec) ? wanted.path
                                                         : default_encoder_folder();
  TRACER_ASSIGN_OR_RETURN(auto folder, read_encoder_folder(path, {.text = wanted.prompt, .name = {}}));
  const Precision precision = *parse_precision(wanted.precision);
  const EncoderIdentity found = identity_of(folder, precision);
  if (!found.makes_vectors_of(wanted))
    return bad_input(path + ": another encoder than " + whose + " was fitted with: expected " + describe(wanted) +
                     ", found " + describe(found) +
                     (named.empty() ? "; name the folder with " + option("embed_model") : ""));
  return start(std::move(folder), precision, machine, std::move(cache));
}

Result<Encoder> open_server(EmbedApi api, EmbedClientOptions options, const http::HttpOptions& http,
                            std::shared_ptr<VectorCache> cache) {
  TRACER_ASSIGN_OR_RETURN(auto client, http::HttpClient::create(http));
  auto text = std::make_unique<RemoteText>(
      std::make_unique<EmbedClient>(std::move(api), std::move(options), std::move(client)), std::move(cache));
  TRACER_ASSIGN_OR_RETURN(auto identity, text->identify());
  return Encoder{std::move(identity), std::move(text), ""};
}

Status check_encoder(const EncoderIdentity& wanted, const EncoderIdentity& found, const std::string& whose) {
  if (found.makes_vectors_of(wanted)) return {};
  return bad_input(found.path + ": another encoder than " + whose + " was fitted with: expected " + describe(wanted) +
                   ", found " + describe(found));
}

}  // namespace tracer
