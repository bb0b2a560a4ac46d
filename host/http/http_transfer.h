// One HTTP request at a time, waited for, with bodies from and into files: for APIs that take and give whole files.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "host/http/http_client.h"
#include "kernels/status.h"

namespace tracer::http {

// GET, or POST where there is a body: `body`, `body_file`, or a form (multipart/form-data).
struct TransferRequest {
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  bool post = false;
  std::string body;
  std::string body_file;                                  // its bytes; "": `body`
  std::vector<std::pair<std::string, std::string>> form;  // fields before the file
  std::string form_file;                                  // the form's last field, "file"; "": no form
  std::string form_name;                                  // the file's name there
  std::string to_file;  // a 2xx body goes there, whole or not at all, and not into the response
};

// Not thread-safe; the connection is kept. A transfer that stands still for HttpOptions::timeout_ms ends; one that goes
// on may take as long as it needs.
class HttpTransfer {
 public:
  // stopped: asked often; true ends a transfer without an answer.
  static Result<std::unique_ptr<HttpTransfer>> create(const HttpOptions& options, std::function<bool()> stopped);
  ~HttpTransfer();
  HttpTransfer(const HttpTransfer&) = delete;
  HttpTransfer& operator=(const HttpTransfer&) = delete;

  // What came, status 0 when nothing did. kIo: a file of the request cannot be read or written.
  Result<HttpResponse> send(const TransferRequest& request);

 private:
  struct State;
  explicit HttpTransfer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tracer::http
