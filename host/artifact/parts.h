// The JSON parts of an artifact, read with their types checked. All return kBadInput that begins with `part`, the name
// to give in messages, and says what was expected and what was found.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/status.h"

namespace tracer {

using Json = nlohmann::ordered_json;

// What `report` reads of each: an array of objects with the fields of frontier_entry; an object with "warnings" and
// "suspects"; an object with an array "looks".
Result<Json> parse_frontier(std::string_view text, const std::string& part);
Result<Json> parse_findings(std::string_view text, const std::string& part);
Result<Json> parse_look_ledger(std::string_view text, const std::string& part);
Result<std::vector<std::string>> parse_reference_ids(std::string_view text, const std::string& part);

// Every one of `parts` (name -> bytes) must stand in the manifest's "parts" with its size and its sha256, taken from
// `digests`: that is what makes the manifest's digest the name of the whole policy. Messages begin with folder/name.
Status check_parts(const Json& manifest, const std::map<std::string, std::string_view>& parts,
                   const std::map<std::string, std::string>& digests, const std::string& folder);

}  // namespace tracer
