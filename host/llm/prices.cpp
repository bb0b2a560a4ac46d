#include "host/llm/prices.h"

#include <cmath>

#include "host/io/file.h"
#include "host/io/json_fields.h"

namespace tracer::llm {

Result<Price> read_price(const std::string& path, const std::string& model, bool batch) {
  TRACER_ASSIGN_OR_RETURN(auto text, io::read_file(path, int64_t{16} << 20));
  TRACER_ASSIGN_OR_RETURN(auto json, parse_json(text, path));
  JsonFields all(json, path);
  if (!all.status().ok()) return all.status();
  const auto at = json.find(model);
  if (at == json.end()) return bad_input(path + ": expected a price of the model \"" + model + "\", found none");
  double input = 0, output = 0;
  constexpr double kMost = 1e4;  // USD a million tokens
  JsonFields fields(*at, path + ": \"" + model + "\"");
  fields.number("input", input, 0, kMost);
  fields.number("output", output, 0, kMost);
  for (const auto& [name, value] : {std::pair("batch_input", &input), std::pair("batch_output", &output)})
    if (batch && at->is_object() && at->contains(name)) fields.number(name, *value, 0, kMost);
  if (!fields.status().ok()) return fields.status();
  // 1 USD a million tokens is a million picodollars a token. Decimal prices are not exact in binary: what is within a
  // millionth of a whole picodollar is that.
  const auto picodollars = [](double usd) { return static_cast<int64_t>(std::ceil(usd * 1e6 - 1e-6)); };
  return Price{picodollars(input), picodollars(output)};
}

}  // namespace tracer::llm
