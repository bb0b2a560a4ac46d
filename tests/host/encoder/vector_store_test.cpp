// The embedding cache on the disk: what is put comes back bit by bit, whatever else happens to the file.
#include "host/encoder/vector_store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <thread>

#include "host/encoder/vector_cache.h"
#include "tests/host/io_test_util.h"

namespace tracer {
namespace {

using io::contains;
using io::slurp;

constexpr int64_t kDim = 24;

VectorKey key_of(int64_t i) { return vector_key({"test", std::to_string(i)}); }
std::vector<VectorKey> keys_of(int64_t first, int64_t n) {
  std::vector<VectorKey> keys;
  for (int64_t i = first; i < first + n; ++i) keys.push_back(key_of(i));
  return keys;
}
// Any bits, NaN and subnormals among them: the store does not look at them as numbers.
Matrix<float> vectors_of(int64_t first, int64_t n, int64_t dim = kDim) {
  Matrix<float> x(n, dim);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t d = 0; d < dim; ++d) {
      const auto bits = static_cast<uint32_t>((first + i) * 2654435761u + static_cast<uint64_t>(d) * 40503u);
      std::memcpy(&x(i, d), &bits, sizeof bits);
    }
  return x;
}

class VectorStoreTest : public testing::Test {
 protected:
  const io::TempFolder folder_;
  const std::string path_ = folder_.path("vectors.cache");

  VectorStore opened(int64_t most_bytes = 0) const {
    auto store = VectorStore::open(path_, most_bytes);
    EXPECT_TRUE(store.ok()) << store.status().message();
    return std::move(store).value();
  }
  static void put(VectorStore& store, int64_t first, int64_t n) {
    const Status s = store.put(keys_of(first, n), vectors_of(first, n).view());
    ASSERT_TRUE(s.ok()) << s.message();
  }
  // How many of them are there; each that is must be right.
  static int64_t right(VectorStore& store, int64_t first, int64_t n) {
    Matrix<float> out(n, kDim);
    const Matrix<float> expected = vectors_of(first, n);
    std::vector<bool> found;
    const Status s = store.get(keys_of(first, n), out.view(), found);
    EXPECT_TRUE(s.ok()) << s.message();
    int64_t count = 0;
    for (int64_t i = 0; i < n; ++i) {
      if (!found[i]) continue;
      ++count;
      EXPECT_EQ(std::memcmp(out.row(i), expected.row(i), kDim * sizeof(float)), 0) << first + i;
    }
    return count;
  }
  std::string message() const {
    auto store = VectorStore::open(path_, 0);
    EXPECT_FALSE(store.ok());
    return store.ok() ? "" : store.status().message();
  }
  void sql(const std::string& text) const {
    auto db = io::Database::open(path_, io::Database::Mode::kWrite);
    ASSERT_TRUE(db.ok());
    const Status s = db->execute(text);
    ASSERT_TRUE(s.ok()) << s.message();
  }
};

TEST_F(VectorStoreTest, WhatIsPutComesBackBitByBitInThisProcessAndTheNext) {
  for (const int64_t n : {0, 1, 2, 1000}) {
    {
      VectorStore store = opened();
      put(store, 10'000 * n, n);
      EXPECT_EQ(right(store, 10'000 * n, n), n);
    }
    VectorStore store = opened();
    EXPECT_EQ(right(store, 10'000 * n, n), n);
    EXPECT_EQ(right(store, 10'000 * n + n, 5), 0);
  }
}

TEST_F(VectorStoreTest, AKeyIsOneSequenceOfParts) {
  EXPECT_NE(vector_key({"ab", "c"}), vector_key({"a", "bc"}));
  EXPECT_NE(vector_key({"ab"}), vector_key({"a", "b"}));
  EXPECT_NE(vector_key({"a", ""}), vector_key({"a"}));
  EXPECT_EQ(vector_key({"a", "b"}), vector_key({"a", "b"}));
  // sha256("1:a"), by coreutils.
  const VectorKey key = vector_key({"a"});
  EXPECT_EQ(static_cast<unsigned char>(key[0]), 0x41);
  EXPECT_EQ(static_cast<unsigned char>(key[31]), 0x24);
}

TEST_F(VectorStoreTest, PuttingAgainOverwrites) {
  VectorStore store = opened();
  ASSERT_TRUE(store.put(keys_of(0, 3), vectors_of(7, 3).view()).ok());
  put(store, 0, 3);
  EXPECT_EQ(right(store, 0, 3), 3);
  EXPECT_EQ(store.figures()->entries, 3);
}

TEST_F(VectorStoreTest, AnotherLengthOrABadChecksumCountsAsAbsent) {
  {
    VectorStore store = opened();
    put(store, 0, 4);
    Matrix<float> out(1, kDim + 1);
    std::vector<bool> found;
    ASSERT_TRUE(store.get(keys_of(0, 1), out.view(), found).ok());
    EXPECT_FALSE(found[0]);
    EXPECT_EQ(store.damaged(), 1);
  }
  sql("UPDATE entries SET vector = zeroblob(96) WHERE id = 1");
  sql("UPDATE entries SET checksum = checksum + 1 WHERE id = 2");
  sql("UPDATE entries SET vector = substr(vector, 1, 92) WHERE id = 3");
  VectorStore store = opened();
  EXPECT_EQ(right(store, 0, 4), 1);
  EXPECT_EQ(store.damaged(), 3);
  put(store, 0, 4);  // heals
  EXPECT_EQ(right(store, 0, 4), 4);
}

TEST_F(VectorStoreTest, AVectorUnderAnotherKeyFailsItsChecksum) {
  {
    VectorStore store = opened();
    put(store, 0, 2);
  }
  sql("CREATE TEMP TABLE t AS SELECT * FROM entries; DELETE FROM entries;"
      "INSERT INTO entries SELECT 3 - id, key, (SELECT checksum FROM t b WHERE b.id = 3 - t.id), "
      "(SELECT vector FROM t b WHERE b.id = 3 - t.id) FROM t");
  VectorStore store = opened();
  EXPECT_EQ(right(store, 0, 2), 0);
  EXPECT_EQ(store.damaged(), 2);
}

TEST_F(VectorStoreTest, FilesOfSomethingElseAreRefusedAndLeftAlone) {
  folder_.write("vectors.cache", std::string(5000, 'x'));
  EXPECT_TRUE(contains(message(), "vectors.cache: damaged, or no database"));
  EXPECT_EQ(slurp(path_), std::string(5000, 'x'));
  std::filesystem::remove(path_);
  {
    auto db = io::Database::open(path_, io::Database::Mode::kCreate);
    ASSERT_TRUE(db.ok() && db->execute("CREATE TABLE mine(a)").ok());
  }
  const std::string before = slurp(path_);
  EXPECT_TRUE(contains(message(), "a database of something else"));
  EXPECT_EQ(slurp(path_), before);
  std::filesystem::remove(path_);
  { opened(); }
  sql("PRAGMA user_version=2");
  EXPECT_TRUE(contains(message(), "expected an embedding cache of version 1, found 2"));
  EXPECT_EQ(VectorStore::open(folder_.path("no/such/folder"), 0).status().code(), ErrorCode::kIo);
}

TEST_F(VectorStoreTest, DamageAnywhereIsAnErrorOrAMissAndNeverAWrongVector) {
  {
    VectorStore store = opened();
    for (int64_t i = 0; i < 400; i += 50) put(store, i, 50);
  }
  const std::string whole = slurp(path_);
  ASSERT_GT(whole.size(), 40'000u);
  int refused = 0, missing = 0;
  for (size_t at = 0; at < whole.size(); at += 997) {
    for (const int how : {0, 1}) {
      std::string bytes = whole;
      if (how == 0)
        bytes.resize(at);
      else
        for (size_t i = at; i < std::min(at + 40, bytes.size()); ++i) bytes[i] = static_cast<char>(bytes[i] ^ 0x55);
      for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(path_ + end);
      folder_.write("vectors.cache", bytes);
      auto store = VectorStore::open(path_, 0);
      if (!store.ok()) {
        ++refused;
        continue;
      }
      Matrix<float> out(400, kDim);
      const Matrix<float> expected = vectors_of(0, 400);
      std::vector<bool> found;
      if (!store->get(keys_of(0, 400), out.view(), found).ok()) {
        ++refused;
        continue;
      }
      for (int64_t i = 0; i < 400; ++i) {
        if (!found[i])
          ++missing;
        else
          ASSERT_EQ(std::memcmp(out.row(i), expected.row(i), kDim * sizeof(float)), 0) << at << " " << how << " " << i;
      }
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_GT(missing, 0);
}

TEST_F(VectorStoreTest, WhatWasUsedLongestAgoGoesFirst) {
  constexpr int64_t kMost = 1 << 20;
  {
    VectorStore store = opened();
    for (int64_t i = 0; i < 2000; i += 500) put(store, i, 500);
    ASSERT_LT(store.figures()->bytes, kMost);
  }
  {
    VectorStore store = opened();  // a later session uses the first half
    EXPECT_EQ(right(store, 0, 1000), 1000);
  }
  VectorStore store = opened(kMost);
  int64_t next = 2000;
  for (; store.figures()->entries == next; next += 100) {  // a look at the entries would be a use
    put(store, next, 100);
    ASSERT_LE(store.figures()->bytes, kMost);
    ASSERT_LT(next, 100'000);
  }
  EXPECT_EQ(right(store, 0, 1000), 1000);
  EXPECT_LT(right(store, 1000, 100), 100);  // the oldest of the oldest session
  EXPECT_EQ(right(store, 1900, 100), 100);
  EXPECT_EQ(right(store, 2000, next - 2000), next - 2000);
  for (int64_t i = 0; i < 40; ++i) {
    put(store, 200'000 + 100 * i, 100);
    ASSERT_LE(store.figures()->bytes, kMost);
  }
  EXPECT_LT(std::filesystem::file_size(path_), static_cast<uintmax_t>(kMost + (256 << 10)));
}

TEST_F(VectorStoreTest, ALimitBelowOneWriteKeepsNothingAndFailsNothing) {
  VectorStore store = opened(1);
  put(store, 0, 50);
  EXPECT_EQ(right(store, 0, 50), 0);
  put(store, 0, 50);
  EXPECT_EQ(store.figures()->entries, 0);
}

// In a child: puts without end, saying what it has put.
[[noreturn]] void put_without_end(const std::string& path, int64_t first, int said) {
  auto store = VectorStore::open(path, 0);
  if (!store.ok()) ::_exit(3);
  for (int64_t i = first;; i += 20) {
    if (!store->put(keys_of(i, 20), vectors_of(i, 20).view()).ok()) ::_exit(4);
    if (::write(said, &i, sizeof i) != sizeof i) ::_exit(5);
  }
}

TEST_F(VectorStoreTest, TwoProcessesKilledAtAnyInstantLoseNothingThatWasPut) {
  int64_t kept = 0;
  for (int round = 0; round < 25; ++round) {
    pid_t pids[2];
    int ends[2][2];
    for (int p = 0; p < 2; ++p) {
      ASSERT_EQ(::pipe(ends[p]), 0);
      pids[p] = ::fork();
      if (pids[p] == 0) put_without_end(path_, 1'000'000 * (2 * round + p), ends[p][1]);
      ::close(ends[p][1]);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(3 + 7 * round));
    for (const pid_t pid : pids) ::kill(pid, SIGKILL);
    for (const pid_t pid : pids) {
      int status = 0;
      ::waitpid(pid, &status, 0);
      EXPECT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);
    }
    VectorStore store = opened();
    for (int p = 0; p < 2; ++p) {
      for (int64_t first; ::read(ends[p][0], &first, sizeof first) == sizeof first; kept += 20)
        ASSERT_EQ(right(store, first, 20), 20) << first;
      ::close(ends[p][0]);
    }
    EXPECT_EQ(store.damaged(), 0);
  }
  EXPECT_GT(kept, 1000);
  std::printf("kept through 50 kills: %lld vectors\n", static_cast<long long>(kept));
}

TEST_F(VectorStoreTest, ManyProcessesMakeOneFileAtOnce) {
  for (int round = 0; round < 10; ++round) {
    for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(path_ + end);
    std::vector<pid_t> pids;
    for (int p = 0; p < 6; ++p) {
      pids.push_back(::fork());
      if (pids.back() > 0) continue;
      auto store = VectorStore::open(path_, 0);
      if (!store.ok()) {
        std::fprintf(stderr, "%s\n", store.status().message().c_str());
        ::_exit(3);
      }
      ::_exit(store->put(keys_of(100 * p, 10), vectors_of(100 * p, 10).view()).ok() ? 0 : 4);
    }
    for (const pid_t pid : pids) {
      int status = 0;
      ::waitpid(pid, &status, 0);
      EXPECT_EQ(status, 0);
    }
    VectorStore store = opened();
    for (int p = 0; p < 6; ++p) EXPECT_EQ(right(store, 100 * p, 10), 10);
  }
}

TEST_F(VectorStoreTest, ACacheThatCannotBeWrittenIsSaidOnceAndGoesOnReading) {
  std::vector<std::string> said;
  auto cache = VectorCache::open(path_, 0, [&](const std::string& what) { said.push_back(what); });
  ASSERT_TRUE(cache.ok());
  cache->put(keys_of(0, 50), vectors_of(0, 50).view());
  EXPECT_TRUE(said.empty());
  // No file may grow beyond what these have: a full disk, in effect.
  ::signal(SIGXFSZ, SIG_IGN);
  struct rlimit old {};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const struct rlimit small { std::filesystem::file_size(path_), old.rlim_max };
  ::setrlimit(RLIMIT_FSIZE, &small);
  for (int64_t i = 0; i < 5; ++i) cache->put(keys_of(1000 + 500 * i, 500), vectors_of(0, 500).view());
  ::setrlimit(RLIMIT_FSIZE, &old);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_TRUE(contains(said[0], "vectors.cache") && contains(said[0], "not kept in the cache")) << said[0];
  Matrix<float> out(50, kDim);
  std::vector<bool> found;
  cache->get(keys_of(0, 50), out.view(), found);
  EXPECT_EQ(std::count(found.begin(), found.end(), true), 50);
  EXPECT_EQ(said.size(), 1u);
}

TEST_F(VectorStoreTest, ACacheThatCannotBeOpenedIsAWarningAndAWrongFileIsAnError) {
  std::vector<std::string> said;
  const auto warn = [&](const std::string& what) { said.push_back(what); };
  auto none = VectorCache::open(folder_.path("no/such/folder"), 0, warn);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(said.size(), 1u);
  Matrix<float> out(2, kDim);
  std::vector<bool> found;
  none->put(keys_of(0, 2), out.view());
  none->get(keys_of(0, 2), out.view(), found);
  EXPECT_EQ(found, std::vector<bool>(2, false));
  EXPECT_EQ(said.size(), 1u);
  folder_.write("vectors.cache", "no cache");
  EXPECT_EQ(VectorCache::open(path_, 0, warn).status().code(), ErrorCode::kBadInput);
}

}  // namespace
}  // namespace tracer
