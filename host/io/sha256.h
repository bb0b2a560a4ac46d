// SHA-256 (OpenSSL), as lower-case hex: the digest of data files and of the parts of an artifact.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "kernels/status.h"

namespace tracer::io {

// A running digest. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::string_view bytes);
  // The digest of everything so far; more may be added after. 64 hex digits, or "" if the crypto library failed.
  std::string hex() const;

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string sha256_hex(std::string_view bytes);

// Streams the file (any size, constant memory). kIo names the path.
Result<std::string> sha256_file(const std::string& path);

}  // namespace tracer::io
