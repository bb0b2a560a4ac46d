// Vectors by an encoder on this machine, through a cache where there is one.
#pragma once

#include <memory>
#include <string>

#include "engine/text/text_encoder.h"
#include "host/encoder/text_source.h"
#include "host/encoder/vector_cache.h"

namespace tracer {

// A vector's last bits depend on the texts it shares a group with, on the instruction set and on libtorch. What the
// cache gives must be what the encoder would give, to the bit: a log is known again by the digest of its vectors. So
// the key of a vector holds all of these, and a group is taken from the cache whole or computed whole.
class LocalText : public TextSource {
 public:
  // prompt: put in front of every text. made_by: whatever decides the vectors beside the texts, the prompt included, as
  // one text. cache: nullptr for none.
  LocalText(TextEncoder encoder, std::string prompt, std::string made_by, std::shared_ptr<VectorCache> cache);

  Status encode(std::span<const std::string> texts, HostMatrix<float> out,
                const std::function<void(int64_t)>& done) override;
  bool groups_matter() const override { return true; }
  Counts counts() const override { return counts_; }

 private:
  TextEncoder encoder_;
  const std::string prompt_;
  const std::string made_by_;
  const std::shared_ptr<VectorCache> cache_;
  Counts counts_;
};

// The libtorch and instruction sets that this process computes vectors with.
std::string arithmetic_here(std::string_view torch);

}  // namespace tracer
