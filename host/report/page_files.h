// The files of host/report/page/, which the build puts into the program (cmake/embed_page.cmake).
#pragma once

#include <string_view>

namespace tracer {

extern const std::string_view kPageHtml, kPageStyle, kPageScript, kScanScript;

}  // namespace tracer
