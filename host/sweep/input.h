// What a sweep is made of: the sizes of the learning curve, and the rows its policies are tested on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/study/sweep.h"
#include "host/encoder/log_vectors.h"

namespace tracer {

struct CurveSizes {
  bool automatic = false;
  std::vector<int64_t> sizes;  // as given
};
// "auto" or "500,1000": kBadInput for anything else. Nothing given: no sizes.
Result<CurveSizes> parse_curve(const std::optional<std::string>& text);

// The sizes to fit, ascending, all rows among them. Larger ones are left out with a warning. auto: doublings from 500
// (an eighth of a log under 4,000 rows) up to four fifths of the log.
std::vector<int64_t> sweep_sizes(const CurveSizes& asked, int64_t rows, const Events& events);

struct TestLog {
  FreshRows rows;
  std::string digest;
};
// As read_alike reads rows: vectors is the test log's file of vectors, or "".
Result<TestLog> read_test(Backend& backend, const RowSource& test, const std::string& vectors,
                          const LearnedLog& learned, const Encoder* encoder, const Events& events);

}  // namespace tracer
