// Any bytes as tokenizer.json, as vocab.txt with tokenizer_config.json, or as a note beside vectors: an error that
// names the file, or a tokenizer that keeps its promises.

#include "host/encoder/encoder_identity.h"
#include "host/encoder/tokenizer_files.h"
#include "tests/fuzz/check.h"

namespace {

void use(const tracer::Result<tracer::TokenizerFiles>& files, std::string_view text) {
  using namespace tracer;
  if (!files.ok()) {
    check(files.status().code() == ErrorCode::kBadInput && files.status().message().starts_with("fuzz"));
    return;
  }
  const auto tokenizer = WordPiece::make(files->vocabulary, files->added, files->options);
  if (!tokenizer.ok()) return;
  std::vector<int32_t> ids;
  tokenizer->encode(text, 8, ids);
  check(ids.size() >= 2 && ids.size() <= 8);
  for (int32_t id : ids) check(id >= 0 && id < tokenizer->vocab_size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tracer;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 3 == 0) {
    use(parse_tokenizer_json(bytes, "fuzz"), bytes);
  } else if (data[0] % 3 == 1) {
    const size_t cut = std::min(bytes.find('\0'), bytes.size());
    const auto config = parse_json(bytes.substr(0, cut), "fuzz");
    use(parse_vocabulary(bytes.substr(cut), config.ok() ? *config : JsonFields::Json::object(), "fuzz", "fuzz config"),
        bytes);
  } else if (const auto json = parse_json(bytes, "fuzz"); json.ok()) {
    const auto encoder = parse_encoder(*json, "fuzz");
    if (!encoder.ok()) check(encoder.status().message().starts_with("fuzz"));
    if (encoder.ok()) check(parse_encoder(encoder_json(*encoder), "fuzz").ok());
  }
  return 0;
}
