// GET /v1/models and GET /v1/models/{id}: what this key may ask for under the edition in force, in
// Anthropic's words for who names its version. Any worker thread.
#pragma once

#include "gateway/fleet/edition.h"
#include "gateway/http/message.h"
#include "gateway/http/response_writer.h"

#include <cstdint>

namespace spillway {

class Models {
 public:
  // `since` is the `created` of all models: when this gateway started, in Unix seconds.
  Models(const CurrentEdition& editions, std::int64_t since) : editions_(editions), since_(since) {}

  boost::asio::awaitable<void> list(http::Request raw, http::ResponseWriter& out) const;
  boost::asio::awaitable<void> retrieve(http::Request raw, http::ResponseWriter& out) const;

 private:
  const CurrentEdition& editions_;
  const std::int64_t since_;
};

}  // namespace spillway
