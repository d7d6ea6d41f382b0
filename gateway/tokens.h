// POST /tokenize and POST /detokenize: the local model's own tokenizer, as vLLM offers it. Any
// worker thread.
#pragma once

#include "gateway/edition.h"
#include "gateway/http/message.h"
#include "gateway/http/response_writer.h"
#include "gateway/local_target.h"
#include "gateway/pipeline.h"

#include <optional>
#include <string>

namespace spillway {

class Tokens {
 public:
  // Without a local target both answer model_not_found. `pipeline` may still be empty, until the
  // listener starts.
  Tokens(const CurrentEdition& editions, const std::optional<Pipeline>& pipeline)
      : editions_(editions), pipeline_(pipeline) {}

  boost::asio::awaitable<void> tokenize(http::Request raw, http::ResponseWriter& out) const;
  boost::asio::awaitable<void> detokenize(http::Request raw, http::ResponseWriter& out) const;

 private:
  Result<std::string> tokens_of(http::Request& raw) const;
  Result<std::string> text_of(const http::Request& raw) const;
  // For whom it may ask.
  Result<LocalTarget*> asked(const http::Request& raw) const;

  const CurrentEdition& editions_;
  const std::optional<Pipeline>& pipeline_;
};

}  // namespace spillway
