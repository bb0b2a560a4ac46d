#include "host/versions/diff.h"

#include "engine/prove/figures.h"
#include "host/io/json_fields.h"
#include "host/io/plain_text.h"
#include "host/versions/change_text.h"

namespace tracer {
namespace {

std::optional<double> certified_agreement(const Certificate& c) {
  return c.certified ? agreement(c.n_agree, c.n_handled) : std::nullopt;
}

Json side_json(const LoadedPolicy& side) {
  const Certificate& c = side.certificate;
  return {{"folder", side.folder},
          {"policy", side.artifact.digest},
          {"alpha", c.alpha},
          {"certified", c.certified},
          {"labels", side.artifact.policy.labels.size()},
          {"coverage", optional_json(coverage(c))},
          {"teacher_agreement", optional_json(certified_agreement(c))},
          {"teacher_agreement_lower", optional_json(agreement_lower(c))}};
}

std::string joined(const std::vector<std::string>& labels) {
  std::string out;
  for (const std::string& label : labels) out += (out.empty() ? "" : ", ") + shown(label);
  return out.empty() ? "none" : out;
}

}  // namespace

Result<LoadedPolicy> load_side(const std::string& folder, std::optional<double> alpha) {
  TRACER_ASSIGN_OR_RETURN(auto artifact, read_artifact(folder));
  const double wanted = alpha.value_or(artifact.policy.alpha);
  const Certificate* c = artifact.policy.certificate(wanted);
  if (c == nullptr) return refused(folder + ": alpha " + number(wanted) + " was not part of its sweep");
  LoadedPolicy side;
  side.folder = folder;
  side.certificate = *c;
  side.artifact = std::move(artifact);
  return side;
}

Status check_same_dimension(const DiffSides& sides) {
  if (sides[0].artifact.policy.dimension == sides[1].artifact.policy.dimension) return {};
  return bad_input("the policies take vectors of different dimensions, so no rows fit both");
}

Status check_same_encoder(const DiffSides& sides) {
  const EncoderIdentity &a = sides[0].artifact.provenance.encoder, &b = sides[1].artifact.provenance.encoder;
  if (!a.known() || !b.known() || a.makes_vectors_of(b)) return {};
  return bad_input("the policies were fitted with different encoders, so no rows fit both: " + describe(a) + ", " +
                   describe(b));
}

Diff compare_labels_known(const DiffSides& sides) {
  Diff diff;
  compare_labels(sides[0].artifact.policy, sides[1].artifact.policy, diff.change);
  return diff;
}

Result<Diff> compare_on_rows(Backend& backend, const DiffSides& sides, ReadRows read) {
  PolicySide side[2];
  std::vector<AuditRow> scores[2];
  for (size_t s = 0; s < 2; ++s) {
    side[s] = {&sides[s].artifact.policy, &sides[s].certificate};
    TRACER_ASSIGN_OR_RETURN(scores[s], score_to_decide(backend, side[s], read.rows, read.file.input));
  }
  TRACER_RETURN_IF_ERROR(backend.normalise_rows(read.rows.x.view()));
  TRACER_ASSIGN_OR_RETURN(auto regions, find_regions(backend, read.rows.x.view()));
  Diff diff;
  diff.names = {std::move(read.file.traces.line), std::move(read.file.traces.id), std::move(read.file.input)};
  diff.change = change_on(side[0], scores[0], side[1], scores[1], read.rows, regions, *diff.names);
  return diff;
}

Json diff_json(const DiffSides& sides, const Diff& diff) {
  return {{"before", side_json(sides[0])},
          {"after", side_json(sides[1])},
          {"labels_gained", diff.change.gained},
          {"labels_lost", diff.change.lost},
          {"same_rows", diff.names ? change_json(diff.change, *diff.names) : Json(nullptr)}};
}

std::string diff_text(const DiffSides& sides, const Diff& diff) {
  std::string text;
  for (const LoadedPolicy& side : sides) {
    const Certificate& c = side.certificate;
    text += side.folder + ": alpha " + number(c.alpha) + ", coverage " + figure(coverage(c)) + ", agreement " +
            figure(certified_agreement(c)) + ", at least " + figure(agreement_lower(c)) +
            (c.certified ? "\n" : ", not certified\n");
  }
  text += "labels gained: " + joined(diff.change.gained) + "; lost: " + joined(diff.change.lost) + "\n";
  return diff.names ? text + change_text(diff.change, *diff.names) : text;
}

}  // namespace tracer
