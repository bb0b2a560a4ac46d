#include <algorithm>
#include <cmath>

#include "engine/log/label_index.h"
#include "engine/policy/acceptor.h"
#include "engine/policy/trees.h"
#include "host/artifact/artifact.h"
#include "host/artifact/names.h"
#include "host/artifact/parts.h"
#include "host/artifact/tensors.h"
#include "host/artifact/text_stage.h"
#include "host/io/json_fields.h"

namespace tracer {
namespace {

// A network: units of its hidden layers from the manifest, what they weigh from the tensors.
Status parse_network(JsonFields& m, MemberKind kind, const Policy& policy, const std::string& prefix,
                     const io::SafetensorsFile& file, AddedMember& network) {
  constexpr int64_t kMostUnits = 1 << 16;
  network.kind = kind;
  std::string activation;
  m.text("activation", activation);
  const Json& hidden = m.array("hidden");
  TRACER_RETURN_IF_ERROR(m.status());
  if (activation != "relu")
    return bad_input("manifest.json: members: \"activation\": expected \"relu\", found \"" + activation + "\"");
  const size_t layers = kind == MemberKind::kPrototype ? 0 : kind == MemberKind::kMlp ? 1 : 2;
  if (hidden.size() != layers)
    return bad_input("manifest.json: members: \"hidden\": expected " + std::to_string(layers) + " layers of a " +
                     to_string(kind) + ", found " + std::to_string(hidden.size()));
  int64_t below = policy.dimension;
  for (const Json& units : hidden) {
    if (!units.is_number_integer() || units < 1 || units > kMostUnits)
      return bad_input("manifest.json: members: \"hidden\": expected whole numbers from 1 to " +
                       std::to_string(kMostUnits) + ", found " + units.dump());
    HiddenLayer layer;
    const size_t l = network.hidden.size();
    TRACER_RETURN_IF_ERROR(
        copy_matrix(file, prefix + hidden_tensor(kind, l, "w"), below, units.get<int64_t>(), layer.w));
    TRACER_RETURN_IF_ERROR(copy_vector(file, prefix + hidden_tensor(kind, l, "b"), layer.w.cols(), layer.b));
    below = layer.w.cols();
    network.hidden.push_back(std::move(layer));
  }
  const auto classes = static_cast<int64_t>(policy.labels.size());
  TRACER_RETURN_IF_ERROR(copy_matrix(file, prefix + member_tensor(kind, "w"), below, classes, network.w));
  TRACER_RETURN_IF_ERROR(copy_vector(file, prefix + member_tensor(kind, "b"), classes, network.b));
  return check_some_label(network.b, prefix + member_tensor(kind, "b"));
}

// Gradient-boosted trees: how many from the manifest, what they are from the tensors.
Status parse_trees(JsonFields& m, const Policy& policy, const std::string& prefix, const io::SafetensorsFile& file,
                   AddedMember& member) {
  constexpr int64_t kMostNodes = int64_t{1} << 31;
  const auto classes = static_cast<int64_t>(policy.labels.size());
  int64_t trees = 0, nodes = 0;
  m.count("trees", trees, kMostNodes);
  m.count("nodes", nodes, kMostNodes);
  TRACER_RETURN_IF_ERROR(m.status());
  member.kind = MemberKind::kGbt;
  Trees& t = member.trees;
  TRACER_RETURN_IF_ERROR(copy_vector(file, prefix + kTreesRoot, trees, t.root));
  TRACER_RETURN_IF_ERROR(copy_vector(file, prefix + kTreesFeature, nodes, t.feature));
  TRACER_RETURN_IF_ERROR(copy_vector(file, prefix + kTreesValue, nodes, t.value));
  TRACER_RETURN_IF_ERROR(copy_vector(file, prefix + kTreesLeft, nodes, t.left));
  TRACER_RETURN_IF_ERROR(copy_vector(file, prefix + kTreesRight, nodes, t.right));
  if (const std::string problem = trees_problem(t, policy.dimension, classes); !problem.empty())
    return bad_input(std::string(kWeights) + ": " + prefix + "gbt.trees: expected " + problem);
  const std::string b = prefix + member_tensor(member.kind, "b");
  TRACER_RETURN_IF_ERROR(copy_vector(file, b, classes, member.b));
  return check_some_label(member.b, b);
}

// How many neighbours a member asks for.
Status check_neighbours(int64_t k, int& out) {
  if (k == 0) return bad_input("manifest.json: members: \"k\": expected 1 to 64, found 0");
  out = static_cast<int>(k);
  return {};
}

Status parse_stage(const Json& json, int64_t version, const Policy& policy, int64_t stage_number,
                   int64_t wanted_encoder, const io::SafetensorsFile& file, Stage& stage) {
  const int64_t classes = static_cast<int64_t>(policy.labels.size());
  const std::string prefix = tensor_prefix(stage_number);
  JsonFields f(json, "manifest.json: stages");
  int64_t encoder = 0;
  f.count("encoder", encoder, stage_number);
  const Json& members = f.array("members");
  TRACER_RETURN_IF_ERROR(f.status());
  if (encoder != wanted_encoder)
    return bad_input("manifest.json: stages: \"encoder\": expected " + std::to_string(wanted_encoder) + ", found " +
                     std::to_string(encoder));
  bool softmax = false, neighbours = false, kernel = false;
  double weights = 0, kernel_weight = 0;
  for (const Json& member : members) {
    JsonFields m(member, "manifest.json: members");
    std::string kind;
    double weight = 0;
    m.text("kind", kind);
    m.number("weight", weight, 0, 1);
    TRACER_RETURN_IF_ERROR(m.status());
    weights += weight;
    if (kind == "softmax" && !softmax) {
      softmax = true;
      m.number("cost", stage.softmax.cost, 0, 1e12);
      TRACER_RETURN_IF_ERROR(m.status());
      TRACER_RETURN_IF_ERROR(copy_matrix(file, prefix + kSoftmaxW, policy.dimension, classes, stage.softmax.w));
      TRACER_RETURN_IF_ERROR(copy_vector(file, prefix + kSoftmaxB, classes, stage.softmax.b));
      TRACER_RETURN_IF_ERROR(check_some_label(stage.softmax.b, prefix + kSoftmaxB));
    } else if (kind == "neighbours" && !neighbours) {
      neighbours = true;
      int64_t k = 0;
      double sharpness = 0;
      m.count("k", k, 64);
      m.number("sharpness", sharpness, 0, 1000);
      TRACER_RETURN_IF_ERROR(m.status());
      NeighbourMember& n = stage.neighbours;
      TRACER_RETURN_IF_ERROR(check_neighbours(k, n.k));
      n.sharpness = static_cast<float>(sharpness);
      stage.vote_weight = static_cast<float>(weight);
      TRACER_RETURN_IF_ERROR(copy_matrix(file, prefix + kReferences, -1, policy.dimension, n.references));
      TRACER_RETURN_IF_ERROR(copy_vector(file, prefix + kReferenceLabel, n.references.rows(), n.label));
      TRACER_RETURN_IF_ERROR(copy_vector(file, prefix + kReferenceRow, n.references.rows(), n.row));
      for (int32_t l : n.label)
        if (l < 0 || l >= classes)
          return bad_input(std::string(kWeights) + ": " + prefix + kReferenceLabel + ": expected labels 0 to " +
                           std::to_string(classes - 1) + ", found " + std::to_string(l));
    } else if (kind == "kernel" && !kernel) {
      kernel = true;
      kernel_weight = weight;
      int64_t k = 0;
      double temperature = 0;
      m.count("k", k, 64);
      m.number("temperature", temperature, 0, 1000);
      TRACER_RETURN_IF_ERROR(m.status());
      TRACER_RETURN_IF_ERROR(check_neighbours(k, stage.kernel.k));
      stage.kernel.temperature = static_cast<float>(temperature);
      TRACER_RETURN_IF_ERROR(copy_matrix(file, prefix + kKernelVote, -1, classes, stage.kernel.vote));
      TRACER_RETURN_IF_ERROR(copy_vector(file, prefix + kKernelPrior, classes, stage.kernel.prior));
    } else if (const auto added = find_kind<MemberKind>(kMemberKindNames, kind);
               version >= kNetworksVersion && added &&
               std::none_of(stage.added.begin(), stage.added.end(),
                            [&](const AddedMember& n) { return n.kind == *added; })) {
      AddedMember member;
      TRACER_RETURN_IF_ERROR(added == MemberKind::kGbt ? parse_trees(m, policy, prefix, file, member)
                                                       : parse_network(m, *added, policy, prefix, file, member));
      member.weight = static_cast<float>(weight);  // of the whole mixture as yet
      stage.added.push_back(std::move(member));
    } else {
      return bad_input("manifest.json: members: expected one softmax, one neighbours and at most one kernel member" +
                       std::string(version >= kNetworksVersion ? ", prototype, mlp, mlp2 and gbt" : "") + ", found \"" +
                       kind + "\"");
    }
  }
  if (!softmax || !neighbours)
    return bad_input("manifest.json: members: expected one softmax and one neighbours member, found " +
                     std::to_string(members.size()) + " members");
  if (kernel && stage.kernel.vote.rows() != stage.neighbours.references.rows())
    return bad_input(std::string(kWeights) + ": " + prefix + kKernelVote + ": expected " +
                     std::to_string(stage.neighbours.references.rows()) + " rows, one for each reference, found " +
                     std::to_string(stage.kernel.vote.rows()));
  if (stage.vote_weight < 1) stage.kernel_weight = static_cast<float>(kernel_weight / (1 - stage.vote_weight));
  const double base = weights - kernel_weight - static_cast<double>(stage.vote_weight);
  for (AddedMember& n : stage.added) n.weight = base > 0 ? static_cast<float>(n.weight / base) : 0.0f;
  if (!(std::abs(weights - 1) <= 1e-6))
    return bad_input("manifest.json: members: expected weights that sum to 1, found " + std::to_string(weights));
  const int64_t features = acceptor_feature_count(static_cast<int64_t>(stage.added.size()));
  TRACER_RETURN_IF_ERROR(copy_acceptor(file, prefix, classes, features, stage.label_frequency, stage.acceptor));
  if (version >= kNetworksVersion && json.contains("family")) {
    std::string family;
    f.text("family", family);
    TRACER_RETURN_IF_ERROR(f.status());
    if (family != "l2d_label")
      return bad_input("manifest.json: stages: \"family\": expected \"l2d_label\", found \"" + family + "\"");
    TRACER_RETURN_IF_ERROR(copy_vector(file, prefix + kAcceptorOffset, classes, stage.acceptor.label_offset));
  }
  std::vector<double> limit;
  TRACER_RETURN_IF_ERROR(copy_vector(file, prefix + kGateLimits, classes + 1, limit));
  stage.gate.global_limit = limit[0];
  stage.gate.label_limit.assign(limit.begin() + 1, limit.end());
  if (version < kGateVersion) return {};
  const Json& weight = f.object("gate");
  TRACER_RETURN_IF_ERROR(f.status());
  JsonFields g(weight, "manifest.json: stages: gate");
  g.number("density", stage.gate.density, 0, 100);
  g.number("confidence", stage.gate.confidence, 0, 100);
  TRACER_RETURN_IF_ERROR(g.status());
  return copy_vector(file, prefix + kGateDistance, stage.neighbours.references.rows(), stage.gate.reference_distance);
}

// The stages on vectors: one, and in what brought it its residual.
Status parse_vector_stages(const Json& stages, int64_t version, int64_t first, const io::SafetensorsFile& weights,
                           Policy& policy) {
  for (auto s = static_cast<size_t>(first); s < stages.size(); ++s) {
    Stage stage;
    TRACER_RETURN_IF_ERROR(parse_stage(stages[s], version, policy, static_cast<int64_t>(s), first, weights, stage));
    if (policy.stages.empty()) {
      policy.stages.push_back(std::move(stage));
      continue;
    }
    JsonFields f(stages[s], "manifest.json: stages");
    double below = 0;
    f.number("residual_below", below, 0, 1);
    TRACER_RETURN_IF_ERROR(f.status());
    if (!(below > 0 && below < 1))
      return bad_input("manifest.json: stages: \"residual_below\": expected a score between 0 and 1, found " +
                       std::to_string(below));
    policy.stages[0].residual = std::make_unique<Stage>(std::move(stage));
    policy.stages[0].residual_below = below;
  }
  return {};
}

// What labels mean, where fit was told: it decides nothing, so every version may have it.
Status parse_descriptions(const io::SafetensorsFile& weights, const Policy& policy, Descriptions& descriptions) {
  if (!weights.has(kDescriptionsLabel)) return {};
  TRACER_ASSIGN_OR_RETURN(auto label, weights.values<int32_t>(kDescriptionsLabel, {-1}));
  for (const int32_t l : label)
    if (l < 0 || l >= static_cast<int32_t>(policy.labels.size()))
      return bad_input(std::string(kWeights) + ": " + kDescriptionsLabel + ": expected labels from 0 to " +
                       std::to_string(policy.labels.size() - 1) + ", found " + std::to_string(l));
  descriptions.label.assign(label.begin(), label.end());
  return copy_matrix(weights, kDescriptionsX, static_cast<int64_t>(label.size()), policy.dimension, descriptions.x);
}

// The labels that a policy defers, in what brought them: version 3, or a later one.
Status parse_deferred_labels(const Json& manifest, int64_t version, Policy& policy) {
  JsonFields f(manifest, kManifest);
  for (const char* key : {"never", "label_floor"})
    if (version < kDeferredLabelsVersion && manifest.contains(key))
      return bad_input(std::string(kManifest) + ": \"" + key + "\": expected format version " +
                       std::to_string(kDeferredLabelsVersion) + ", found " + std::to_string(version));
  if (manifest.contains("label_floor")) f.number("label_floor", policy.label_floor, 0, 1);
  if (manifest.contains("never"))
    for (const Json& name : f.array("never")) {
      if (!name.is_string())
        return bad_input("manifest.json: never: expected strings, found " + std::string(name.type_name()));
      const auto& text = name.get_ref<const std::string&>();
      const int32_t label = label_index(policy.labels, text);
      if (label < 0) return bad_input("manifest.json: never: expected labels of the policy, found \"" + text + "\"");
      if (!policy.never.empty() && label <= policy.never.back())
        return bad_input("manifest.json: never: expected distinct labels in bytewise order, found \"" + text + "\"");
      policy.never.push_back(label);
    }
  return f.status();
}

}  // namespace

Result<Artifact> parse_artifact(std::string_view manifest_text, std::string_view certificates_text,
                                const io::SafetensorsFile& weights) {
  TRACER_ASSIGN_OR_RETURN(auto parsed, parse_json(manifest_text, kManifest));
  const Json& manifest = parsed;
  Artifact artifact;
  Policy& policy = artifact.policy;
  JsonFields f(manifest, kManifest);
  std::string format;
  int64_t version = 0;
  f.text("format", format);
  f.count("format_version", version);
  TRACER_RETURN_IF_ERROR(f.status());
  if (format != kFormatName)
    return bad_input(std::string(kManifest) + ": expected format \"" + kFormatName + "\", found \"" + format + "\"");
  if (version < kFormatVersion || version > kGateVersion)
    return bad_input(std::string(kManifest) + ": expected format version " + std::to_string(kFormatVersion) + " to " +
                     std::to_string(kGateVersion) + ", found " + std::to_string(version));
  f.count("dimension", policy.dimension, int64_t{1} << 24);
  f.number("alpha", policy.alpha, 0, 1);
  f.number("delta", policy.delta, 0, 1);
  f.boolean("simultaneous", policy.simultaneous);
  for (const Json& label : f.array("labels")) {
    if (!label.is_string())
      return bad_input("manifest.json: labels: expected strings, found " + std::string(label.type_name()));
    policy.labels.push_back(label.get<std::string>());
  }
  const Json& encoders = f.array("encoders");
  const Json& stages = f.array("stages");
  const Json& source = f.object("traces");
  artifact.run = f.object("run");
  TRACER_RETURN_IF_ERROR(f.status());
  JsonFields traces(source, "manifest.json: traces");
  if (policy.labels.empty() || !std::is_sorted(policy.labels.begin(), policy.labels.end()) ||
      std::adjacent_find(policy.labels.begin(), policy.labels.end()) != policy.labels.end())
    return bad_input("manifest.json: labels: expected distinct labels in bytewise order");
  TRACER_RETURN_IF_ERROR(parse_deferred_labels(manifest, version, policy));
  // A cascade has a text stage, first, with an encoder of its own.
  const size_t text_stages = version == kCascadeVersion || (version > kCascadeVersion && encoders.size() == 2) ? 1 : 0;
  if (encoders.size() != text_stages + 1)
    return bad_input("manifest.json: encoders: this version runs " + std::to_string(text_stages + 1) + ", found " +
                     std::to_string(encoders.size()));
  if (text_stages == 1) TRACER_RETURN_IF_ERROR(check_ngrams(encoders[0]));
  TRACER_ASSIGN_OR_RETURN(auto encoder, parse_encoder(encoders[text_stages], "manifest.json: encoders"));
  if (encoder.dimension != policy.dimension)
    return bad_input("manifest.json: encoders: \"dimension\": expected " + std::to_string(policy.dimension) +
                     " as of the policy, found " + std::to_string(encoder.dimension));
  artifact.provenance.encoder = std::move(encoder);
  traces.text("path", artifact.provenance.traces_path);
  traces.text("sha256", artifact.provenance.traces_sha256);
  traces.count("rows", artifact.provenance.traces_rows);
  traces.text("vectors", artifact.provenance.vectors_path);
  TRACER_RETURN_IF_ERROR(traces.status());
  const size_t most = text_stages + (version >= kResidualVersion ? 2 : 1);
  const size_t least = version == kResidualVersion                      ? most
                       : text_stages == 1 || version > kResidualVersion ? text_stages + 1
                                                                        : 0;
  if (stages.size() < least || stages.size() > most)
    return bad_input("manifest.json: stages: this version runs " +
                     (least == most ? ""
                      : least == 0  ? "at most "
                                    : std::to_string(least) + " or ") +
                     std::to_string(most) + ", found " + std::to_string(stages.size()));
  if (text_stages == 1) {
    policy.text.emplace();
    TRACER_RETURN_IF_ERROR(parse_text_stage(stages[0], 0, static_cast<int64_t>(policy.labels.size()), tensor_prefix(0),
                                            weights, *policy.text));
  }
  TRACER_RETURN_IF_ERROR(parse_vector_stages(stages, version, static_cast<int64_t>(text_stages), weights, policy));

  TRACER_RETURN_IF_ERROR(parse_descriptions(weights, policy, artifact.descriptions));

  TRACER_ASSIGN_OR_RETURN(auto certificates, parse_json(certificates_text, kCertificates));
  JsonFields c(certificates, kCertificates);
  for (const Json& entry : c.array("certificates")) {
    TRACER_ASSIGN_OR_RETURN(auto certificate, parse_certificate(entry, static_cast<int64_t>(policy.labels.size())));
    if (!certificate.floored.empty() && !(policy.label_floor > 0))
      return bad_input("certificate.json: below_label_floor: expected a label floor in manifest.json, found none");
    if (entry.contains("text_stage") != policy.text.has_value())
      return bad_input("certificate.json: expected \"text_stage\" where the policy has a text stage, and only there");
    if (certificate.certified && policy.stages.empty())
      return bad_input("certificate.json: expected a stage behind a certified policy, found none");
    policy.certificates.push_back(std::move(certificate));
  }
  TRACER_RETURN_IF_ERROR(c.status());
  return artifact;
}

}  // namespace tracer
