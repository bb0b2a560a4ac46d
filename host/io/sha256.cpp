#include "host/io/sha256.h"

#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "host/io/file.h"

namespace tracer::io {
namespace {

struct FreeContext {
  void operator()(EVP_MD_CTX* c) const { EVP_MD_CTX_free(c); }
};
using ContextPtr = std::unique_ptr<EVP_MD_CTX, FreeContext>;

}  // namespace

struct Sha256::Context {
  ContextPtr evp{EVP_MD_CTX_new()};
  bool good = evp && EVP_DigestInit_ex(evp.get(), EVP_sha256(), nullptr) == 1;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::string_view bytes) {
  context_->good = context_->good && EVP_DigestUpdate(context_->evp.get(), bytes.data(), bytes.size()) == 1;
}

std::string Sha256::hex() const {
  ContextPtr copy(EVP_MD_CTX_new());
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (!context_->good || !copy || EVP_MD_CTX_copy_ex(copy.get(), context_->evp.get()) != 1 ||
      EVP_DigestFinal_ex(copy.get(), digest, &size) != 1) {
    return "";
  }
  std::string out;
  for (unsigned i = 0; i < size; ++i) {
    out += "0123456789abcdef"[digest[i] >> 4];
    out += "0123456789abcdef"[digest[i] & 15];
  }
  return out;
}

std::string sha256_hex(std::string_view bytes) {
  Sha256 digest;
  digest.update(bytes);
  return digest.hex();
}

Result<std::string> sha256_file(const std::string& path) {
  Result<UniqueFd> fd = open_for_reading(path);
  if (!fd.ok()) return fd.status();
  Sha256 digest;
  std::vector<char> chunk(size_t{1} << 18);
  for (;;) {
    ssize_t n = ::read(fd->get(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(path, "cannot read", errno);
    if (n == 0) break;
    digest.update({chunk.data(), static_cast<size_t>(n)});
  }
  std::string hex = digest.hex();
  if (hex.empty()) return internal_error(path + ": the crypto library could not compute SHA-256");
  return hex;
}

}  // namespace tracer::io
