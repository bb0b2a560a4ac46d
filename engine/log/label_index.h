// Labels by index: a list of labels is in bytewise order, without repeats.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace tracer {

// Where the list has this label; -1 where it does not.
inline int32_t label_index(const std::vector<std::string>& labels, const std::string& label) {
  const auto at = std::lower_bound(labels.begin(), labels.end(), label);
  return at != labels.end() && *at == label ? static_cast<int32_t>(at - labels.begin()) : -1;
}

// Indices into `from` (-1: no label) as indices into `to`; -1 where that has no such label.
inline std::vector<int32_t> translate_labels(const std::vector<int32_t>& label, const std::vector<std::string>& from,
                                             const std::vector<std::string>& to) {
  std::vector<int32_t> index, out;
  for (const std::string& name : from) index.push_back(label_index(to, name));
  for (const int32_t l : label) out.push_back(l < 0 ? -1 : index[static_cast<size_t>(l)]);
  return out;
}

}  // namespace tracer
