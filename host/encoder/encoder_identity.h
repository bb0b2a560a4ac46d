// Which encoder made a vector: what a policy pins, and what a note beside a vector file tells.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "kernels/status.h"

namespace tracer {

inline constexpr char kUnknownEncoder[] = "unknown";

struct EncoderIdentity {
  std::string name = kUnknownEncoder;  // the folder's; for people
  std::string digest;                  // EncoderFolder::digest
  std::string precision;               // as to_string(Precision)
  int64_t dimension = 0;
  int64_t max_tokens = 0;
  std::string path;  // where the folder was; the first place to look for it again

  // False: vectors were given, and nothing is known of what made them.
  bool known() const { return name != kUnknownEncoder; }
  bool makes_vectors_of(const EncoderIdentity& o) const { return digest == o.digest && precision == o.precision; }
};

// "all-MiniLM-L6-v2 (float32, 1a2b3c4d5e6f)", for messages.
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
