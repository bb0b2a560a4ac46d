#include "host/versions/change_text.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "engine/prove/figures.h"
#include "host/artifact/frontier_text.h"
#include "host/io/plain_text.h"

namespace tracer {
namespace {

constexpr size_t kLabels = 20, kRegions = 5;
constexpr size_t kInputBytes = 80;

// Those whose handled rows changed most.
template <class T>
std::vector<const T*> moved(const std::vector<T>& all, size_t most) {
  std::vector<const T*> order;
  for (const T& c : all)
    if (c.handled[0] != c.handled[1]) order.push_back(&c);
  std::stable_sort(order.begin(), order.end(), [](const T* a, const T* b) {
    return std::abs(a->handled[1] - a->handled[0]) > std::abs(b->handled[1] - b->handled[0]);
  });
  if (order.size() > most) order.resize(most);
  return order;
}

std::string label_text(const std::string& label, bool answered) { return answered ? shown(label) : "(no answer)"; }

std::string agreements(const SideCounts& c) {
  return "agreement " + figure(agreement(c.agree[0], c.handled[0])) + " -> " +
         figure(agreement(c.agree[1], c.handled[1]));
}

std::string shortened(const std::string& text) {
  if (text.size() <= kInputBytes) return shown(text);
  size_t end = kInputBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // not inside a character
  return shown(text.substr(0, end)) + "...";
}

std::string example_text(int64_t row, const RowNames& names) {
  if (row < 0) return "";
  const auto i = static_cast<size_t>(row);
  std::string text = "; such as line " + std::to_string(names.line[i]);
  if (!names.id.empty() && !names.id[i].empty()) text += ", " + shown(names.id[i]);
  if (!names.input.empty()) text += ": " + shortened(names.input[i]);
  return text;
}

}  // namespace

std::string figure(const std::optional<double>& value) { return value ? number(*value) : "-"; }

std::string moved_regions(const Change& change, const RowNames& names) {
  std::string text;
  for (const RegionChange* r : moved(change.regions, kRegions)) {
    std::string labels;
    for (const RegionChange::Label& l : r->labels)
      labels += (labels.empty() ? "" : ", ") + label_text(l.label, l.answered) + " " + std::to_string(l.rows);
    text += "  region of " + counted(r->rows, "row") + " (" + labels + "): " + std::to_string(r->handled[0]) + " -> " +
            std::to_string(r->handled[1]) + " handled, " + agreements(*r) + example_text(r->example, names) + "\n";
  }
  return text;
}

std::string change_text(const Change& change, const RowNames& names) {
  std::string text = "on the same " + counted(change.rows, "row") + ": coverage " +
                     figure(agreement(change.handled[0], change.rows)) + " -> " +
                     figure(agreement(change.handled[1], change.rows)) + ", " + agreements(change) + "\n";
  for (const LabelChange* l : moved(change.labels, kLabels))
    text += "  " + label_text(l->label, l->answered) + ": " + std::to_string(l->handled[0]) + " -> " +
            std::to_string(l->handled[1]) + " of " + counted(l->rows, "row") + " handled\n";
  return text + moved_regions(change, names);
}

}  // namespace tracer
