// A log: traces (an input and the teacher's answer each) with the vectors of their inputs. A policy is fitted on one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "host/api/device.h"
#include "host/encoder/source.h"
#include "host/io/events.h"
#include "kernels/matrix.h"
#include "kernels/status.h"

namespace tracer {

// A log in a file.
struct LogSource {
  RowSource rows;           // rows.rejects "": rejects.jsonl in the current folder
  std::string group_by;     // key (of the row or its metadata) whose groups a split keeps whole; "": none
  EncoderRun encoder;       // of this machine, if text is embedded by one
  bool keep_texts = false;  // of rows whose vectors are given: a cascade learns from texts, explanations quote them
};

// A log in memory: n rows in order of arrival. A column that is empty is absent.
struct LogRows {
  std::vector<std::string> texts;   // n, UTF-8
  std::vector<std::string> labels;  // n: the teacher's answers, not empty
  std::vector<std::string> ids;     // n; "" for none
  std::vector<std::string> groups;  // n: rows of one group stay on one side of a split; "" for a group of its own
  std::vector<double> times;        // n: seconds since 1970, NaN for none
  Matrix<float> vectors;            // n x d; if there are none, texts are embedded
  std::string name = "rows";        // for messages and the policy's record
};

// Move-only: a log of a million rows is not copied by accident.
class Log {
 public:
  struct State;  // the library's own

  Log(Log&&) noexcept;
  Log& operator=(Log&&) noexcept;
  ~Log();

  int64_t rows() const;
  int64_t dimension() const;
  const std::vector<std::string>& labels() const;  // sorted bytewise

  // kBadInput names the column whose length is another, or the row that has no label. rows: how text is embedded (the
  // traces and keys of it are not looked at); encoder: likewise.
  static Result<Log> from_rows(const Device& device, LogRows columns, const RowSource& rows, const EncoderRun& encoder,
                               const Events& events);

 private:
  friend struct LogAccess;  // host/api/log_access.h: the library's own
  explicit Log(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Reads rows and vectors, or embeds the rows' text if no vectors are given or lie beside. Rows that cannot be read are
// warned of and go to the rejects file; above rows.max_bad_ratio they are kBadInput. The message names file, line and
// field. kIo: a file cannot be read. kDevice: no encoder. Memory: the vectors, about 50 bytes a row, ids, and texts if
// they are kept.
Result<Log> read_log(const Device& device, const LogSource& source, const Events& events);

}  // namespace tracer
