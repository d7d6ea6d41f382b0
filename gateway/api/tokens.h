// POST /tokenize and POST /detokenize: the local model's own tokenizer, as vLLM offers it, to
// keys that may send it prompts: with the scope chat or completions, or with no scopes at all. Any
// worker thread.
#pragma once

#include "gateway/fleet/local_target.h"
#include "gateway/http/message.h"
#include "gateway/http/response_writer.h"
#include "gateway/request/pipeline.h"
#include "gateway/request/reception.h"

#include <optional>
#include <string>

namespace spillway {

class Tokens {
 public:
  // Both outlive it. Without a local target both answer model_not_found. `pipeline` may still be
  // empty, until the listener starts.
  Tokens(const Reception& reception, const std::optional<Pipeline>& pipeline)
      : reception_(reception), pipeline_(pipeline) {}

  boost::asio::awaitable<void> tokenize(http::Request raw, http::ResponseWriter& out) const;
  boost::asio::awaitable<void> detokenize(http::Request raw, http::ResponseWriter& out) const;

 private:
  Async<std::string> tokens_of(http::Request& raw, http::ResponseWriter& out) const;
  Result<std::string> text_of(const http::Request& raw, http::ResponseWriter& out) const;
  Result<LocalTarget*> local() const;

  const Reception& reception_;
  const std::optional<Pipeline>& pipeline_;
};

}  // namespace spillway
