// The artifact: a folder that holds a policy, its certificates and what explains them. Format: docs/artifact.md.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/learn/descriptions.h"
#include "engine/policy/policy.h"
#include "host/encoder/encoder_identity.h"
#include "host/io/safetensors.h"
#include "kernels/status.h"

namespace tracer {

using Json = nlohmann::ordered_json;

// Policies with deferred labels (never, label_floor) are of the version that brought them, so that a reader which does
// not know them refuses; others are written as before.
inline constexpr int kFormatVersion = 2;
inline constexpr int kDeferredLabelsVersion = 3;
// Likewise those with networks beside softmax regression and neighbours or with thresholds by label (l2d_label),
// deferred labels or not.
inline constexpr int kNetworksVersion = 4;
// Likewise cascades: policies with a text stage before the one on vectors, whatever else they have.
inline constexpr int kCascadeVersion = 5;
// Likewise those with a second surrogate (rsb), with or without a text stage.
inline constexpr int kResidualVersion = 6;
// Likewise those whose gate knows how far the references are from theirs: what every fit writes since.
inline constexpr int kGateVersion = 7;

// Where the rows came from. Text and vectors of the log stay outside; learn vectors are inside as references.
struct Provenance {
  std::string traces_path;
  std::string traces_sha256;
  int64_t traces_rows = 0;
  std::string vectors_path;  // "": made from the text
  EncoderIdentity encoder;   // unknown: vectors were given, and text cannot be routed
};

struct Artifact {
  Policy policy;
  Provenance provenance;
  Json run;                                // options, split, unit, candidates: what `fit` was asked for and chose
  Json frontier;                           // one entry for each alpha, as `fit --json` prints it
  Json findings;                           // explain.json: what the fit found in its log (host/artifact/fit_record.h)
  Json look_ledger;                        // ledger.json: which certify rows served which certificate
  Descriptions descriptions;               // what fit was given, for later fits; labels by index into the policy's
  std::vector<std::string> reference_ids;  // of the learn rows, when the traces had ids; else empty
  std::string digest;                      // sha256 of manifest.json: names the policy exactly; set by read and write
};

// Whether write_artifact may put a policy there: nothing is there (but a folder that can be written to holds it), or an
// empty folder, or an earlier policy with nothing else in it. A link is followed. Refuses the current folder, mount
// points and everything else, naming the first entry that is in the way. kBadInput, or kIo.
Status check_replaceable(const std::string& path);

// Writes the folder beside `path` and exchanges it into place: a reader sees the old artifact or the new one, whole,
// and a failure leaves the old one. Same artifact, same bytes. `path` as check_replaceable has it; where it is a link,
// the folder it points to is replaced.
Status write_artifact(const std::string& path, Artifact& artifact);

// Refuses, naming the part with what was expected and what was found: a missing part, a wrong digest or size, another
// format version, tensors of the wrong type or shape, labels out of range, numbers that are not finite, more stages
// than the version has, an unknown member kind, or a part that is not the one the manifest names. No code is executed
// on load. Cost: one pass over the files.
Result<Artifact> read_artifact(const std::string& path);

// Only the ledger of looks of an existing artifact (an empty list when there is no artifact at path).
Result<Json> read_look_ledger(const std::string& path);

// The parsing part of read_artifact, for fuzzing: JSON texts and tensors whose digests have been checked.
Result<Artifact> parse_artifact(std::string_view manifest, std::string_view certificates,
                                const io::SafetensorsFile& weights);

// JSON of one certificate, and the short form of the frontier.
Json certificate_json(const Certificate& c, const Policy& policy);
Json frontier_entry(const Certificate& c);
Result<Certificate> parse_certificate(const Json& json, int64_t labels);

}  // namespace tracer
