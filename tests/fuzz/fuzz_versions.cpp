// Any bytes as the state of a policy's versions: refused by name, or a state that is written and read again unchanged.
// Behind a first byte that says so, the rest is the state alone, and the head with its digest is filled in here: the
// fuzzer need not guess a sha256.

#include "host/io/json_fields.h"
#include "host/io/sha256.h"
#include "host/versions/state.h"
#include "tests/fuzz/check.h"

namespace {

void use(std::string_view text) {
  using namespace tracer;
  const auto state = parse_state(text, "fuzz");
  if (!state.ok()) {
    check(state.status().code() == ErrorCode::kBadInput && state.status().message().starts_with("fuzz"));
    return;
  }
  const auto versions = static_cast<int64_t>(state->versions.size());
  check(state->champion() >= 1 && state->champion() <= versions && state->deploying <= versions);
  check(state->waiting() == nullptr || !state->plans.empty());
  const std::string written = state_text(*state);
  const auto again = parse_state(written, "fuzz");
  check(again.ok() && state_text(*again) == written);
  const Version* waiting = state->waiting();
  check((waiting == nullptr) == (again->waiting() == nullptr));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tracer;
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] != '1' && data[0] != '2') {
    use({reinterpret_cast<const char*>(data), size});
    return 0;
  }
  const auto body = parse_json(rest, "fuzz");
  if (!body.ok()) return 0;
  const JsonFields::Json document = {{"format", "tracer-versions"},
                                     {"format_version", data[0] - '0'},
                                     {"sha256", io::sha256_hex(body->dump())},
                                     {"state", *body}};
  use(document.dump());
  return 0;
}
