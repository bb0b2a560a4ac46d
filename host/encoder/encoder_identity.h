// Which encoder made a vector: what a policy pins, and what a note beside a vector file tells.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "kernels/status.h"

namespace tracer {

inline constexpr char kUnknownEncoder[] = "unknown";

// A folder on this machine, or a model behind an embedding server.
struct EncoderIdentity {
  std::string name = kUnknownEncoder;  // the folder's, for people; of a server the model's, or its address
  std::string digest;                  // EncoderFolder::digest; of a server that of dialect, name and dimension
  std::string precision;               // as to_string(Precision); of a server float32
  int64_t dimension = 0;
  int64_t max_tokens = 0;  // of a server 0: it is not known
  std::string path;        // where the folder was, the first place to look for it again; a server's address
  std::string dialect;     // of a server, as to_string(EmbedDialect); "": a folder
  std::string prompt;      // of a folder: in front of every text; the digest tells it too

  // False: vectors were given, and nothing is known of what made them.
  bool known() const { return name != kUnknownEncoder; }
  bool is_server() const { return !dialect.empty(); }
  bool makes_vectors_of(const EncoderIdentity& o) const { return digest == o.digest && precision == o.precision; }
};

// The digest of a server's identity.
std::string server_digest(const std::string& dialect, const std::string& name, int64_t dimension);

// "all-MiniLM-L6-v2 (float32, 1a2b3c4d5e6f)", "text-embedding-3-small (openai, dimension 1536)", for messages.
std::string describe(const EncoderIdentity& encoder);

nlohmann::ordered_json encoder_json(const EncoderIdentity& encoder);
// kBadInput, beginning with `where`, for anything encoder_json does not write.
Result<EncoderIdentity> parse_encoder(const nlohmann::ordered_json& json, const std::string& where);

// The note: F.npy.meta.json beside F.npy, with the encoder and the sha256 of the vectors it speaks of.
std::string vector_note_path(const std::string& npy);
Status write_vector_note(const std::string& npy, const EncoderIdentity& encoder);
// An unknown encoder where there is no note. kBadInput for a note that is damaged or speaks of other vectors. Cost: the
// vectors are read once for their digest when there is a note.
Result<EncoderIdentity> read_vector_note(const std::string& npy);

}  // namespace tracer
