#include "host/io/trace_reader.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "host/io/timestamp.h"
#include "tests/host/io_test_util.h"

namespace tracer::io {
namespace {

using namespace std::string_literals;

struct Seen {
  std::vector<std::string> rows;  // "position@line input|label" or "position@line !reason" or "error: ..."
  int64_t positions = 0;
};

Seen read(std::string_view bytes, const TraceReaderOptions& options = {}, const std::string& name = "t.jsonl") {
  Seen seen;
  TraceReader reader = TraceReader::from_memory(bytes, name, options);
  for (;;) {
    Result<RowKind> kind = reader.next();
    if (!kind.ok()) {
      seen.rows.push_back("error: " + kind.status().message());
      break;
    }
    if (*kind == RowKind::kEnd) break;
    if (*kind == RowKind::kBad) {
      const BadRow& b = reader.bad();
      seen.rows.push_back(std::to_string(b.position) + "@" + std::to_string(b.line) + " !" + b.reason);
      continue;
    }
    const TraceRow& r = reader.row();
    std::string text = std::to_string(r.position) + "@" + std::to_string(r.line) + " " + std::string(r.input);
    if (r.has_label) text += "|" + std::string(r.label);
    if (r.has_id) text += "|id=" + std::string(r.id);
    if (r.has_ground_truth) text += "|truth=" + std::string(r.ground_truth);
    if (r.has_group) text += "|group=" + std::string(r.group);
    if (!std::isnan(r.timestamp)) text += "|t=" + std::to_string(static_cast<int64_t>(r.timestamp));
    seen.rows.push_back(text);
  }
  seen.positions = reader.positions();
  return seen;
}

using Rows = std::vector<std::string>;

TEST(TraceReader, KeysInTheirOrder) {
  for (const char* key : {"input", "query", "text", "prompt", "question"}) {
    EXPECT_EQ(read("{\""s + key + "\":\"hi\",\"teacher\":\"a\"}").rows, Rows{"0@1 hi|a"}) << key;
  }
  for (const char* key : {"teacher", "teacher_output", "label", "intent", "output", "answer"}) {
    EXPECT_EQ(read("{\"input\":\"hi\",\""s + key + "\":\"a\"}").rows, Rows{"0@1 hi|a"}) << key;
  }
  EXPECT_EQ(read(R"({"answer":"late","question":"late","text":"t","label":"l"})").rows, Rows{"0@1 t|l"});
  EXPECT_EQ(read(R"({"input":null,"text":"t","teacher":null,"label":"l"})").rows, Rows{"0@1 t|l"});
  EXPECT_EQ(read(R"({"input":"first","input":"second","label":"a","label":"b"})").rows, Rows{"0@1 first|a"});
  TraceReaderOptions o;
  o.input_key = "utterance";
  o.label_key = "x.y";
  EXPECT_EQ(read(R"({"input":"no","utterance":"yes","x.y":"l","label":"no"})", o).rows, Rows{"0@1 yes|l"});
  EXPECT_EQ(read(R"({"input":"no","x.y":"l"})", o).rows, Rows{"0@1 !no input (key utterance)"});
}

TEST(TraceReader, Values) {
  const struct {
    const char* line;
    const char* row;
  } cases[] = {
      {R"({"input":"a","label":" b\t"})", "0@1 a|b"},
      {R"({"input":"a","label":7})", "0@1 a|7"},
      {R"({"input":"a","label":1.0})", "0@1 a|1.0"},
      {R"({"input":"a","label":123456789012345678901234567890 })", "0@1 a|123456789012345678901234567890"},
      {R"({"input":"a","label":true})", "0@1 a|true"},
      {R"({"input":"a","label":false , "x":[1,{"y":[]}]})", "0@1 a|false"},
      {R"({"input":"","label":"b"})", "0@1 |b"},
      {R"({"input":"\u00e9\ud83d\ude00\n","label":"b"})", "0@1 \u00e9\U0001F600\n|b"},
      {R"({"in\u0070ut":"a","label":"b"})", "0@1 a|b"},
      {R"({"input":"a","label":"b","id":"x","ground_truth":"c"})", "0@1 a|b|id=x|truth=c"},
      {R"({"input":"a","label":"b","id":12,"ground_truth":[1]})", "0@1 a|b|id=12"},
      {R"({"input":"a","label":"b","id":null})", "0@1 a|b"},
      {R"({"input":"a","label":"b","timestamp":1700000000})", "0@1 a|b|t=1700000000"},
      {R"({"input":"a","label":"b","timestamp":1700000000123})", "0@1 a|b|t=1700000000"},
      {R"({"input":"a","label":"b","timestamp":"2023-11-14T22:13:20Z"})", "0@1 a|b|t=1700000000"},
      {R"({"input":"a","label":"b","timestamp":null})", "0@1 a|b"},
      {"  {\"input\" : \"a\" ,\t\"label\":\"b\"}  ", "0@1 a|b"},
  };
  for (const auto& c : cases) EXPECT_EQ(read(c.line).rows, Rows{c.row}) << c.line;
}

TEST(TraceReader, BadRowsNameTheField) {
  std::string deep = R"({"input":"a","label":"b","x":)" + std::string(200, '[') + std::string(200, ']') + "}";
  const struct {
    std::string line;
    std::string reason;
  } cases[] = {
      {"hello", "not valid JSON"},
      {"[]", "not a JSON object"},
      {"\"x\"", "not a JSON object"},
      {"17", "not a JSON object"},
      {"null", "not a JSON object"},
      {"{", "not valid JSON"},
      {"}", "not valid JSON"},
      {"{}", "no input (none of the keys input, query, text, prompt, question)"},
      {R"({"input":"a"})", "no label (none of the keys teacher, teacher_output, label, intent, output, answer)"},
      {R"({"input":"a","label":null})", "null counts as absent"},
      {R"({"input":5,"label":"b"})", "input \"input\" is not a string"},
      {R"({"text":{},"label":"b"})", "input \"text\" is not a string"},
      {R"({"input":"a","label":["b"]})", "label \"label\" is not a string, number or boolean"},
      {R"({"input":"a","intent":" \n "})", "label \"intent\" is empty"},
      {R"({"input":"a","label":"b","id":{}})", "\"id\" is not a string or number"},
      {R"({"input":"a","label":"b","timestamp":"yesterday"})", "\"timestamp\" is not"},
      {R"({"input":"a","label":"b","timestamp":true})", "\"timestamp\" is not"},
      {R"({"input":"a","label":"b"} x)", "not valid JSON"},
      {R"({"input":"a","label":"b"}{})", "more text after the object"},
      {R"({"input":"a","label":"b",})", "not valid JSON"},
      {R"({"input":"a","label":"b","x":[1,]})", "not valid JSON"},
      {R"({"input":"a","label":"b","x":01})", "a bad number"},
      {R"({"input":"a","label":"b","x":1.})", "a bad number"},
      {R"({"input":"a","label":"b","x":tru})", "not valid JSON"},
      {R"({"input":"a","label":"b","x":truex})", "not valid JSON"},
      {"{\"input\":\"a\",\"label\":\"b\",\"id\":1\v\f}", "not valid JSON"},  // no white space of JSON's
      {"{\"input\":\"a\",\"label\":\"b\",\"x\":true\v}", "not valid JSON"},
      {R"({"input":"a","label":"b","x":nul})", "not valid JSON"},
      {R"({"input":"a","label":"b","x":"\q"})", "a bad escape"},
      {R"({"input":"\ud800","label":"b"})", "a bad escape"},
      {R"({"input":"a","label":"b)", "a string is not closed"},
      {"{\"input\":\"a\x01\",\"label\":\"b\"}", "a control character"},
      {"{\"input\":\"a\xff\",\"label\":\"b\"}", "invalid UTF-8"},
      {"{\"input\":\"a\xc0\x80\",\"label\":\"b\"}", "invalid UTF-8"},
      {"{\"input\":\"a\xed\xa0\x80\",\"label\":\"b\"}", "invalid UTF-8"},
      {"{\"input\":\"a\",\"label\":\"b\",\"x\":\"\xe2\x82\"}", "invalid UTF-8"},
      {"{\"input\":\"a\0\",\"label\":\"b\"}"s, "a zero byte"},
      {deep, "nested deeper than 128"},
  };
  for (const auto& c : cases) {
    const Seen seen = read(c.line + "\n{\"input\":\"next\",\"label\":\"ok\"}\n");
    ASSERT_EQ(seen.rows.size(), 2u) << c.line;
    EXPECT_TRUE(seen.rows[0].starts_with("0@1 !")) << c.line << " gave " << seen.rows[0];
    EXPECT_TRUE(contains(seen.rows[0], c.reason)) << c.line;
    EXPECT_EQ(seen.rows[1], "1@2 next|ok") << c.line;
  }
}

TEST(TraceReader, PositionsSkipBlankLinesOnly) {
  const Seen seen = read("\n{\"input\":\"a\",\"label\":\"x\"}\n \t\r\nbad\n\n{\"input\":\"b\",\"label\":\"y\"}");
  EXPECT_EQ(seen.rows, (Rows{"0@2 a|x", "1@4 !not valid JSON", "2@6 b|y"}));
  EXPECT_EQ(seen.positions, 3);
}

TEST(TraceReader, OptionalLabelAndIgnoredTimestamp) {
  TraceReaderOptions o;
  o.need_label = false;
  o.read_timestamp = false;
  EXPECT_EQ(read(R"({"input":"a"})", o).rows, Rows{"0@1 a"});
  EXPECT_EQ(read(R"({"input":"a","output":{"x":1},"timestamp":"junk"})", o).rows, Rows{"0@1 a"});
  EXPECT_EQ(read(R"({"input":"a","label":" ","id":"7"})", o).rows, Rows{"0@1 a|id=7"});
}

TEST(TraceReader, Groups) {
  TraceReaderOptions o;
  o.group_by = "user";
  EXPECT_EQ(read(R"({"input":"a","label":"b","user":"u"})", o).rows, Rows{"0@1 a|b|group=u"});
  EXPECT_EQ(read(R"({"metadata":{"x":[{}],"user":9},"input":"a","label":"b"})", o).rows, Rows{"0@1 a|b|group=9"});
  EXPECT_EQ(read(R"({"metadata":{"user":"m"},"input":"a","label":"b","user":true})", o).rows,
            Rows{"0@1 a|b|group=true"});
  EXPECT_EQ(read(R"({"metadata":{"user":"m"},"input":"a","label":"b","user":null})", o).rows, Rows{"0@1 a|b|group=m"});
  EXPECT_EQ(read(R"({"metadata":[1],"input":"a","label":"b"})", o).rows, Rows{"0@1 a|b"});
  EXPECT_EQ(read(R"({"input":"a","label":"b","user":[]})", o).rows,
            Rows{"0@1 !group key \"user\" is not a string, number or boolean"});
  o.group_by = "metadata";
  EXPECT_EQ(read(R"({"input":"a","label":"b","metadata":"g"})", o).rows, Rows{"0@1 a|b|group=g"});
}

TEST(TraceReader, LongLine) {
  TraceReaderOptions o;
  o.lines.max_line_bytes = 100;
  const Seen seen = read("{\"input\":\"" + std::string(200, 'x') + "\"}\n{\"input\":\"a\",\"label\":\"b\"}\n", o);
  EXPECT_EQ(seen.rows, (Rows{"0@1 !the line is longer than 100 bytes", "1@2 a|b"}));
}

TEST(TraceReader, GzipDamageStopsReading) {
  const std::string packed = gzip(std::string(100, '\n') + "{\"input\":\"a\",\"label\":\"b\"}\n");
  EXPECT_EQ(read(packed).rows, Rows{"0@101 a|b"});
  EXPECT_TRUE(contains(read(std::string_view(packed).substr(0, packed.size() - 1)).rows.back(), "truncated"));
}

Seen read_csv(std::string_view bytes, TraceReaderOptions options = {}) { return read(bytes, options, "t.CSV"); }

TEST(TraceReaderCsv, Records) {
  const struct {
    std::string bytes;
    Rows rows;
  } cases[] = {
      {"input,label\na,b\n", {"0@2 a|b"}},
      {"\xEF\xBB\xBFlabel,text\r\nb,a\r\n", {"0@2 a|b"}},
      {"label , x, question\nb,,a", {"0@2 a|b"}},
      {"input,label\n\"a,\"\"q\"\"\",\"b\"\n", {"0@2 a,\"q\"|b"}},
      {"input,label\n\"two\r\nlines\n\nfour\",b\nc,d\n", {"0@2 two\nlines\n\nfour|b", "1@6 c|d"}},
      {"input,label\na \"quoted\" word,b\n", {"0@2 a \"quoted\" word|b"}},
      {"input,label\n\n  \na,b\n\n", {"0@4 a|b"}},
      {"\"input\",\"label\"\n,b\n", {"0@2 |b"}},
      {"input,label\n\"\",b\n", {"0@2 |b"}},
      {"id,input,label,ground_truth,timestamp\n7,a,b,c,1700000000\n,a,b,,\n",
       {"0@2 a|b|id=7|truth=c|t=1700000000", "1@3 a|b"}},
      {"input,label\na\na,b,c\na,b\n", {"0@2 !1 cells; the header has 2", "1@3 !3 cells; the header has 2", "2@4 a|b"}},
      {"input,label\na, \na,b\n", {"0@2 !the label is empty", "1@3 a|b"}},
      {"input,label\na\xff,b\na,b\n", {"0@2 !invalid UTF-8", "1@3 a|b"}},
      {"input,label\na\0,b\na,b\n"s, {"0@2 !holds a zero byte", "1@3 a|b"}},
      {"input,label,timestamp\na,b,soon\n", {"0@2 !\"timestamp\" is not a number of seconds or an ISO 8601 time"}},
      {"input,label\n", {}},
      {"", {"error: t.CSV: empty; expected a CSV header"}},
      {"a,label\n",
       {"error: t.CSV: the CSV header has no input column (looked for input, query, text, prompt, question)"}},
      {"input,b\n",
       {"error: t.CSV: the CSV header has no label column (looked for teacher, teacher_output, label, intent, output, "
        "answer)"}},
      {"input,label,label\n", {"error: t.CSV: the CSV header has column label twice"}},
      {"\"input", {"error: t.CSV: line 1, the CSV header: a quote is never closed"}},
  };
  for (const auto& c : cases) EXPECT_EQ(read_csv(c.bytes).rows, c.rows) << c.bytes;
}

TEST(TraceReaderCsv, BrokenQuotesRejectEachLineTheySwallow) {
  EXPECT_EQ(read_csv("input,label\n\"a\"x,b\nc,d\n").rows,
            (Rows{"0@2 !a quote is closed in the middle of a cell", "1@3 c|d"}));
  EXPECT_EQ(read_csv("input,label\n\"a,b\nc,d\n\ne,\"f\ng,h\n").rows,
            (Rows{"0@2 !a quote is closed in the middle of a cell", "1@3 !a quote is closed in the middle of a cell",
                  "2@5 !a quote is closed in the middle of a cell", "3@6 g|h"}));
  EXPECT_EQ(read_csv("input,label\n\"a,b\nc,d\n").rows,
            (Rows{"0@2 !a quote is never closed", "1@3 !a quote is never closed"}));
  std::string bytes = "input,label\n\"open,x\n";
  for (int i = 0; i < 1499; ++i) bytes += "a,b\n";
  const Seen seen = read_csv(bytes);
  ASSERT_EQ(seen.rows.size(), 1500u);
  EXPECT_EQ(seen.rows[999], "999@1001 !a quote is not closed within the limits of a record");
  EXPECT_EQ(seen.rows[1000], "1000@1002 a|b") << "reading goes on after the bound";
  EXPECT_EQ(seen.positions, 1500);
}

TEST(TraceReaderCsv, OptionsAndFormat) {
  TraceReaderOptions o;
  o.group_by = "user";
  o.need_label = false;
  EXPECT_EQ(read_csv("user,input\nu,a\n,b\n", o).rows, (Rows{"0@2 a|group=u", "1@3 b"}));
  EXPECT_EQ(read(gzip("input,label\na,b\n"), {}, "x.csv.gz").rows, Rows{"0@2 a|b"});
  o = {};
  o.format = TraceFormat::kCsv;
  EXPECT_EQ(read("input,label\na,b\n", o, "standard input").rows, Rows{"0@2 a|b"});
  o.format = TraceFormat::kJsonl;
  EXPECT_EQ(read(R"({"input":"a","label":"b"})", o, "x.csv").rows, Rows{"0@1 a|b"});
}

TEST(Timestamp, Table) {
  const struct {
    const char* text;
    double seconds;
  } good[] = {
      {"0", 0},
      {"1700000000.5", 1700000000.5},
      {"1e9", 1e9},
      {"-5", -5},
      {"100000000000", 1e11},
      {"1700000000123", 1700000000.123},
      {"1700000000123456", 1700000000.123456},
      {"1700000000123456789", 1700000000.123456789},
      {"1970-01-01", 0},
      {"1969-12-31T23:59:59Z", -1},
      {"2024-02-29T12:00:00Z", 1709208000},
      {"2024-02-29t12:00:00z", 1709208000},
      {"2024-02-29 12:00", 1709208000},
      {"2024-02-29T14:00:00+02:00", 1709208000},
      {"2024-02-29T14:00:00 +0200", 1709208000},
      {"2024-02-29T06:30:00-05:30", 1709208000},
      {"2024-02-29T12:00:00.25Z", 1709208000.25},
      {"2024-02-29T12:00:00,25", 1709208000.25},
      {"2016-12-31T23:59:60Z", 1483228800},
      {" 2024-02-29T12:00:00Z ", 1709208000},
      {"20240101", 20240101},  // digits alone are seconds
  };
  for (const auto& c : good) {
    const std::optional<double> t = parse_timestamp(c.text);
    ASSERT_TRUE(t) << c.text;
    EXPECT_NEAR(*t, c.seconds, 1e-5) << c.text;
  }
  for (const char* text : {"",
                           " ",
                           "now",
                           "nan",
                           "inf",
                           "1e999",
                           "12x",
                           "2023-02-29",
                           "2024-13-01",
                           "2024-1-1",
                           "2024-01-01T",
                           "2024-01-01T1:00",
                           "2024-01-01T24:00:00",
                           "2024-01-01T12:60",
                           "2024-01-01T12:00:61",
                           "2024-01-01T12:00:00.",
                           "2024-01-01T12:00:00+2",
                           "2024-01-01T12:00:00+24:00",
                           "2024-01-01T12:00:00Zx",
                           "2024-01-01 12:00:00 UTC"}) {
    EXPECT_FALSE(parse_timestamp(text)) << text;
  }
}

}  // namespace
}  // namespace tracer::io
