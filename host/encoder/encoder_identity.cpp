#include "host/encoder/encoder_identity.h"

#include <sys/stat.h>

#include "engine/text/transformer.h"
#include "host/encoder/embed_api.h"
#include "host/io/file.h"
#include "host/io/json_fields.h"
#include "host/io/json_format.h"
#include "host/io/sha256.h"

namespace tracer {
namespace {

using Json = JsonFields::Json;

constexpr char kNoteFormat[] = "tracer-vectors";
constexpr int64_t kNoteVersion = 1;
constexpr int64_t kMostBytes = 1 << 20;

}  // namespace

std::string server_digest(const std::string& dialect, const std::string& name, int64_t dimension) {
  const Json what = {{"dialect", dialect}, {"name", name}, {"dimension", dimension}};
  return io::sha256_hex("embedding server " + what.dump(-1, ' ', false, Json::error_handler_t::replace));
}

std::string describe(const EncoderIdentity& e) {
  if (!e.known()) return kUnknownEncoder;
  if (e.is_server()) return e.name + " (" + e.dialect + ", dimension " + std::to_string(e.dimension) + ")";
  const std::string prompt =
      e.prompt.empty() ? "" : ", prompt " + Json(e.prompt).dump(-1, ' ', false, Json::error_handler_t::replace);
  return e.name + " (" + e.precision + ", " + e.digest.substr(0, 12) + prompt + ")";
}

Json encoder_json(const EncoderIdentity& e) {
  if (!e.known()) return {{"name", e.name}, {"dimension", e.dimension}};
  Json json = {{"name", e.name},           {"dimension", e.dimension},   {"digest", e.digest},
               {"precision", e.precision}, {"max_tokens", e.max_tokens}, {"path", e.path}};
  if (e.is_server()) json["dialect"] = e.dialect;
  if (!e.prompt.empty()) json["prompt"] = e.prompt;
  return json;
}

Result<EncoderIdentity> parse_encoder(const Json& json, const std::string& where) {
  EncoderIdentity e;
  JsonFields f(json, where);
  f.text("name", e.name);
  f.count("dimension", e.dimension, int64_t{1} << 24);
  TRACER_RETURN_IF_ERROR(f.status());
  if (!e.known()) return e;
  f.text("digest", e.digest);
  f.text("precision", e.precision);
  f.count("max_tokens", e.max_tokens);
  f.text("path", e.path);
  TRACER_RETURN_IF_ERROR(f.status());
  if (json.contains("dialect")) {
    f.text("dialect", e.dialect);
    TRACER_RETURN_IF_ERROR(f.status());
    if (!parse_embed_dialect(e.dialect))
      return bad_input(where + ": \"dialect\": expected openai, tei or json, found \"" + e.dialect + "\"");
    if (e.digest != server_digest(e.dialect, e.name, e.dimension))
      return bad_input(where + ": \"digest\": not that of this dialect, name and dimension");
  }
  if (json.contains("prompt")) {
    f.text("prompt", e.prompt);
    TRACER_RETURN_IF_ERROR(f.status());
  }
  if (!parse_precision(e.precision))
    return bad_input(where + ": \"precision\": expected " + kPrecisions + ", found \"" + e.precision + "\"");
  return e;
}

std::string vector_note_path(const std::string& npy) { return npy + ".meta.json"; }

Status write_vector_note(const std::string& npy, const EncoderIdentity& encoder) {
  TRACER_ASSIGN_OR_RETURN(auto sha256, io::sha256_file(npy));
  const Json note = {{"format", kNoteFormat},
                     {"format_version", kNoteVersion},
                     {"sha256", sha256},
                     {"encoder", encoder_json(encoder)}};
  return io::write_file_atomic(vector_note_path(npy), note.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

Result<EncoderIdentity> read_vector_note(const std::string& npy) {
  const std::string path = vector_note_path(npy);
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 && (errno == ENOENT || errno == ENOTDIR)) return EncoderIdentity{};
  TRACER_ASSIGN_OR_RETURN(auto text, io::read_file(path, kMostBytes));
  TRACER_ASSIGN_OR_RETURN(auto json, parse_json(text, path));
  if (auto version = format_version(json, path, kNoteFormat, kNoteVersion, kNoteVersion); !version.ok())
    return version.status();
  JsonFields f(json, path);
  std::string expected;
  f.text("sha256", expected);
  const Json& encoder = f.object("encoder");
  TRACER_RETURN_IF_ERROR(f.status());
  TRACER_ASSIGN_OR_RETURN(auto found, io::sha256_file(npy));
  if (found != expected)
    return bad_input(path + ": speaks of other vectors than " + npy + " holds: expected sha256 " + expected +
                     ", found " + found + "; remove the note, or embed again");
  return parse_encoder(encoder, path + ": encoder");
}

}  // namespace tracer
