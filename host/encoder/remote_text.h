// Vectors by an embedding server, through a cache where there is one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "host/encoder/embed_client.h"
#include "host/encoder/encoder_identity.h"
#include "host/encoder/text_source.h"
#include "host/encoder/vector_cache.h"

namespace tracer {

// A server's vector is taken to be a function of the text alone: equal texts of a group are asked for once, and a
// text's key in the cache is its own. What a server has answered is in the cache before more is asked for, so that a
// run that was killed asks again for what was in flight, concurrency x batch texts at most.
class RemoteText : public TextSource {
 public:
  // cache: nullptr for none.
  RemoteText(std::unique_ptr<EmbedClient> client, std::shared_ptr<VectorCache> cache);

  // Asks for one vector, where the cache has not got it, to see what the server gives. Before the first encode().
  Result<EncoderIdentity> identify();

  Status encode(std::span<const std::string> texts, HostMatrix<float> out,
                const std::function<void(int64_t)>& done) override;
  bool groups_matter() const override { return false; }
  Counts counts() const override;

 private:
  std::string name() const;  // of the model, or the address

  const std::unique_ptr<EmbedClient> client_;
  const std::shared_ptr<VectorCache> cache_;
  const std::string made_by_;  // all that decides a vector beside its text, for the cache
  int64_t rows_ = 0;           // texts seen, for messages
  int64_t made_ = 0, found_ = 0;
};

}  // namespace tracer
