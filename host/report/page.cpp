#include "host/report/page.h"

#include <openssl/evp.h>

#include <string_view>

#include "host/report/page_files.h"

namespace tracer {
namespace {

// 'sha256-...' as a Content-Security-Policy names a text; "" on failure.
std::string source_of(std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr) != 1) return "";
  unsigned char base64[2 * EVP_MAX_MD_SIZE];
  const int length = EVP_EncodeBlock(base64, digest, static_cast<int>(size));
  return "'sha256-" + std::string(reinterpret_cast<const char*>(base64), static_cast<size_t>(length)) + "'";
}

// Takes what stands before the marker off the template.
std::string_view before(std::string_view& rest, std::string_view marker) {
  const size_t at = rest.find(marker);
  const std::string_view part = rest.substr(0, at);
  rest.remove_prefix(at == std::string_view::npos ? rest.size() : at + marker.size());
  return part;
}

}  // namespace

std::string script_json(const nlohmann::ordered_json& document) {
  const std::string text = document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = std::string_view(text).substr(i, 3);
    if (text[i] == '<')
      out += "\\u003c";
    else if (text[i] == '>')
      out += "\\u003e";
    else if (text[i] == '&')
      out += "\\u0026";
    else if (rest == "\xe2\x80\xa8" || rest == "\xe2\x80\xa9")
      out += rest[2] == '\xa8' ? "\\u2028" : "\\u2029", i += 2;
    else
      out += text[i];
  }
  return out;
}

namespace {

std::string page_of(const char* title, std::string_view own_script, const nlohmann::ordered_json& data) {
  const std::string script = source_of(own_script), style = source_of(kPageStyle);
  if (script.empty() || style.empty()) return "";
  // The template is cut before anything is put in: what the data holds is never taken for a marker.
  std::string_view rest = kPageHtml;
  std::string page(before(rest, "@POLICY@"));
  page += "default-src 'none'; script-src " + script + "; style-src " + style +
          "; img-src data:; base-uri 'none'; form-action 'none'";
  page += before(rest, "@TITLE@");
  page += title;
  page += before(rest, "@STYLE@");
  page += kPageStyle;
  page += before(rest, "@TITLE@");
  page += title;
  page += before(rest, "@DATA@");
  page += script_json(data);
  page += before(rest, "@SCRIPT@");
  page += own_script;
  page += rest;
  return page;
}

}  // namespace

std::string report_page(const nlohmann::ordered_json& data) { return page_of("TRACER report", kPageScript, data); }
std::string scan_page(const nlohmann::ordered_json& data) { return page_of("TRACER scan", kScanScript, data); }

}  // namespace tracer
