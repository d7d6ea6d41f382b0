// Answers how long a prompt is, without asking anybody for more: POST /v1/messages/count_tokens.
//
// Exact where the local engine may serve the model, an estimate elsewhere. Any worker thread.
#pragma once

#include "gateway/http/message.h"
#include "gateway/http/response_writer.h"
#include "gateway/request/pipeline.h"
#include "gateway/request/reception.h"
#include "gateway/wire/protocol.h"

#include <optional>

namespace spillway {

class CountTokens {
 public:
  // `protocol` reads the request and says what is wrong with it. All must outlive this.
  CountTokens(const Reception& reception, std::optional<Pipeline>& pipeline,
              const wire::Protocol& protocol)
      : reception_(reception), pipeline_(pipeline), protocol_(protocol) {}

  boost::asio::awaitable<void> answer(http::Request raw, http::ResponseWriter& out) const;

 private:
  Async<int> count(http::Request raw, const Visitor& visitor) const;

  const Reception& reception_;
  std::optional<Pipeline>& pipeline_;
  const wire::Protocol& protocol_;
};

}  // namespace spillway
