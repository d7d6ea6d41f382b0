// What a client reads back from POST /v1/messages: Anthropic's events while tokens come, or one
// message object.
//
// On the request's coroutine; no I/O. Where the target speaks messages itself, its own bytes go out
// as they came (Delta::original).
#pragma once

#include "gateway/wire/protocol.h"

#include <memory>
#include <string>

namespace spillway::anthropic {

struct MessageInfo {
  std::string request_id;
  std::string model;  // What the client asked for.
};

std::unique_ptr<wire::AnswerWriter> event_writer(MessageInfo info);
std::unique_ptr<wire::AnswerWriter> body_writer(MessageInfo info);

}  // namespace spillway::anthropic
