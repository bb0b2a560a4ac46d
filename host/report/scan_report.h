// What a scan found, for its readers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/study/scan.h"
#include "host/artifact/artifact.h"
#include "host/io/traces.h"
#include "host/report/prices.h"

namespace tracer {

// text_bytes: of the rows' text, on average, where it was read; it stands for tokens_in at four bytes a token.
Json scan_json(const Scan& scan, const ScanOptions& options, const io::TraceFile& log, const CallPrices& prices,
               std::optional<double> text_bytes);

// Cells in the order in which the document lists them, easiest first.
std::vector<size_t> cells_by_agreement(const Scan& scan);

std::string scan_text(const Json& document);

}  // namespace tracer
