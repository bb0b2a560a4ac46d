#include "host/http/http_transfer.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>

#include "host/http/curl_handles.h"
#include "host/io/file.h"

namespace tracer::http {
namespace {

struct CloseFile {
  void operator()(std::FILE* f) const { std::fclose(f); }
};

// Where an answer goes.
struct Sink {
  CURL* easy = nullptr;
  HttpResponse response;
  int64_t most_bytes = 0;
  std::optional<io::AtomicFile> file;
  Status failure;  // of the file
};

size_t on_body(char* data, size_t, size_t bytes, void* user) {
  auto& sink = *static_cast<Sink*>(user);
  long status = 0;
  curl_easy_getinfo(sink.easy, CURLINFO_RESPONSE_CODE, &status);
  if (sink.file && status >= 200 && status < 300) {
    sink.failure = sink.file->write({data, bytes});
    return sink.failure.ok() ? bytes : 0;
  }
  if (static_cast<int64_t>(sink.response.body.size() + bytes) > sink.most_bytes) return 0;
  sink.response.body.append(data, bytes);
  return bytes;
}

size_t on_header(char* data, size_t, size_t bytes, void* user) {
  read_header_line({data, bytes}, static_cast<Sink*>(user)->response);
  return bytes;
}

}  // namespace

struct HttpTransfer::State {
  HttpOptions options;
  std::function<bool()> stopped;
  CurlEasy easy;

  static int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<State*>(user)->stopped() ? 1 : 0;
  }
};

HttpTransfer::HttpTransfer(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpTransfer::~HttpTransfer() = default;

Result<std::unique_ptr<HttpTransfer>> HttpTransfer::create(const HttpOptions& options, std::function<bool()> stopped) {
  TRACER_RETURN_IF_ERROR(curl_ready());
  auto state = std::make_unique<State>();
  state->options = options;
  state->stopped = std::move(stopped);
  state->easy.reset(curl_easy_init());
  if (state->easy == nullptr) return io_error("libcurl: no handle for a request");
  return std::unique_ptr<HttpTransfer>(new HttpTransfer(std::move(state)));
}

Result<HttpResponse> HttpTransfer::send(const TransferRequest& request) {
  CURL* easy = state_->easy.get();
  const HttpOptions& options = state_->options;
  curl_easy_reset(easy);  // keeps the connection
  set_common_options(easy, options);
  const CurlList headers = header_list(request.headers);
  Sink sink;
  sink.easy = easy;
  sink.most_bytes = options.max_response_bytes;
  if (!request.to_file.empty()) {
    TRACER_ASSIGN_OR_RETURN(auto file, io::AtomicFile::create(request.to_file));
    sink.file.emplace(std::move(file));
  }
  std::unique_ptr<std::FILE, CloseFile> from;
  std::unique_ptr<curl_mime, CurlMimeDeleter> form;
  if (!request.form_file.empty()) {
    TRACER_ASSIGN_OR_RETURN(auto there, io::open_for_reading(request.form_file));
    form.reset(curl_mime_init(easy));
    for (const auto& [name, value] : request.form) {
      curl_mimepart* part = curl_mime_addpart(form.get());
      curl_mime_name(part, name.c_str());
      curl_mime_data(part, value.data(), value.size());
    }
    curl_mimepart* part = curl_mime_addpart(form.get());
    curl_mime_name(part, "file");
    curl_mime_filedata(part, request.form_file.c_str());
    curl_mime_filename(part, request.form_name.c_str());
    curl_mime_type(part, "application/jsonl");
    curl_easy_setopt(easy, CURLOPT_MIMEPOST, form.get());
  } else if (!request.body_file.empty()) {
    from.reset(std::fopen(request.body_file.c_str(), "rbe"));
    struct stat about {};
    if (from == nullptr || ::fstat(::fileno(from.get()), &about) != 0)
      return io::errno_error(request.body_file, "cannot read", errno);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_READDATA, from.get());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(about.st_size));
  } else if (request.post) {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());
  }
  char error[CURL_ERROR_SIZE] = {};
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, std::max(1L, static_cast<long>(options.timeout_ms / 1000)));
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &sink);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &sink);
  curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, State::on_progress);
  curl_easy_setopt(easy, CURLOPT_XFERINFODATA, state_.get());
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
  const CURLcode code = curl_easy_perform(easy);
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  long request_bytes = 0;
  curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &request_bytes);
  sink.response.sent = request_bytes > 0;
  curl_easy_reset(easy);  // what it points to goes
  TRACER_RETURN_IF_ERROR(sink.failure);
  if (code != CURLE_OK) {
    sink.response.status = 0;
    sink.response.error = error[0] != '\0' ? error : curl_easy_strerror(code);
    if (code == CURLE_WRITE_ERROR)
      sink.response.error = "the answer is larger than " + std::to_string(options.max_response_bytes) + " bytes";
    return std::move(sink.response);
  }
  sink.response.status = static_cast<int>(status);
  if (sink.file && status >= 200 && status < 300) TRACER_RETURN_IF_ERROR(sink.file->commit());
  return std::move(sink.response);
}

}  // namespace tracer::http
