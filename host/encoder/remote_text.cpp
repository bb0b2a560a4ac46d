#include "host/encoder/remote_text.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/distinct_texts.h"
#include "engine/text/transformer.h"

namespace tracer {
namespace {

constexpr std::string_view kProbe = "tracer";

std::string made_by(const EmbedApi& api) {
  const EmbedApiOptions& o = api.options();
  // Without a model's name the address stands for it.
  return std::string("server vectors 1 ") + to_string(o.dialect) + " " + std::to_string(o.dimensions) + " " +
         (o.model.empty() ? api.name() : o.model);
}

}  // namespace

RemoteText::RemoteText(std::unique_ptr<EmbedClient> client, std::shared_ptr<VectorCache> cache)
    : client_(std::move(client)), cache_(std::move(cache)), made_by_(made_by(client_->api())) {}

std::string RemoteText::name() const {
  const EmbedApi& api = client_->api();
  return api.options().model.empty() ? api.name() : api.options().model;
}

Result<EncoderIdentity> RemoteText::identify() {
  // The dimension, as a vector of one number: of the probe itself the cache could only say whether it has it.
  const VectorKey key[] = {vector_key({made_by_, "dimension"})};
  Matrix<float> dimension(1, 1);
  std::vector<bool> found(1, false);
  if (cache_) cache_->get(key, dimension.view(), found);
  if (found[0]) {
    client_->expect_dimension(static_cast<int64_t>(dimension(0, 0)));
  } else {
    TRACER_RETURN_IF_ERROR(client_->embed({&kProbe, 1}, {}, [](int64_t, HostMatrix<const float>) {}));
    dimension(0, 0) = static_cast<float>(client_->dimension());  // exact: at most 2^20
    if (cache_) cache_->put(key, dimension.view());
  }
  EncoderIdentity identity;
  const EmbedApi& api = client_->api();
  identity.name = name() == kUnknownEncoder ? api.name() : name();
  identity.precision = to_string(Precision::kFloat32);
  identity.dimension = client_->dimension();
  identity.path = api.name();
  identity.dialect = to_string(api.options().dialect);
  identity.digest = server_digest(identity.dialect, identity.name, identity.dimension);
  return identity;
}

Status RemoteText::encode(std::span<const std::string> texts, HostMatrix<float> out,
                          const std::function<void(int64_t)>& done) {
  const auto n = static_cast<int64_t>(texts.size());
  const int64_t before = rows_;
  rows_ += n;
  const DistinctTexts equal = distinct_texts(texts);
  const std::vector<int64_t>& distinct = equal.first;
  std::vector<std::string_view> missing;
  std::vector<int64_t> where, rows;  // of the missing: in the group, and over all
  std::vector<VectorKey> keys;
  const auto ask_for = [&](int64_t i) {
    missing.push_back(texts[i]);
    where.push_back(i);
    rows.push_back(before + i + 1);
  };
  if (cache_) {
    std::vector<VectorKey> all;
    for (const int64_t i : distinct) all.push_back(vector_key({made_by_, "text", texts[i]}));
    Matrix<float> vectors(static_cast<int64_t>(distinct.size()), out.cols);
    std::vector<bool> found;
    cache_->get(all, vectors.view(), found);
    for (size_t d = 0; d < distinct.size(); ++d) {
      if (found[d]) {
        std::copy_n(vectors.row(static_cast<int64_t>(d)), out.cols, out.row(distinct[d]));
        ++found_;
      } else {
        ask_for(distinct[d]);
        keys.push_back(all[d]);
      }
    }
  } else {
    for (const int64_t i : distinct) ask_for(i);
  }
  if (done && n > static_cast<int64_t>(missing.size())) done(n - static_cast<int64_t>(missing.size()));
  const Status asked = client_->embed(missing, rows, [&](int64_t at, HostMatrix<const float> vectors) {
    for (int64_t i = 0; i < vectors.rows; ++i) std::copy_n(vectors.row(i), out.cols, out.row(where[at + i]));
    if (cache_)
      cache_->put(std::span(keys).subspan(static_cast<size_t>(at), static_cast<size_t>(vectors.rows)), vectors);
    made_ += vectors.rows;
    if (done) done(vectors.rows);
  });
  TRACER_RETURN_IF_ERROR(asked);
  for (int64_t i = 0; i < n; ++i)
    if (const int64_t first = distinct[equal.of[i]]; first != i) std::copy_n(out.row(first), out.cols, out.row(i));
  return {};
}

TextSource::Counts RemoteText::counts() const {
  return {made_, found_, client_->counts().requests, client_->counts().retried};
}

}  // namespace tracer
