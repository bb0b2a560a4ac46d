#include "host/explain/slices.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <functional>
#include <limits>
#include <map>

#include "engine/maths/fisher.h"
#include "engine/text/utf8.h"
#include "host/explain/words.h"

namespace tracer {
namespace {

constexpr size_t kQuarters = 4;

// Quarters of the finite values; equal ones stay together.
std::vector<std::string> quarters(const std::vector<double>& value,
                                  const std::function<std::string(double low, double high)>& name) {
  std::vector<double> sorted;
  for (const double v : value)
    if (std::isfinite(v)) sorted.push_back(v);
  std::sort(sorted.begin(), sorted.end());
  std::vector<double> last;  // of each quarter
  for (size_t q = 1; q <= kQuarters && !sorted.empty(); ++q) {
    const double end = sorted[(q * sorted.size() + kQuarters - 1) / kQuarters - 1];
    if (last.empty() || end > last.back()) last.push_back(end);
  }
  std::vector<double> first;
  for (size_t q = 0; q < last.size(); ++q)
    first.push_back(q == 0 ? sorted.front() : *std::upper_bound(sorted.begin(), sorted.end(), last[q - 1]));
  std::vector<std::string> out;
  for (const double v : value) {
    if (!std::isfinite(v)) {
      out.emplace_back();
      continue;
    }
    const auto q = static_cast<size_t>(std::lower_bound(last.begin(), last.end(), v) - last.begin());
    out.push_back(name(first[q], last[q]));
  }
  return out;
}

std::string day(double seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  char text[32] = "?";
  if (gmtime_r(&time, &parts) != nullptr) std::strftime(text, sizeof text, "%Y-%m-%d", &parts);
  return text;
}

struct Block {
  char32_t first, last;
  const char* script;
};
// The blocks that hold a script's letters (The Unicode Standard, Blocks.txt), ascending.
constexpr Block kBlocks[] = {{0x0041, 0x005A, "latin"},      {0x0061, 0x007A, "latin"},    {0x00C0, 0x024F, "latin"},
                             {0x0370, 0x03FF, "greek"},      {0x0400, 0x052F, "cyrillic"}, {0x0530, 0x058F, "armenian"},
                             {0x0590, 0x05FF, "hebrew"},     {0x0600, 0x06FF, "arabic"},   {0x0750, 0x077F, "arabic"},
                             {0x0900, 0x097F, "devanagari"}, {0x0980, 0x09FF, "bengali"},  {0x0B80, 0x0BFF, "tamil"},
                             {0x0E00, 0x0E7F, "thai"},       {0x10A0, 0x10FF, "georgian"}, {0x1100, 0x11FF, "hangul"},
                             {0x1E00, 0x1EFF, "latin"},      {0x1F00, 0x1FFF, "greek"},    {0x3040, 0x30FF, "kana"},
                             {0x3400, 0x4DBF, "han"},        {0x4E00, 0x9FFF, "han"},      {0xAC00, 0xD7AF, "hangul"},
                             {0xF900, 0xFAFF, "han"},        {0x20000, 0x323AF, "han"}};

}  // namespace

std::string script_of(const std::string& text) {
  std::map<std::string, int64_t> letters;
  for (size_t at = 0; at < text.size();) {
    const text::Decoded c = text::decode_utf8(text, at);
    at += c.bytes;
    const auto* block = std::find_if(std::begin(kBlocks), std::end(kBlocks),
                                     [&](const Block& b) { return c.character >= b.first && c.character <= b.last; });
    if (block != std::end(kBlocks))
      ++letters[block->script];
    else if (c.character >= 0x00C0)
      ++letters["other"];
  }
  std::string most = "none";
  int64_t n = 0;
  for (const auto& [script, count] : letters)
    if (count > n) most = script, n = count;
  return most;
}

SliceKey slices_by_length(const std::vector<std::string>& input) {
  std::vector<double> words;
  for (const std::string& text : input) words.push_back(static_cast<double>(words_of(text).size()));
  return {"length", quarters(words, [](double low, double high) {
            const std::string from = std::to_string(std::llround(low)), to = std::to_string(std::llround(high));
            return (from == to ? from : from + "-" + to) + " words";
          })};
}

SliceKey slices_by_script(const std::vector<std::string>& input) {
  SliceKey key{"script", {}};
  for (const std::string& text : input) key.value.push_back(script_of(text));
  return key;
}

SliceKey slices_by_time(const std::vector<double>& timestamp) {
  return {"time", quarters(timestamp, [](double low, double high) { return day(low) + " to " + day(high); })};
}

std::vector<Slice> find_slices(const std::vector<ExplainedRow>& rows, const std::vector<SliceKey>& keys) {
  Counts all;
  for (const ExplainedRow& r : rows) all.add(r);
  std::vector<Slice> slices;
  for (const SliceKey& key : keys) {
    std::map<std::string, Slice> values;
    for (size_t i = 0; i < rows.size(); ++i)
      if (!key.value[i].empty()) values[key.value[i]].add(rows[i]);
    for (auto& [value, slice] : values) {
      if (slice.rows < kFewestSliceRows || slice.rows == all.rows) continue;
      slice.key = key.key, slice.value = value;
      slices.push_back(slice);
    }
  }
  std::vector<double> p;
  for (const Slice& s : slices) {
    p.push_back(fisher_exact(s.handled, s.rows, all.handled - s.handled, all.rows - s.rows));
    p.push_back(fisher_exact(s.agree, s.handled, all.agree - s.agree, all.handled - s.handled));
  }
  p = holm(p);
  for (size_t i = 0; i < slices.size(); ++i) {
    Slice& s = slices[i];
    s.p_coverage = p[2 * i], s.p_agreement = p[2 * i + 1];
    s.flag_coverage = s.p_coverage <= kFlagLevel, s.flag_agreement = s.p_agreement <= kFlagLevel;
  }
  return slices;
}

}  // namespace tracer
