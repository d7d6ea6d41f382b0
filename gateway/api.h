// What the API's listener serves: which path speaks which protocol.
//
// Made by the composition root, which outlives it; its handlers run on any worker.
#pragma once

#include "gateway/anthropic/messages_protocol.h"
#include "gateway/count_tokens.h"
#include "gateway/errand.h"
#include "gateway/http/routes.h"
#include "gateway/models.h"
#include "gateway/openai/chat_protocol.h"
#include "gateway/pipeline.h"

#include <optional>

namespace spillway {

class Api {
 public:
  // `pipeline` may still be empty, until the listener starts.
  Api(std::optional<Pipeline>& pipeline, const Models& models);

  // Requires: this outlives the routes.
  http::Routes routes() const;

  // What may be asked for on somebody's behalf, too. Requires: this outlives them.
  Errands errands() const;

 private:
  http::Handler speak(const wire::Protocol& protocol) const;
  Errand speak_for(const wire::Protocol& protocol) const;

  std::optional<Pipeline>& pipeline_;
  const Models& models_;
  const openai::ChatProtocol chat_;
  const anthropic::MessagesProtocol messages_;
  const anthropic::MessagesProtocol prompts_;
  const CountTokens count_tokens_;
};

}  // namespace spillway
