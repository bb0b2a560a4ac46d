#include "host/io/line_reader.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <vector>

#include "host/io/sha256.h"
#include "tests/host/io_test_util.h"

namespace tracer::io {
namespace {

// Every line as text, problems as "<long>" and "<nul>"; an error as its message.
std::vector<std::string> lines_of(LineReader reader) {
  std::vector<std::string> out;
  Line line;
  for (int64_t number = 1;; ++number) {
    Result<bool> more = reader.next(line);
    if (!more.ok()) {
      EXPECT_FALSE(reader.next(line).ok()) << "an error must stay";
      out.push_back("error: " + more.status().message());
      return out;
    }
    if (!*more) {
      EXPECT_FALSE(*reader.next(line)) << "the end must stay";
      return out;
    }
    EXPECT_EQ(line.number, number);
    out.push_back(line.problem == LineProblem::kTooLong ? "<long>"
                  : line.problem == LineProblem::kNul   ? "<nul>"
                                                        : std::string(line.text));
  }
}

std::vector<std::string> lines_of(std::string_view bytes, int64_t max = 1 << 20) {
  LineReaderOptions options;
  options.max_line_bytes = max;
  return lines_of(LineReader::from_memory(bytes, "test", options));
}

using Lines = std::vector<std::string>;
using namespace std::string_literals;

TEST(LineReader, Edges) {
  const struct {
    std::string bytes;
    Lines lines;
  } cases[] = {
      {"", {}},
      {"\n", {""}},
      {"a", {"a"}},
      {"a\n", {"a"}},
      {"a\n\nb", {"a", "", "b"}},
      {"a\r\nb\r\n", {"a", "b"}},
      {"a\r", {"a"}},
      {"a\rb\n", {"a\rb"}},
      {"\r\n", {""}},
      {"\xEF\xBB\xBFx\n", {"x"}},
      {"\xEF\xBB\xBF", {}},
      {"\xEF\xBB", {"\xEF\xBB"}},
      {"a\n\xEF\xBB\xBFx\n", {"a", "\xEF\xBB\xBFx"}},
      {"a\0b\nc"s, {"<nul>", "c"}},
      {"\x1f", {"\x1f"}},
      {"\x1f\n", {"\x1f"}},
      {"\xFF\xFEx\0"s, {"error: test: the text is UTF-16; expected UTF-8"}},
  };
  for (const auto& c : cases) EXPECT_EQ(lines_of(c.bytes), c.lines) << testing::PrintToString(c.bytes);
}

TEST(LineReader, LengthLimitIsExact) {
  for (int64_t limit : {0, 1, 10, 1 << 18, (1 << 18) + 1, 300000}) {
    const std::string fits(static_cast<size_t>(limit), 'x'), over(static_cast<size_t>(limit) + 1, 'x');
    for (const char* end : {"\n", "\r\n"}) {
      EXPECT_EQ(lines_of(fits + end + "y", std::max<int64_t>(limit, 1)), (Lines{fits, "y"})) << limit;
    }
    EXPECT_EQ(lines_of(fits, limit), limit == 0 ? Lines{} : Lines{fits}) << limit;
    EXPECT_EQ(lines_of(over + "\n" + fits, limit), limit == 0 ? Lines{"<long>"} : (Lines{"<long>", fits})) << limit;
    EXPECT_EQ(lines_of(over + over + over, limit), Lines{"<long>"}) << limit;
  }
}

TEST(LineReader, LinesAcrossManyBuffers) {
  std::string bytes;
  Lines expected;
  for (size_t i = 0; i < 3000; ++i) {
    expected.push_back(std::string(i * 37 % 1000, static_cast<char>('a' + i % 26)));
    bytes += expected.back() + (i % 3 == 0 ? "\r\n" : "\n");
  }
  EXPECT_EQ(lines_of(bytes), expected);
  EXPECT_EQ(lines_of(gzip(bytes)), expected);
}

TEST(LineReader, Gzip) {
  const std::string two = gzip("a\nb") + gzip("c\nd\n");
  EXPECT_EQ(lines_of(two), (Lines{"a", "bc", "d"}));
  EXPECT_EQ(lines_of(two + std::string(600, '\0')), (Lines{"a", "bc", "d"})) << "zero padding";
  EXPECT_EQ(lines_of(gzip("") + gzip("") + gzip("x")), Lines{"x"});
  EXPECT_EQ(lines_of(gzip("")), Lines{});
  EXPECT_EQ(lines_of(gzip("\xEF\xBB\xBFx")), Lines{"x"});
  EXPECT_TRUE(contains(lines_of(two + "junk").back(), "not gzip after a gzip stream"));
}

TEST(LineReader, TruncatedGzipIsAnErrorAtEveryByte) {
  const std::string whole = gzip("first\n" + std::string(2000, 'x') + "\nlast\n");
  for (size_t n = 2; n < whole.size(); ++n) {
    const Lines lines = lines_of(std::string_view(whole).substr(0, n));
    ASSERT_FALSE(lines.empty()) << n;
    EXPECT_TRUE(contains(lines.back(), "truncated")) << n;
  }
  std::string damaged = whole;
  damaged[damaged.size() - 6] ^= 1;  // in the checksum
  EXPECT_TRUE(contains(lines_of(damaged).back(), "damaged"));
}

TEST(LineReader, FilesStandardInputAndDigest) {
  TempFolder folder;
  const std::string bytes = gzip("one\ntwo\n");
  const std::string path = folder.write("x.gz", bytes);
  LineReaderOptions options;
  options.digest = true;
  Result<LineReader> reader = LineReader::open(path, options);
  ASSERT_TRUE(reader.ok());
  Line line;
  while (*reader->next(line)) {
  }
  EXPECT_EQ(reader->sha256(), sha256_hex(bytes));
  EXPECT_EQ(*sha256_file(path), sha256_hex(bytes));

  const int saved = ::dup(STDIN_FILENO);
  ASSERT_NE(::freopen(path.c_str(), "rb", stdin), nullptr);
  EXPECT_EQ(lines_of(std::move(LineReader::open("-")).value()), (Lines{"one", "two"}));
  ::dup2(saved, STDIN_FILENO);
  ::close(saved);

  Result<LineReader> absent = LineReader::open(folder.path("absent"));
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(absent.status().code(), ErrorCode::kIo);
  EXPECT_TRUE(contains(absent.status().message(), folder.path("absent") + ": cannot open: No such file"));
  EXPECT_TRUE(contains(LineReader::open(folder.root()).status().message(), "Is a directory"));
}

}  // namespace
}  // namespace tracer::io
