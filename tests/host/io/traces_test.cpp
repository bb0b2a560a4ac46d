#include "host/io/traces.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <set>

#include "host/io/sha256.h"
#include "tests/host/io_test_util.h"

namespace tracer::io {
namespace {

std::string row(const std::string& input, const std::string& label, const std::string& more = "") {
  return "{\"input\":\"" + input + "\",\"teacher\":\"" + label + "\"" + more + "}\n";
}

std::string message_of(const Result<TraceFile>& r) { return r.ok() ? "no error" : r.status().message(); }

TEST(ReadTraces, LabelsSortedBytewiseAndEverythingAligned) {
  TempFolder folder;
  const std::string bytes = row("one", "b", ",\"id\":\"i1\"") + "\n" + row("Two", "Z") + "broken\n" +
                            row("  tWO ", "a", ",\"timestamp\":10,\"id\":3") + row("four", "\xc3\xa9") +
                            row("five", "b");
  const std::string path = folder.write("t.jsonl", bytes);
  TraceReadOptions options;
  options.max_bad_ratio = 0.5;
  options.rejects_path = folder.path("rejects.jsonl");
  Result<TraceFile> file = read_traces(path, options);
  ASSERT_TRUE(file.ok()) << file.status().message();
  const Traces& t = file->traces;
  EXPECT_EQ(t.labels, (std::vector<std::string>{"Z", "a", "b", "\xc3\xa9"}));
  EXPECT_EQ(t.label, (std::vector<int32_t>{2, 0, 1, 3, 2}));
  EXPECT_EQ(t.line, (std::vector<int64_t>{1, 3, 5, 6, 7}));
  EXPECT_EQ(file->position, (std::vector<int64_t>{0, 1, 3, 4, 5}));
  EXPECT_EQ(file->positions, 6);
  EXPECT_EQ(file->bad, 1);
  EXPECT_EQ(file->first_bad, "line 4: not valid JSON");
  EXPECT_EQ(t.id, (std::vector<std::string>{"i1", "", "3", "", ""}));
  ASSERT_EQ(t.timestamp.size(), 5u);
  EXPECT_TRUE(std::isnan(t.timestamp[0]));
  EXPECT_EQ(t.timestamp[2], 10);
  EXPECT_TRUE(std::isnan(t.timestamp[4]));
  EXPECT_TRUE(t.group.empty());
  EXPECT_EQ(t.text_hash[1], t.text_hash[2]);
  EXPECT_NE(t.text_hash[0], t.text_hash[1]);
  EXPECT_EQ(file->sha256, sha256_hex(bytes));
  EXPECT_EQ(slurp(options.rejects_path), "{\"line\":4,\"error\":\"not valid JSON\"}\n");
}

TEST(ReadTraces, NoRejectsFileWithoutBadRows) {
  TempFolder folder;
  TraceReadOptions options;
  options.rejects_path = folder.path("rejects.jsonl");
  Result<TraceFile> file = read_traces(folder.write("t.jsonl", row("a", "b")), options);
  ASSERT_TRUE(file.ok());
  EXPECT_FALSE(std::filesystem::exists(options.rejects_path));
  EXPECT_TRUE(file->traces.id.empty());
  EXPECT_TRUE(file->traces.timestamp.empty());
}

TEST(ReadTraces, Groups) {
  TempFolder folder;
  TraceReadOptions options;
  options.reader.group_by = "u";
  const std::string path = folder.write("t.jsonl", row("a", "x", ",\"u\":\"p\"") + row("b", "x") +
                                                       row("c", "x", ",\"metadata\":{\"u\":\"q\"}") + row("d", "x") +
                                                       row("e", "x", ",\"u\":\"p\""));
  Result<TraceFile> file = read_traces(path, options);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->traces.group, (std::vector<int64_t>{0, 2, 1, 3, 0})) << "rows without a group are alone";
  options.reader.group_by = "typo";
  EXPECT_TRUE(contains(message_of(read_traces(path, options)), "no row has the group key typo"));
}

TEST(ReadTraces, MaxBadRatioAtItsBoundary) {
  TempFolder folder;
  for (int bad = 0; bad <= 3; ++bad) {
    std::string bytes;
    for (int i = 0; i < 200; ++i) bytes += i % 60 < 1 && i / 60 < bad ? "{}\n" : row("a", "b");
    TraceReadOptions options;  // 1 %
    options.rejects_path = folder.path("rejects");
    Result<TraceFile> file = read_traces(folder.write("t.jsonl", bytes), options);
    EXPECT_EQ(file.ok(), bad <= 2) << bad;
    if (file.ok()) continue;
    EXPECT_EQ(file.status().code(), ErrorCode::kBadInput);
    EXPECT_TRUE(contains(file.status().message(), folder.path("t.jsonl") + ": 3 of 200 rows are bad, more than"));
    EXPECT_TRUE(contains(file.status().message(), "ratio of 0.01 allowed; first, line 1: no input"));
    EXPECT_TRUE(contains(file.status().message(), options.rejects_path));
    EXPECT_TRUE(contains(slurp(options.rejects_path), "{\"line\":61,\"error\":\"no input"));
  }
}

TEST(ReadTraces, StopsEarlyWhenHopeless) {
  TempFolder folder;
  std::string bytes;
  for (int i = 0; i < 5000; ++i) bytes += i % 2 == 0 ? "junk\n" : row("a", "b");
  Result<TraceFile> file = read_traces(folder.write("t.jsonl", bytes), {});
  EXPECT_TRUE(contains(message_of(file), "so far"));
  EXPECT_TRUE(contains(message_of(file), "of 1001 rows"));

  // A clump at the head that the rest of the file makes up for.
  bytes.clear();
  for (int i = 0; i < 5000; ++i) bytes += i < 45 ? "junk\n" : row("a", "b");
  EXPECT_TRUE(read_traces(folder.write("u.jsonl", bytes), {}).ok());
}

TEST(ReadTraces, Refusals) {
  TempFolder folder;
  TraceReadOptions options;
  options.max_bad_ratio = 1;
  EXPECT_TRUE(contains(message_of(read_traces(folder.write("e", ""), options)), "no rows"));
  EXPECT_TRUE(contains(message_of(read_traces(folder.write("b", "\n \n"), options)), "no rows"));
  EXPECT_TRUE(
      contains(message_of(read_traces(folder.write("j", "x\ny\n"), options)), "no good row; first bad one, line 1"));
  EXPECT_EQ(read_traces(folder.path("absent"), options).status().code(), ErrorCode::kIo);
  options.rejects_path = folder.write("same", "junk\n" + row("a", "b"));
  EXPECT_TRUE(contains(message_of(read_traces(options.rejects_path, options)), "the trace file itself"));
  EXPECT_EQ(slurp(options.rejects_path), "junk\n" + row("a", "b"));
  options.rejects_path = folder.path("no/such/folder");
  EXPECT_EQ(read_traces(folder.path("same"), options).status().code(), ErrorCode::kIo);
  for (double ratio : {-0.1, 1.1, std::nan("")}) {
    options.max_bad_ratio = ratio;
    EXPECT_FALSE(read_traces(folder.path("same"), options).ok()) << ratio;
  }
}

TEST(TextHash, MatchesPublishedXxh64) {
  // From the xxHash reference: xxhsum and the specification's examples.
  EXPECT_EQ(xxh64(""), 0xEF46DB3751D8E999u);
  EXPECT_EQ(xxh64("a"), 0xD24EC4F1A98C6E5Bu);
  EXPECT_EQ(xxh64("abc"), 0x44BC2CF5AD770999u);
  EXPECT_EQ(xxh64("Nobody inspects the spammish repetition"), 0xFBCEA83C8A378BF1u);
}

TEST(TextHash, Normalisation) {
  const uint64_t h = normalized_text_hash("hello world");
  for (const char* same : {"Hello World", " hello\t\nworld ", "HELLO  WORLD\r\n", "hello\vworld"}) {
    EXPECT_EQ(normalized_text_hash(same), h) << same;
  }
  for (const char* other : {"helloworld", "hello world!", "hello w\xc3\xb6rld", ""}) {
    EXPECT_NE(normalized_text_hash(other), h) << other;
  }
  std::set<uint64_t> all;
  for (int i = 0; i < 100000; ++i) all.insert(normalized_text_hash("text number " + std::to_string(i)));
  EXPECT_EQ(all.size(), 100000u);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

// 200,000 rows of 500 bytes are 100 MB of text; what is kept of them is 28 bytes a row.
TEST(ReadTraces, DoesNotHoldTheFile) {
  if (kSanitized) GTEST_SKIP() << "memory use is the sanitizer's here";
  TempFolder folder;
  {
    std::ofstream out(folder.path("big.jsonl"), std::ios::binary);
    const std::string filler(450, 'x');
    for (int i = 0; i < 200000; ++i) out << row(filler + std::to_string(i), "label " + std::to_string(i % 50));
  }
  const std::string path = folder.path("big.jsonl");
  ASSERT_GT(std::filesystem::file_size(path), 95'000'000u);
  const pid_t child = ::fork();
  if (child == 0) {
    struct rusage before, after;
    ::getrusage(RUSAGE_SELF, &before);
    Result<TraceFile> file = read_traces(path, {});
    ::getrusage(RUSAGE_SELF, &after);
    if (!file.ok() || file->traces.rows() != 200000) ::_exit(255);
    ::_exit(static_cast<int>(std::min<long>((after.ru_maxrss - before.ru_maxrss) / 1024, 200)));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_LT(WEXITSTATUS(status), 25) << "MiB more at the peak";
}

// The real files, where they are.
TEST(ReadTraces, SharedData) {
  const char* data = std::getenv("TRACER_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "TRACER_TEST_DATA does not name the folder of real data";
  const std::string full = std::string(data) + "/clinc_domains_llm_train.jsonl";
  if (!std::filesystem::exists(full)) GTEST_SKIP() << full << " is absent";
  Result<TraceFile> file = read_traces(full, {});
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->traces.rows(), 6500);
  EXPECT_EQ(file->traces.labels.size(), 10u);
  EXPECT_EQ(file->bad, 0);
}

}  // namespace
}  // namespace tracer::io
