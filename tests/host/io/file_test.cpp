#include "host/io/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/io/output_stream.h"
#include "host/io/sha256.h"
#include "tests/host/io_test_util.h"

namespace tracer::io {
namespace {

size_t files_in(const TempFolder& folder) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder.root()), {}));
}

TEST(Sha256, KnownAnswers) {  // FIPS 180-4 examples
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 digest;
  digest.update("a");
  EXPECT_EQ(digest.hex(), sha256_hex("a"));
  digest.update("bc");
  EXPECT_EQ(digest.hex(), sha256_hex("abc")) << "goes on after hex()";
}

TEST(File, ReadFile) {
  TempFolder folder;
  const std::string bytes = std::string("\0x", 2) + std::string(200000, 'y');
  const std::string path = folder.write("f", bytes);
  EXPECT_EQ(*read_file(path), bytes);
  EXPECT_EQ(*read_file(path, static_cast<int64_t>(bytes.size())), bytes);
  EXPECT_EQ(read_file(path, static_cast<int64_t>(bytes.size()) - 1).status().code(), ErrorCode::kBadInput);
  EXPECT_EQ(read_file(folder.path("absent")).status().code(), ErrorCode::kIo);
  EXPECT_TRUE(contains(read_file(folder.root()).status().message(), "Is a directory"));
}

TEST(File, AtomicWrite) {
  TempFolder folder;
  const std::string path = folder.path("f");
  ASSERT_TRUE(write_file_atomic(path, "one").ok());
  EXPECT_EQ(slurp(path), "one");
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  ASSERT_TRUE(write_file_atomic(path, "two").ok());
  EXPECT_EQ(slurp(path), "two");
  struct stat st;
  ASSERT_EQ(::stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0640u) << "permission bits stay";
  EXPECT_EQ(files_in(folder), 1u) << "no temporary is left";

  std::filesystem::create_symlink("f", folder.path("link"));
  ASSERT_TRUE(write_file_atomic(folder.path("link"), "three").ok());
  EXPECT_EQ(slurp(path), "three");
  EXPECT_TRUE(std::filesystem::is_symlink(folder.path("link")));
}

TEST(File, AbandonedAtomicFileLeavesNothing) {
  TempFolder folder;
  const std::string path = folder.write("f", "old");
  {
    Result<AtomicFile> file = AtomicFile::create(path);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write("new").ok());
    EXPECT_EQ(files_in(folder), 2u);
  }
  EXPECT_EQ(slurp(path), "old");
  EXPECT_EQ(files_in(folder), 1u);
  EXPECT_EQ(write_file_atomic(folder.path("no/folder"), "x").code(), ErrorCode::kIo);
  EXPECT_TRUE(contains(write_file_atomic("/dev/null", "x").message(), "not a regular file"));
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

TEST(OutputStream, WholeLines) {
  TempFolder folder;
  const std::string path = folder.write("out", "something longer that must go");
  Result<OutputStream> out = OutputStream::open(path);
  ASSERT_TRUE(out.ok());
  std::string expected;
  for (int i = 0; i < 20000; ++i) {
    const std::string line(static_cast<size_t>(i % 100), 'x');
    ASSERT_TRUE(out->write_line(line).ok());
    expected += line + "\n";
    if (i % 1000 == 0) {
      const std::string so_far = slurp(path);
      EXPECT_TRUE(so_far.empty() || so_far.back() == '\n');
    }
  }
  ASSERT_TRUE(out->close().ok());
  EXPECT_EQ(slurp(path), expected);
  EXPECT_EQ(OutputStream::open(folder.path("no/folder")).status().code(), ErrorCode::kIo);
}

TEST(OutputStream, FullDisk) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "/dev/full is absent";
  Result<OutputStream> out = OutputStream::open("/dev/full");
  ASSERT_TRUE(out.ok());
  ASSERT_TRUE(out->write_line("x").ok()) << "buffered";
  const Status status = out->flush();
  EXPECT_EQ(status.code(), ErrorCode::kIo);
  EXPECT_TRUE(contains(status.message(), "/dev/full: cannot write: No space left on device"));
  EXPECT_EQ(out->write_line("y").message(), status.message()) << "the error stays";
  EXPECT_EQ(out->close().message(), status.message());
}

// A file size limit makes write() stop short, as a disk that fills up does: 1000 bytes are taken, then EFBIG.
TEST(OutputStream, HalfLineIsCutBack) {
  TempFolder folder;
  const std::string path = folder.path("out");
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limit = {1000, 1000};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(10);
    Result<OutputStream> out = OutputStream::open(path);
    if (!out.ok()) ::_exit(11);
    for (int i = 0; i < 50; ++i) {
      if (!out->write_line(std::string(29, 'x')).ok()) ::_exit(12);
    }
    const Status status = out->flush();
    if (status.code() != ErrorCode::kIo) ::_exit(13);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(slurp(path).size(), 33u * 30u) << "whole lines only";
}

TEST(OutputStream, BrokenPipe) {
  const auto old = ::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const std::string path = "/dev/fd/" + std::to_string(ends[1]);
  Result<OutputStream> out = OutputStream::open(path);
  ASSERT_TRUE(out.ok()) << out.status().message();
  ASSERT_TRUE(out->write_line("x").ok());
  ASSERT_TRUE(out->flush().ok());
  ::close(ends[0]);
  ASSERT_TRUE(out->write_line("y").ok());
  EXPECT_EQ(out->flush().code(), ErrorCode::kBrokenPipe);
  EXPECT_EQ(out->close().code(), ErrorCode::kBrokenPipe);
  ::close(ends[1]);
  ::signal(SIGPIPE, old);
}

TEST(OutputStream, StandardOutputIsNotClosed) {
  TempFolder folder;
  ::fflush(stdout);
  const int saved = ::dup(STDOUT_FILENO);
  const int file = ::open(folder.path("out").c_str(), O_WRONLY | O_CREAT, 0600);
  ::dup2(file, STDOUT_FILENO);
  Result<OutputStream> out = OutputStream::open("-");
  const bool written = out.ok() && out->write_line("x").ok() && out->close().ok();
  const bool open = ::fcntl(STDOUT_FILENO, F_GETFD) >= 0;
  ::dup2(saved, STDOUT_FILENO);
  ::close(saved);
  ::close(file);
  EXPECT_TRUE(written);
  EXPECT_TRUE(open);
  EXPECT_EQ(slurp(folder.path("out")), "x\n");
}

}  // namespace
}  // namespace tracer::io
