// A vector of each row's text, in a .npy file: made once, for fits to come.
#pragma once

#include <cstdint>
#include <string>

#include "host/api/device.h"
#include "host/api/document.h"
#include "host/encoder/source.h"
#include "host/io/events.h"
#include "kernels/status.h"

namespace tracer {

struct EmbedRequest {
  RowSource source;    // rejects "": OUTPUT.rejects.jsonl
  EncoderRun encoder;  // of this machine
  std::string output;  // .npy: float32, one unit row a data line; a row of zeros where a line cannot be read
};

struct EmbedReport {
  int64_t rows = 0, bad_rows = 0, dimension = 0;
  Document document;
};

// The file appears under its name when it is whole, and OUTPUT.meta.json beside it names the encoder. Errors: kBadInput
// names file and line; kDevice: no encoder; as an embedding server's (docs/embedding.md).
Result<EmbedReport> embed_file(const Device& device, const EmbedRequest& request, const Events& events);

// kBadInput in words where that is no address of an embedding server.
Status check_embed_url(const std::string& url);

}  // namespace tracer
