#include "host/api/inspect.h"

#include "host/api/access.h"
#include "host/explain/inspect.h"
#include "host/explain/inspect_text.h"
#include "host/io/json_format.h"
#include "host/io/npy.h"
#include "host/route/opened_policy.h"

namespace tracer {
namespace {

Status read_row(const std::string& path, int64_t row, HostMatrix<float> x) {
  TRACER_ASSIGN_OR_RETURN(auto reader, io::NpyReader::open(path));
  if (reader.cols() != x.cols)
    return bad_input(path + ": expected vectors of dimension " + std::to_string(x.cols) + ", found " +
                     std::to_string(reader.cols()));
  if (row < 0 || row >= reader.rows())
    return bad_input(path + ": row " + std::to_string(row) + " does not exist; rows are 0 to " +
                     std::to_string(reader.rows() - 1));
  return reader.read_rows(row, 1, x);
}

}  // namespace

Result<Inspection> inspect_input(const Device& device, const InspectRequest& request, const Events& events) {
  TRACER_ASSIGN_OR_RETURN(const LoadedPolicy loaded, load_policy(request.policy, events));
  if (loaded.artifact.policy.text && loaded.rule.text_threshold < 1 && !request.text)
    return bad_input(loaded.folder + ": a cascade, which looks at the text first: give " + option("text") +
                     " instead of " + option("row"));
  Backend& backend = DeviceAccess::backend(device);
  const InspectedRow row{
      request.text, request.row,
      request.text ? "the text" : "row " + std::to_string(request.row) + " of " + request.source.embeddings};
  TRACER_ASSIGN_OR_RETURN(const Json found, inspect_row(backend, loaded, row, [&](HostMatrix<float> x) -> Status {
                            const RowSource& source = request.source;
                            TRACER_ASSIGN_OR_RETURN(const VectorSource vectors,
                                                    open_vectors(source.embeddings, source, loaded, backend, events));
                            if (vectors.encoder) return vectors.encoder->text->encode({&*request.text, 1}, x);
                            return read_row(vectors.npy, request.row, x);
                          }));
  return Inspection{{json_text(found), inspect_text(found)}};
}

}  // namespace tracer
