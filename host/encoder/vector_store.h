// Vectors on the disk by the digest of what they were made of: a SQLite file that many processes may use at once, and
// that a kill at any instant leaves whole.
//
// File, version 1 (application_id "TREC", user_version 1, WAL, synchronous=NORMAL):
//   entries(id, key, checksum, vector)  vector: float32, little-endian; checksum: xxh64 of the vector, seeded by the
//   key uses(id, used)                      the last session that put or got the entry; apart, because it is rewritten
//   sessions(last)                      counts those that opened the file and wrote
// A cut of power may lose what was put last, nothing else.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/io/sqlite.h"
#include "kernels/matrix.h"
#include "kernels/status.h"

namespace tracer {

using VectorKey = std::array<char, 32>;  // a SHA-256

// Belongs to one thread.
class VectorStore {
 public:
  // Makes the file where there is none. most_bytes: of the pages in use; above it the entries whose last use is longest
  // ago go (of one session the oldest first), a thirty-second part of the limit at a time; 0: no limit. The file itself
  // may be larger by one put() and the log of SQLite. kIo: cannot be opened or written. kBadInput: no such cache (a
  // file of something else is left alone), damaged, or of a later version.
  static Result<VectorStore> open(const std::string& path, int64_t most_bytes);

  // found[i]: whether the vector of keys[i] is there, and then row i of `out` is it. An entry of another length or with
  // a wrong checksum counts as absent. That an entry was used is noted where that is possible.
  Status get(std::span<const VectorKey> keys, HostMatrix<float> out, std::vector<bool>& found);
  // Keeps all of them or none, in one transaction; one that is there is overwritten. Waits at most 10 s for others.
  Status put(std::span<const VectorKey> keys, HostMatrix<const float> vectors);

  struct Figures {
    int64_t entries = 0, bytes = 0;  // bytes: of the pages in use
  };
  Result<Figures> figures();
  int64_t damaged() const { return damaged_; }  // entries that get() passed over for their checksum or length

 private:
  VectorStore() = default;
  Result<bool> is_new();
  Status make();
  Status use_log();
  Status prepare();
  Result<int64_t> number(const std::string& sql);
  Result<int64_t> used_bytes();
  Status in_transaction(const std::function<Status()>& work);
  Status begin_session();
  Status touch(const std::vector<int64_t>& ids);
  Status evict();

  std::string path_;
  int64_t most_bytes_ = 0;
  int64_t session_ = 0;  // 0: nothing written yet
  int64_t damaged_ = 0;
  std::unique_ptr<io::Database> db_;
  io::Statement find_, add_, use_;
};

}  // namespace tracer
