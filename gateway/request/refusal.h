// How an error reaches the client, in its protocol's words: as JSON while the head is still ours to
// choose, as an error event once the stream has begun, not at all when nobody listens any more.
#pragma once

#include "backends/contract/error.h"
#include "gateway/http/message.h"
#include "gateway/http/response_writer.h"
#include "gateway/http/server.h"
#include "gateway/wire/protocol.h"

#include <string_view>

namespace spillway {

// What Anthropic's clients say with every request.
inline constexpr const char* kAnthropicVersion = "anthropic-version";

// Whether its client is one of Anthropic's: by its path, or by what it says on every other.
bool speaks_anthropic(const http::Request& request);

// What the client of a request, if it could be read, is told of a failure: who asked to be served
// only if that is cheap (service_tier: flex) learns from a full house that nothing was free for it.
Error told_to(const ChatRequest* asked, const Error& error);

// What is sent with a body that is no JSON.
Error not_json();

// `writer` says it inside a stream that has begun. It may be null where none can have.
boost::asio::awaitable<void> refuse(const Error& error, const wire::ErrorReply& reply,
                                    wire::AnswerWriter* writer, http::ResponseWriter& out);

// The same where nothing has begun and OpenAI's words are spoken.
boost::asio::awaitable<void> refuse(const Error& error, http::ResponseWriter& out);

// …and where the request says whose words those are.
boost::asio::awaitable<void> refuse(const Error& error, const http::Request& request,
                                    http::ResponseWriter& out);

// The same for what the HTTP layer refuses before any handler runs; `spoken` is
// kAnthropicVersion's.
http::ErrorReply protocol_reply(const Error& error, const http::RefusedRequest& refused);

}  // namespace spillway
