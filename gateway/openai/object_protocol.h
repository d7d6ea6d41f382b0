// POST /v1/embeddings, /v1/moderations and /v1/rerank as a Protocol: one question, and one object
// that answers it.
//
// What is asked is checked as far as all providers agree and handed on as it is. The answer comes
// back as the provider gave it, but for the model's name and for embeddings in another encoding
// than the client asked for, which are written anew.
#pragma once

#include "gateway/wire/protocol.h"

namespace spillway::openai {

class ObjectProtocol final : public wire::Protocol {
 public:
  // Requires: an endpoint that does not converse.
  explicit ObjectProtocol(Endpoint endpoint) : endpoint_(endpoint) {}

  Async<wire::Asked> parse(wire::Call call) const override;
  wire::ErrorReply error(const Error& error, std::string_view request_id) const override;

 private:
  Result<wire::Asked> asked_by(wire::Call& call) const;

  const Endpoint endpoint_;
};

}  // namespace spillway::openai
