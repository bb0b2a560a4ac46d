// Owned libcurl handles, and what both clients read from an answer's head.
#pragma once

#include <curl/curl.h>

#include <memory>
#include <string_view>

#include "host/http/http_client.h"
#include "kernels/status.h"

namespace tracer::http {

struct CurlMultiDeleter {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct CurlEasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct CurlListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
struct CurlMimeDeleter {
  void operator()(curl_mime* mime) const { curl_mime_free(mime); }
};
using CurlEasy = std::unique_ptr<CURL, CurlEasyDeleter>;
using CurlList = std::unique_ptr<curl_slist, CurlListDeleter>;

// Once a process, whoever is first.
Status curl_ready();

// Takes in one line of an answer's head; a status line begins anew (of an interim answer nothing stays).
void read_header_line(std::string_view line, HttpResponse& response);

// The request's headers, and no "Expect" (a round trip before the body).
CurlList header_list(const std::vector<std::string>& headers);

// What every request is held to: http or https alone, TLS verified, no redirects, no signals, compressed answers.
void set_common_options(CURL* easy, const HttpOptions& options);

}  // namespace tracer::http
