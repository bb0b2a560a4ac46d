#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "host/io/excerpt.h"
#include "host/io/sha256.h"
#include "host/report/data.h"
#include "host/report/page.h"
#include "host/report/page_files.h"

namespace tracer {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kHostile[] = {"</script><script>alert(1)</script>",
                                    "<!--<script>",
                                    "]]>&lt;&amp;",
                                    "quote \" back \\ 'single'",
                                    "line\xe2\x80\xa8para\xe2\x80\xa9graph",
                                    "\xe2\x80\xae\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d",
                                    "@DATA@ @SCRIPT@ @POLICY@ @STYLE@",
                                    "${x} {{x}} %s",
                                    "emoji \xf0\x9f\x98\x80"};

TEST(ReportPage, JsonForAScriptIsTheSameDocumentWithoutMarkup) {
  Json document = Json::object();
  for (const char* text : kHostile) document[text] = text;
  const std::string text = script_json(document);
  for (const char* bad : {"<", ">", "&", "\xe2\x80\xa8", "\xe2\x80\xa9"})
    EXPECT_EQ(text.find(bad), std::string::npos) << bad;
  EXPECT_EQ(Json::parse(text), document);
}

TEST(ReportPage, BytesThatAreNoUtf8BecomeTheReplacementCharacter) {
  const Json read = Json::parse(script_json({{"a", "x\xff\xfe"}, {"b", "\xed\xa0\x80"}, {"c", "cut \xe2\x80"}}));
  EXPECT_EQ(read["a"], "x\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_NE(read["b"].get<std::string>().find("\xef\xbf\xbd"), std::string::npos);
  EXPECT_EQ(read["c"].get<std::string>().substr(0, 4), "cut ");
}

// Data can name no marker of the template, end no element, and change nothing but its own element.
TEST(ReportPage, DataStaysInItsElement) {
  Json hostile = Json::array();
  for (const char* text : kHostile) hostile.push_back(text);
  const std::string page = report_page({{"texts", hostile}}), plain = report_page({{"texts", 1}});
  const std::string open = "<script type=\"application/json\" id=\"data\">", close = "</script>";
  const size_t from = page.find(open) + open.size(), to = page.find(close, from);
  EXPECT_EQ(Json::parse(page.substr(from, to - from))["texts"], hostile);
  EXPECT_EQ(page.substr(0, from), plain.substr(0, from));
  EXPECT_EQ(page.substr(to), plain.substr(plain.find(close, from)));
}

// on...= in a tag, as an attribute that runs script.
bool has_inline_handler(std::string_view html) {
  for (size_t at = html.find(" on"); at != std::string_view::npos; at = html.find(" on", at + 1)) {
    const size_t end = html.find_first_not_of("abcdefghijklmnopqrstuvwxyz", at + 3);
    if (end != std::string_view::npos && end > at + 3 && html[end] == '=') return true;
  }
  return false;
}

void expect_sealed(const std::string& page) {
  EXPECT_NE(page.find("content=\"default-src 'none'; script-src 'sha256-"), std::string::npos);
  EXPECT_EQ(page.find("unsafe"), std::string::npos);
  EXPECT_EQ(page.find("@POLICY@"), std::string::npos);
  for (const char* bad : {"http:", "https:", " src=", "url(", "@import", "innerHTML", "insertAdjacent",
                          "document.write", "eval(", "outerHTML"}) {
    std::string text = page;
    const std::string allowed = "http://www.w3.org/2000/svg";  // a name, not a place
    text.replace(text.find(allowed), allowed.size(), "");
    EXPECT_EQ(text.find(bad), std::string::npos) << bad;
  }
}

TEST(ReportPage, NothingIsLoadedAndOnlyTheOwnScriptRuns) {
  EXPECT_NE(report_page({}), scan_page({}));
  for (const std::string& page : {report_page({}), scan_page({})}) expect_sealed(page);
  EXPECT_TRUE(has_inline_handler("<a onclick=\"x\">"));
  EXPECT_FALSE(has_inline_handler(kPageHtml));
  for (const std::string_view script : {kPageScript, kScanScript}) {
    EXPECT_EQ(script.find("</script"), std::string_view::npos);
    EXPECT_EQ(script.find("<!--"), std::string_view::npos);
  }
  EXPECT_EQ(kPageStyle.find("</style"), std::string_view::npos);
}

// A document of many labels, of which some are large.
Json many_labels(int64_t labels, size_t name_bytes) {
  Json all = Json::array(), curve = Json::array(), moved = Json::array(), slices = Json::array();
  for (int64_t l = 0; l < labels; ++l) {
    const std::string name = std::to_string(l) + std::string(name_bytes, '<');
    all.push_back({{"label", name},
                   {"n", l},
                   {"answered", {{"n", 1}}},
                   {"taken_for", {{{"label", name}, {"n", 1}}}},
                   {"deferred", {{"spread", 1}, {"ambiguous", 2}}}});
    curve.push_back(
        {{"label", name}, {"n", l}, {"gain", l % 2 == 0 ? Json(0.01) : Json(nullptr)}, {"gain_low", nullptr}});
    moved.push_back({{"label", name}, {"gained", labels - l}});
    slices.push_back({{"key", "k"}, {"value", name}, {"n", l}, {"flag_coverage", l == 3}, {"flag_agreement", false}});
  }
  return {{"labels", all},
          {"slices", slices},
          {"learning_curve", {{"labels", curve}}},
          {"since", {{"labels", moved}, {"labels_gained", {"x"}}, {"labels_lost", Json::array()}}}};
}

Artifact some_artifact() {
  Artifact artifact;
  artifact.findings = Json::object();
  return artifact;
}

TEST(ReportData, TablesKeepTheMostImportantAndCountTheRest) {
  const Json data = report_data(some_artifact(), {}, "p", many_labels(1000, 4), {{"text", {"t"}}}, {.entries = 100});
  const Json& e = data["explain"];
  ASSERT_EQ(e["labels"].size(), 100u);
  EXPECT_EQ(e["labels"][0]["n"], 900);  // the order stays
  EXPECT_EQ(data["left_out"]["labels"]["entries"], 900);
  EXPECT_EQ(data["left_out"]["labels"]["n"], 899 * 900 / 2);
  EXPECT_EQ(data["left_out"]["labels"]["deferred"], 2700);
  ASSERT_EQ(e["slices"].size(), 100u);
  EXPECT_EQ(e["slices"][0]["n"], 3);  // flagged
  EXPECT_EQ(e["slices"][1]["n"], 901);
  ASSERT_EQ(e["learning_curve"]["labels"].size(), 100u);
  for (const Json& l : e["learning_curve"]["labels"]) EXPECT_TRUE(l["gain"].is_number());
  EXPECT_EQ(e["since"]["labels"][99]["gained"], 901);
  EXPECT_EQ(data["left_out"]["since"]["entries"], 900);
  const Json all = report_data(some_artifact(), {}, "p", many_labels(100, 4), {{"text", {"t"}}}, {.entries = 100});
  EXPECT_EQ(all["explain"], many_labels(100, 4));
  EXPECT_TRUE(all["left_out"].empty());
}

TEST(ReportData, APageIsBelowItsBoundWhateverTheLabels) {
  Json map = {{"text", Json::array()}, {"labels", Json::array()}};
  for (int i = 0; i < 10'000; ++i) map["text"].push_back(std::string(100, '<'));
  for (int i = 0; i < 5'000; ++i) map["labels"].push_back(std::string(400, '<'));
  const std::string page = bounded_page(some_artifact(), {}, "p", many_labels(5000, 400), map);
  EXPECT_GT(page.size(), 200'000u);
  EXPECT_LT(page.size(), kMostPageBytes);
}

TEST(ReportExcerpt, FitsAsItIsWritten) {
  for (const char* text : kHostile)
    for (size_t most : {3u, 4u, 7u, 12u, 20u, 60u, 200u}) {
      const std::string cut = excerpt(text, most);
      EXPECT_LE(script_json(cut).size(), most + 2) << text << " " << most;  // and its quotes
      EXPECT_EQ(script_json(cut).find("\xef\xbf\xbd"), std::string::npos) << "cut inside a character: " << text;
      if (cut != text) {
        ASSERT_GE(cut.size(), 3u);
        EXPECT_EQ(cut.substr(cut.size() - 3), "…");
        EXPECT_EQ(std::string(text).substr(0, cut.size() - 3), cut.substr(0, cut.size() - 3));
      } else {
        EXPECT_LE(script_json(text).size(), most + 20);
      }
    }
  EXPECT_EQ(excerpt("short", 160), "short");
  EXPECT_EQ(excerpt(std::string(100'000, 'x'), 10), "xxxxxxx…");
}

TEST(ReportExcerpt, EveryStringOfADocumentIsShortened) {
  const std::string long_text(5000, 'y');
  Json document = {{"a", long_text}, {"b", {1, long_text, {{"c", long_text}}}}, {"d", "short"}};
  shorten_strings(document, 50);
  for (const Json& text : {document["a"], document["b"][1], document["b"][2]["c"]})
    EXPECT_EQ(text, std::string(47, 'y') + "…");
  EXPECT_EQ(document["d"], "short");
  EXPECT_EQ(document["b"][0], 1);
}

}  // namespace
}  // namespace tracer
