// What is asked of embedding servers, and what is taken for an answer.
#include "host/encoder/embed_api.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/host/io_test_util.h"

namespace tracer {
namespace {

using io::contains;
using Json = nlohmann::json;

EmbedApiOptions options(EmbedDialect dialect, const std::string& url, const std::string& model = "") {
  EmbedApiOptions o;
  o.dialect = dialect;
  o.url = url;
  o.model = model;
  return o;
}

TEST(EmbedApi, ThePathTellsTheDialect) {
  const std::pair<const char*, const char*> cases[] = {{"https://api.openai.com/v1/embeddings", "openai"},
                                                       {"http://h:8000/v1", "openai"},
                                                       {"http://h:8000/v1/", "openai"},
                                                       {"http://h/openai/embeddings?api-version=3", "openai"},
                                                       {"http://h:8080/embed", "tei"},
                                                       {"http://h:8080/embed/", "tei"},
                                                       {"http://h/a/embed?x=/v1", "tei"},
                                                       {"http://h/vectors", "json"},
                                                       {"http://h/", "json"},
                                                       {"http://h", "json"},
                                                       {"http://embed", "json"},
                                                       {"http://h/embedding", "json"}};
  for (const auto& [url, dialect] : cases) EXPECT_STREQ(to_string(embed_dialect_of(url)), dialect) << url;
  for (const char* name : {"openai", "tei", "json"}) EXPECT_STREQ(to_string(*parse_embed_dialect(name)), name);
  for (const char* name : {"", "auto", "OpenAI", "json "}) EXPECT_FALSE(parse_embed_dialect(name)) << name;
}

TEST(EmbedApi, AddressesAreTakenOrRefused) {
  const auto refused = [](const std::string& url, const std::string& model = "m") {
    auto api = EmbedApi::make(options(EmbedDialect::kOpenAi, url, model));
    return api.ok() ? std::string("taken") : api.status().message();
  };
  for (const char* url : {"", "h/v1", "ftp://h/v1", "http://", "https:///v1", "http:/h", "HTTP://h"})
    EXPECT_TRUE(contains(refused(url), "http:// or https://")) << url;
  for (const char* url : {"http://user:pass@h/v1", "https://k@h", "http://@h"}) {
    EXPECT_TRUE(contains(refused(url), "user name")) << url;
    EXPECT_FALSE(contains(refused(url), "pass")) << url;
  }
  EXPECT_TRUE(contains(refused("http://h/v1", ""), "model"));
  EXPECT_FALSE(contains(refused("h/v1?key=secret"), "secret"));
  const auto made = [](EmbedDialect dialect, const std::string& url) {
    return std::move(EmbedApi::make(options(dialect, url, "m"))).value();
  };
  EXPECT_EQ(made(EmbedDialect::kOpenAi, "http://h/v1/").url(), "http://h/v1/embeddings");
  EXPECT_EQ(made(EmbedDialect::kOpenAi, "http://h/v1?key=s").url(), "http://h/v1/embeddings?key=s");
  EXPECT_EQ(made(EmbedDialect::kOpenAi, "http://h/v1?key=s").name(), "http://h/v1/embeddings");
  EXPECT_EQ(made(EmbedDialect::kOpenAi, "http://h/embeddings").url(), "http://h/embeddings");
  EXPECT_EQ(made(EmbedDialect::kTei, "http://h/v1").url(), "http://h/v1");
  EXPECT_EQ(made(EmbedDialect::kJson, "http://h/path/@x").url(), "http://h/path/@x");
}

TEST(EmbedApi, BodiesAreThoseOfTheServers) {
  const std::string_view texts[] = {"a", "q\"\\\n\x01é", ""};
  const Json list = {"a", "q\"\\\n\x01é", ""};
  const auto body = [&](EmbedApiOptions o) { return Json::parse(EmbedApi::make(std::move(o))->body(texts)); };
  EmbedApiOptions o = options(EmbedDialect::kOpenAi, "http://h/v1", "the \"model\"");
  EXPECT_EQ(body(o), (Json{{"input", list}, {"model", "the \"model\""}}));
  o.dimensions = 256, o.base64 = true;
  EXPECT_EQ(body(o),
            (Json{{"input", list}, {"model", "the \"model\""}, {"dimensions", 256}, {"encoding_format", "base64"}}));
  EXPECT_EQ(body(options(EmbedDialect::kTei, "http://h/embed", "m")), (Json{{"inputs", list}, {"truncate", true}}));
  o = options(EmbedDialect::kJson, "http://h/x");
  EXPECT_EQ(body(o), (Json{{"texts", list}}));
  o.model = "m", o.input_key = "in\"put";
  EXPECT_EQ(body(o), (Json{{"in\"put", list}, {"model", "m"}}));
}

TEST(EmbedApi, TheKeyIsInOneHeaderAndInNoMessage) {
  EmbedApiOptions o = options(EmbedDialect::kTei, "http://h/embed");
  EXPECT_EQ(EmbedApi::make(o)->headers(), (std::vector<std::string>{"Content-Type: application/json"}));
  o.key = "sk-1";
  const auto api = EmbedApi::make(o);
  EXPECT_EQ(api->headers().back(), "Authorization: Bearer sk-1");
  EXPECT_EQ(api->without_key("bad key sk-1, sk-1!"), "bad key ***, ***!");
  EXPECT_EQ(api->without_key("nothing"), "nothing");
}

struct Answer {
  EmbedDialect dialect;
  std::string body;
  std::string wrong;  // part of the fault; "": taken as {1, 2}, {3, 4}
  int64_t row = -1;
};

TEST(EmbedAnswer, TableOfEdges) {
  using enum EmbedDialect;
  const std::string one = R"({"index":0,"embedding":[1,2]})", two = R"({"index":1,"embedding":[3,4]})";
  const auto data = [](const std::string& items) {
    return R"({"object":"list","data":[)" + items + R"(],"model":"m"})";
  };
  const Answer cases[] = {
      {kOpenAi, data(one + "," + two), ""},
      {kOpenAi, data(two + "," + one), ""},
      {kOpenAi, data(R"({"embedding":[1,2]},{"embedding":[3,4]})"), ""},
      {kOpenAi, data(R"({"index":0,"embedding":"AACAPwAAAEA="},{"index":1,"embedding":"AABAQAAAgEA="})"), ""},
      {kOpenAi, data(R"({"index":0,"embedding":"AACAPwAAAEA"},{"index":1,"embedding":[3,4]})"), ""},
      {kOpenAi, "\n " + data(one + "," + two) + " \n", ""},
      {kOpenAi, data(one), "expected 2 vectors, one for each text, found 1"},
      {kOpenAi, data(""), "found 0"},
      {kOpenAi, data(one + "," + two + "," + two), "found 3"},
      {kOpenAi, data(one + "," + one), "index\" of two", 0},
      {kOpenAi, data(one + R"(,{"embedding":[3,4]})"), ""},
      {kOpenAi, data(two + R"(,{"embedding":[3,4]})"), "index\" of two", 1},
      {kOpenAi, data(one + R"(,{"index":2,"embedding":[3,4]})"), "no place of 2", 1},
      {kOpenAi, data(one + R"(,{"index":-1,"embedding":[3,4]})"), "no place of 2", 1},
      {kOpenAi, data(one + R"(,{"index":"1","embedding":[3,4]})"), "no place of 2", 1},
      {kOpenAi, data(one + R"(,{"index":1.5,"embedding":[3,4]})"), "no place of 2", 1},
      {kOpenAi, data(one + R"(,{"index":18446744073709551615,"embedding":[3,4]})"), "no place of 2", 1},
      {kOpenAi, data(one + R"(,{"index":1})"), "no \"embedding\"", 1},
      {kOpenAi, data(one + ",7"), "no \"embedding\"", 1},
      {kOpenAi, data(one + R"(,{"index":1,"embedding":{}})"), "no array of numbers", 1},
      {kOpenAi, data(one + R"(,{"index":1,"embedding":"?"})"), "nor base64", 1},
      {kOpenAi, data(one + R"(,{"index":1,"embedding":"AABAQAAAgE"})"), "nor base64", 1},
      {kOpenAi, data(one + R"(,{"index":1,"embedding":"AABAQAAAgEA=="})"), "", -1},
      {kOpenAi, data(one + R"(,{"index":1,"embedding":"A=BAQAAAgEA="})"), "nor base64", 1},
      {kOpenAi, data(one + R"(,{"index":1,"embedding":"AADAfwAAgEA="})"), "number 1 of the vector is not finite", 1},
      {kOpenAi, data(one + R"(,{"index":1,"embedding":""})"), "a vector of 0 numbers", 1},
      {kOpenAi, data(one + R"(,{"index":1,"embedding":[3]})"), "dimension 1, where 2 is expected", 1},
      {kOpenAi, "[[1,2],[3,4]]", "no array \"data\""},
      {kOpenAi, R"({"data":{"a":1}})", "no array \"data\""},
      {kOpenAi, R"({"error":{"message":"model is loading"}})", "no array \"data\": model is loading"},
      {kTei, "[[1,2],[3,4]]", ""},
      {kTei, "[[1.0,2e0],[0.3e1,4]]", ""},
      {kTei, R"({"embeddings":[[1,2],[3,4]]})", "is no array of vectors"},
      {kTei, R"({"error":"overloaded"})", "overloaded"},
      {kTei, "[1,2]", "no array of numbers", 0},
      {kTei, "[[1,2],null]", "no array of numbers", 1},
      {kTei, "[[1,2],[3,null]]", "number 2 of the vector is no number", 1},
      {kTei, "[[1,2],[3,\"4\"]]", "number 2 of the vector is no number", 1},
      {kTei, "[[1,2],[3,true]]", "number 2 of the vector is no number", 1},
      {kTei, "[[1,2],[3,[4]]]", "number 2 of the vector is no number", 1},
      {kTei, "[[1,2],[1e39,4]]", "number 1 of the vector is not finite", 1},
      {kTei, "[[1,2],[3,-1e300]]", "number 2 of the vector is not finite", 1},
      {kTei, "[[1,2],[0,-0.0]]", "a vector of zeros", 1},
      {kTei, "[[],[]]", "a vector of 0 numbers", 0},
      {kTei, "[[1,2],[3,4,5]]", "dimension 3, where 2 is expected", 1},
      {kTei, "[[1,2],[3,4]", "no JSON"},
      {kTei, "[[1,2],[3,NaN]]", "no JSON: it holds NaN or Infinity"},
      {kTei, "[[1,2],[3,1e999]]", "no JSON"},
      {kTei, "", "no JSON"},
      {kTei, "null", "is no array"},
      {kTei, "<html>", "no JSON"},
      {kTei, std::string(100'000, '['), "no JSON"},
      {kJson, "[[1,2],[3,4]]", ""},
      {kJson, R"({"model":"m","embeddings":[[1,2],[3,4]]})", ""},
      {kJson, R"({"embeddings":[[1,2]]})", "found 1"},
      {kJson, R"({"vectors":[[1,2],[3,4]]})", "has none as \"embeddings\""},
      {kJson, R"({"embeddings":7})", "has none as \"embeddings\""},
  };
  for (const Answer& c : cases) {
    Matrix<float> out;
    const auto fault = parse_embeddings(c.dialect, c.body, 2, 2, out);
    const std::string shown = std::string(to_string(c.dialect)) + " " + c.body.substr(0, 200);
    if (c.wrong.empty()) {
      ASSERT_FALSE(fault) << shown << ": " << fault->what;
      ASSERT_EQ(out.rows(), 2) << shown;
      for (int i = 0; i < 4; ++i) EXPECT_EQ(out(i / 2, i % 2), static_cast<float>(i + 1)) << shown;
    } else {
      ASSERT_TRUE(fault) << shown;
      EXPECT_TRUE(contains(fault->what, c.wrong)) << shown;
      EXPECT_EQ(fault->row, c.row) << shown;
      EXPECT_EQ(fault->no_json, c.wrong.rfind("no JSON", 0) == 0) << shown;
    }
  }
}

TEST(EmbedAnswer, AnyDimensionIsTakenUntilOneIsKnown) {
  Matrix<float> out;
  EXPECT_FALSE(parse_embeddings(EmbedDialect::kTei, "[[1,2,3]]", 1, 0, out));
  EXPECT_EQ(out.cols(), 3);
  EXPECT_TRUE(parse_embeddings(EmbedDialect::kTei, "[[1,2,3]]", 1, 4, out));
  EXPECT_TRUE(parse_embeddings(EmbedDialect::kTei, "[[1,2,3],[1,2]]", 2, 0, out));
}

TEST(EmbedAnswer, NumbersAreTheNearestFloats) {
  Matrix<float> out;
  ASSERT_FALSE(parse_embeddings(EmbedDialect::kTei, "[[0.1,1e-45,16777217,-3.4028234663852886e38,1e-60]]", 1, 5, out));
  EXPECT_EQ(out(0, 0), 0.1f);
  EXPECT_EQ(out(0, 1), std::numeric_limits<float>::denorm_min());
  EXPECT_EQ(out(0, 2), 16777216.0f);
  EXPECT_EQ(out(0, 3), std::numeric_limits<float>::lowest());
  EXPECT_EQ(out(0, 4), 0.0f);
}

TEST(EmbedAnswer, Base64IsFloat32BitByBit) {
  // Every length of padding: 1, 2, 3 and 4 numbers; python: base64.b64encode(numpy.arange(1, n + 1, dtype="<f4")).
  const char* coded[] = {"AACAPw==", "AACAPwAAAEA=", "AACAPwAAAEAAAEBA", "AACAPwAAAEAAAEBAAACAQA=="};
  for (int n = 1; n <= 4; ++n) {
    Matrix<float> out;
    const std::string body = std::string(R"({"data":[{"embedding":")") + coded[n - 1] + "\"}]}";
    ASSERT_FALSE(parse_embeddings(EmbedDialect::kOpenAi, body, 1, n, out)) << n;
    for (int i = 0; i < n; ++i) EXPECT_EQ(out(0, i), static_cast<float>(i + 1)) << n;
  }
}

}  // namespace
}  // namespace tracer
