// A command that applies a policy: which artifact, which alpha.
#pragma once

#include <optional>
#include <string>

#include "engine/policy/router.h"
#include "host/artifact/artifact.h"
#include "host/encoder/source.h"
#include "host/io/events.h"
#include "host/route/batch_reader.h"
#include "host/route/policy_options.h"

namespace tracer {

struct LoadedPolicy {
  std::string folder;
  Artifact artifact;
  Certificate certificate;
  DecisionRule rule;  // of the certificate
  // Set when alpha is not the one fit was asked for and certificates do not hold together.
  std::string warning;
};

// kRefused when that alpha was not certified, or was not part of the sweep. The warning has been shown on the events.
Result<LoadedPolicy> load_policy(const PolicyOptions& options, const Events& events);

// Vectors that the policy can take: those of the file `npy`, or for "" those that its own encoder makes of the text.
// Of a cascade the source has the text stage as well, which refers to `loaded`.
// kBadInput where a note beside the file names another encoder, where the folder with --embed-model or the server at
// --embed-url is another one, where that is missing for a policy of a server,
// and where text meets a policy that was fitted on given vectors. A file without a note is taken with a warning when
// the policy knows its encoder.
Result<VectorSource> open_vectors(const std::string& npy, const RowSource& input, const LoadedPolicy& loaded,
                                  const Backend& backend, const Events& events);

// kBadInput where the policy is a cascade: for commands that look at vectors alone.
Status refuse_cascade(const std::string& folder, const Policy& policy, const std::string& command);

// kBadInput, naming the row, where a policy gives no finite score: its numbers are damaged, and a row it says nothing
// about is neither handled nor deferred.
Status check_score(const LoadedPolicy& loaded, const RowScore& score, const std::string& row);

}  // namespace tracer
