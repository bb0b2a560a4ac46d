#include "host/artifact/artifact.h"

#include <algorithm>
#include <filesystem>
#include <future>
#include <set>
#include <sstream>

#include "host/artifact/folder.h"
#include "host/artifact/names.h"
#include "host/artifact/parts.h"
#include "host/artifact/text_stage.h"
#include "host/io/file.h"
#include "host/io/json_fields.h"
#include "host/io/sha256.h"

namespace tracer {
namespace {

namespace fs = std::filesystem;

const std::set<std::string> kFileNames = {kManifest, kCertificates, kWeights,      kFrontier,
                                          kFindings, kLookLedger,   kReferenceIds, kSums};

std::string dump(const Json& j) { return j.dump(1, ' ', false, Json::error_handler_t::replace) + "\n"; }

// SHA256SUMS, as sha256sum(1) reads it: names sorted.
std::string sums(const std::map<std::string, std::string_view>& files) {
  std::string text;
  for (const auto& [name, bytes] : files) text += io::sha256_hex(bytes) + "  " + name + "\n";
  return text;
}

Json stage_json(const Stage& s, int encoder) {
  const double u = s.kernel_weight, v = s.vote_weight;
  double rest = 1;
  for (const AddedMember& n : s.added) rest -= static_cast<double>(n.weight);
  Json softmax = {{"kind", "softmax"}, {"weight", rest * (1 - u) * (1 - v)}, {"cost", s.softmax.cost}};
  Json neighbours = {{"kind", "neighbours"},
                     {"weight", v},
                     {"k", s.neighbours.k},
                     {"sharpness", static_cast<double>(s.neighbours.sharpness)}};
  Json members = Json::array({softmax, neighbours});
  if (!s.kernel.vote.empty())
    members.push_back({{"kind", "kernel"},
                       {"weight", u * (1 - v)},
                       {"k", s.kernel.k},
                       {"temperature", static_cast<double>(s.kernel.temperature)}});
  for (const AddedMember& n : s.added) {
    Json member = {{"kind", to_string(n.kind)}, {"weight", static_cast<double>(n.weight) * (1 - u) * (1 - v)}};
    if (n.kind == MemberKind::kGbt) {
      member["trees"] = n.trees.root.size(), member["nodes"] = n.trees.feature.size();
    } else {
      member["hidden"] = Json::array();
      for (const HiddenLayer& layer : n.hidden) member["hidden"].push_back(layer.b.size());
      member["activation"] = "relu";
    }
    members.push_back(std::move(member));
  }
  Json stage = {{"encoder", encoder}, {"members", members}};
  if (!s.acceptor.label_offset.empty()) stage["family"] = "l2d_label";
  if (!s.gate.reference_distance.empty())
    stage["gate"] = {{"density", s.gate.density}, {"confidence", s.gate.confidence}};
  return stage;
}

Json manifest_json(const Artifact& a, const std::map<std::string, std::string_view>& parts) {
  const Policy& p = a.policy;
  Json m;
  m["format"] = kFormatName;
  const bool defers_labels = !p.never.empty() || p.label_floor > 0;
  const bool networks = std::any_of(p.stages.begin(), p.stages.end(), [](const Stage& s) {
    return !s.added.empty() || !s.acceptor.label_offset.empty();
  });
  const bool residual =
      std::any_of(p.stages.begin(), p.stages.end(), [](const Stage& s) { return s.residual != nullptr; });
  const bool gates =
      std::any_of(p.stages.begin(), p.stages.end(), [](const Stage& s) { return !s.gate.reference_distance.empty(); });
  m["format_version"] = gates           ? kGateVersion
                        : residual      ? kResidualVersion
                        : p.text        ? kCascadeVersion
                        : networks      ? kNetworksVersion
                        : defers_labels ? kDeferredLabelsVersion
                                        : kFormatVersion;
  EncoderIdentity encoder = a.provenance.encoder;
  encoder.dimension = p.dimension;
  m["dimension"] = p.dimension;
  m["alpha"] = p.alpha;
  m["delta"] = p.delta;
  m["simultaneous"] = p.simultaneous;
  m["encoders"] = Json::array();
  m["stages"] = Json::array();
  if (p.text) {
    m["encoders"].push_back(ngrams_json());
    m["stages"].push_back(text_stage_json(*p.text, 0));
  }
  m["encoders"].push_back(encoder_json(encoder));
  for (const Stage& s : p.stages) {
    m["stages"].push_back(stage_json(s, p.text ? 1 : 0));
    if (!s.residual) continue;
    m["stages"].push_back(stage_json(*s.residual, p.text ? 1 : 0));
    m["stages"].back()["residual_below"] = s.residual_below;
  }
  m["traces"] = {{"path", a.provenance.traces_path},
                 {"sha256", a.provenance.traces_sha256},
                 {"rows", a.provenance.traces_rows},
                 {"vectors", a.provenance.vectors_path}};
  m["run"] = a.run;
  m["labels"] = p.labels;
  if (!p.never.empty()) {
    m["never"] = Json::array();
    for (int32_t label : p.never) m["never"].push_back(p.labels[label]);
  }
  if (p.label_floor > 0) m["label_floor"] = p.label_floor;
  m["parts"] = Json::object();
  for (const auto& [name, bytes] : parts)
    m["parts"][name] = {{"sha256", io::sha256_hex(bytes)}, {"bytes", bytes.size()}};
  return m;
}

// Gate limits of one stage: global first.
std::vector<double> gate_limits(const Stage& s) {
  std::vector<double> limits = {s.gate.global_limit};
  limits.insert(limits.end(), s.gate.label_limit.begin(), s.gate.label_limit.end());
  return limits;
}

Result<std::string> weights_bytes(const Artifact& artifact) {
  const Policy& policy = artifact.policy;
  io::SafetensorsWriter writer;
  std::vector<const Stage*> stages;
  for (const Stage& s : policy.stages) {
    stages.push_back(&s);
    if (s.residual) stages.push_back(s.residual.get());
  }
  std::vector<std::vector<double>> limits;
  limits.reserve(stages.size());  // the writer keeps references
  const int64_t first = policy.text ? 1 : 0;
  if (policy.text) add_text_stage(*policy.text, tensor_prefix(0), writer);
  for (size_t i = 0; i < stages.size(); ++i) {
    const Stage& s = *stages[i];
    const std::string prefix = tensor_prefix(first + static_cast<int64_t>(i));
    const auto vector = [&](const std::string& name, const auto& v) {
      using T = typename std::decay_t<decltype(v)>::value_type;
      writer.add<T>(prefix + name, {static_cast<int64_t>(v.size())}, std::span<const T>(v));
    };
    limits.push_back(gate_limits(s));
    writer.add(prefix + kSoftmaxW, s.softmax.w);
    vector(kSoftmaxB, s.softmax.b);
    writer.add(prefix + kReferences, s.neighbours.references);
    vector(kReferenceLabel, s.neighbours.label);
    vector(kReferenceRow, s.neighbours.row);
    if (!s.kernel.vote.empty()) {
      writer.add(prefix + kKernelVote, s.kernel.vote);
      vector(kKernelPrior, s.kernel.prior);
    }
    for (const AddedMember& n : s.added) {
      if (n.kind == MemberKind::kGbt) {
        vector(kTreesRoot, n.trees.root);
        vector(kTreesFeature, n.trees.feature);
        vector(kTreesValue, n.trees.value);
        vector(kTreesLeft, n.trees.left);
        vector(kTreesRight, n.trees.right);
        vector(member_tensor(n.kind, "b"), n.b);
        continue;
      }
      for (size_t l = 0; l < n.hidden.size(); ++l) {
        writer.add(prefix + hidden_tensor(n.kind, l, "w"), n.hidden[l].w);
        vector(hidden_tensor(n.kind, l, "b"), n.hidden[l].b);
      }
      writer.add(prefix + member_tensor(n.kind, "w"), n.w);
      vector(member_tensor(n.kind, "b"), n.b);
    }
    vector(kLabelFrequency, s.label_frequency);
    vector(kAcceptorMean, s.acceptor.mean);
    vector(kAcceptorScale, s.acceptor.scale);
    vector(kAcceptorCoef, s.acceptor.coef);
    if (!s.acceptor.label_offset.empty()) vector(kAcceptorOffset, s.acceptor.label_offset);
    vector(kGateLimits, limits.back());
    if (!s.gate.reference_distance.empty()) vector(kGateDistance, s.gate.reference_distance);
  }
  if (const Descriptions& d = artifact.descriptions; !d.empty()) {
    writer.add(kDescriptionsX, d.x);
    writer.add<int32_t>(kDescriptionsLabel, {static_cast<int64_t>(d.label.size())}, d.label);
  }
  writer.set_metadata("format", kFormatName);
  return writer.serialize();
}

Result<std::map<std::string, std::string>> read_sums(const std::string& folder) {
  const std::string path = folder + "/" + kSums;
  TRACER_ASSIGN_OR_RETURN(auto text, io::read_file(path, 1 << 20));
  std::map<std::string, std::string> digests;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.size() < 67 || line.substr(64, 2) != "  ")
      return bad_input(path + ": expected \"<sha256>  <name>\" lines, found \"" + line.substr(0, 80) + "\"");
    digests[line.substr(66)] = line.substr(0, 64);
  }
  return digests;
}

Status check_sums(const std::string& folder, const std::map<std::string, std::string>& recorded,
                  const std::map<std::string, std::string>& found) {
  for (const auto& [name, digest] : found) {
    const auto it = recorded.find(name);
    if (it == recorded.end())
      return bad_input(folder + "/" + kSums + ": expected a digest of " + name + ", found none");
    if (digest != it->second)
      return bad_input(folder + "/" + name + ": damaged: expected sha256 " + it->second + ", found " + digest);
  }
  return {};
}

}  // namespace

Status check_replaceable(const std::string& path) {
  TRACER_ASSIGN_OR_RETURN(auto folder, resolve_folder(path));
  std::error_code ec;
  if (!fs::exists(folder, ec)) return {};
  const auto refuse = [&](const std::string& found) {
    return bad_input(path + ": expected an earlier policy or nothing, found " + found + "; it is left as it is");
  };
  bool any = false, manifest = false;
  for (fs::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) {
    const std::string name = it->path().filename().string();
    if (!kFileNames.contains(name) || !it->is_regular_file(ec))
      return refuse("a folder that also holds \"" + name + "\"");
    any = true, manifest |= name == kManifest;
  }
  if (ec) return io::errno_error(path, "cannot read the folder", ec.value());
  if (!any) return {};
  if (!manifest) return refuse("a folder without " + std::string(kManifest));
  TRACER_ASSIGN_OR_RETURN(auto text, io::read_file(folder + "/" + kManifest));
  auto json = parse_json(text, kManifest);
  if (!json.ok() || !json->is_object() || json->find("format") == json->end() || json->at("format") != kFormatName)
    return refuse("a " + std::string(kManifest) + " that is not a policy's");
  return {};
}

Status write_artifact(const std::string& path, Artifact& artifact) {
  TRACER_RETURN_IF_ERROR(check_replaceable(path));
  TRACER_ASSIGN_OR_RETURN(auto weights, weights_bytes(artifact));
  Json certificates;
  certificates["data_sha256"] = artifact.provenance.traces_sha256;
  for (const char* key : {"split", "seed"})
    certificates[key] = artifact.run.contains(key) ? artifact.run[key] : Json(nullptr);
  certificates["certificates"] = Json::array();
  for (const Certificate& c : artifact.policy.certificates)
    certificates["certificates"].push_back(certificate_json(c, artifact.policy));
  const std::string certificate_text = dump(certificates), frontier_text = dump(artifact.frontier),
                    findings_text = dump(artifact.findings), look_ledger_text = dump(artifact.look_ledger),
                    ids_text = dump(Json{{"ids", artifact.reference_ids}});
  std::map<std::string, std::string_view> parts = {
      {kWeights, weights},        {kCertificates, certificate_text}, {kFrontier, frontier_text},
      {kFindings, findings_text}, {kLookLedger, look_ledger_text},   {kReferenceIds, ids_text}};
  const std::string manifest = dump(manifest_json(artifact, parts));
  parts[kManifest] = manifest;
  const std::string sums_text = sums(parts);
  parts[kSums] = sums_text;
  TRACER_RETURN_IF_ERROR(replace_folder(path, parts));
  artifact.digest = io::sha256_hex(manifest);
  return {};
}

Result<Artifact> read_artifact(const std::string& path) {
  std::error_code ec;
  if (!fs::is_directory(path, ec))
    return bad_input(path + ": expected an artifact folder, found none (run `tracer fit` first)");
  TRACER_ASSIGN_OR_RETURN(auto digests, read_sums(path));
  std::map<std::string, std::string> text;
  for (const char* name : {kManifest, kCertificates, kFrontier, kFindings, kLookLedger, kReferenceIds}) {
    TRACER_ASSIGN_OR_RETURN(auto bytes, io::read_file(path + "/" + name));
    text[name] = std::move(bytes);
  }
  TRACER_ASSIGN_OR_RETURN(auto weights, io::SafetensorsFile::open(path + "/" + kWeights));
  std::map<std::string, std::string_view> files(text.begin(), text.end());
  files[kWeights] = weights.bytes();
  // The large file is read for its digest and for its contents at once; what is wrong with the digest is said first.
  std::future<std::string> weights_digest = std::async([&] { return io::sha256_hex(weights.bytes()); });
  auto parsed = parse_artifact(text[kManifest], text[kCertificates], weights);
  std::map<std::string, std::string> found;  // digests: one pass over the files serves both lists
  for (const auto& [name, bytes] : files) found[name] = name == kWeights ? weights_digest.get() : io::sha256_hex(bytes);
  TRACER_RETURN_IF_ERROR(check_sums(path, digests, found));
  // The manifest's own word on every other part: its digest alone must pin the policy.
  TRACER_ASSIGN_OR_RETURN(auto manifest, parse_json(text[kManifest], path + "/" + kManifest));
  files.erase(kManifest);
  TRACER_RETURN_IF_ERROR(check_parts(manifest, files, found, path));
  if (!parsed.ok()) {
    const std::string& message = parsed.status().message();  // of the weights: with their path already
    return Status(parsed.status().code(), message.starts_with(path + "/") ? message : path + "/" + message);
  }
  Artifact artifact = std::move(parsed).value();
  artifact.digest = found[kManifest];
  for (const auto& [name, parse, out] : {std::tuple(kFrontier, &parse_frontier, &artifact.frontier),
                                         {kFindings, &parse_findings, &artifact.findings},
                                         {kLookLedger, &parse_look_ledger, &artifact.look_ledger}}) {
    TRACER_ASSIGN_OR_RETURN(auto json, parse(text[name], path + "/" + name));
    *out = std::move(json);
  }
  TRACER_ASSIGN_OR_RETURN(auto ids, parse_reference_ids(text[kReferenceIds], path + "/" + kReferenceIds));
  artifact.reference_ids = std::move(ids);
  const size_t references = artifact.policy.stages.empty() ? 0 : artifact.policy.stages[0].neighbours.label.size();
  if (!artifact.reference_ids.empty() && artifact.reference_ids.size() != references)
    return bad_input(path + "/" + kReferenceIds + ": expected " + std::to_string(references) + " ids, found " +
                     std::to_string(artifact.reference_ids.size()));
  return artifact;
}

Result<Json> read_look_ledger(const std::string& path) {
  const std::string file = path + "/" + kLookLedger;
  std::error_code ec;
  if (!fs::exists(file, ec)) return Json{{"looks", Json::array()}};
  TRACER_ASSIGN_OR_RETURN(auto text, io::read_file(file));
  return parse_look_ledger(text, file);
}

}  // namespace tracer
