#include "gateway/anthropic/messages_protocol.h"

#include "gateway/anthropic/errors.h"
#include "gateway/anthropic/message_writer.h"

#include <utility>

namespace spillway::anthropic {

Async<wire::Asked> MessagesProtocol::parse(wire::Call call) const {
  auto read = parse_messages(call.body, limit_);
  if (!read) co_return read.error();
  auto plain = read_chat_(std::move(read->chat));
  if (!plain) co_return plain.error();
  auto chat = std::make_shared<ChatRequest>(**plain);
  if (read->beyond.tools || !read->beyond.words.empty()) chat->needs |= Need::tools;
  chat->media += read->beyond.media;
  chat->searches = read->beyond.searches;
  chat->original = Original{"messages", std::move(call.body), std::move(read->beyond.words)};
  MessageInfo info{std::move(call.request_id), chat->model};
  wire::Asked asked;
  asked.writer = chat->stream ? event_writer(std::move(info)) : body_writer(std::move(info));
  asked.chat = std::move(chat);
  co_return std::move(asked);
}

wire::ErrorReply MessagesProtocol::error(const Error& error, std::string_view request_id) const {
  return error_reply(error, request_id);
}

}  // namespace spillway::anthropic
