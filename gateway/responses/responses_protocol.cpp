#include "gateway/responses/responses_protocol.h"

#include "gateway/responses/chat_words.h"
#include "gateway/responses/response_writer.h"

#include <functional>
#include <utility>

namespace spillway::responses {

Async<wire::Asked> ResponsesProtocol::parse(wire::Call call) const {
  auto understood = co_await understand(call);
  if (!understood) co_return understood.error();
  wire::Asked asked;
  asked.writer = response_writer(*understood, std::move(call.tenant), archive_);
  asked.chat = std::move(understood->chat);
  co_return std::move(asked);
}

Async<Conversation> ResponsesProtocol::converse(const wire::Call& call) const {
  std::function<Result<ResponseRequest>()> read = [&call] {
    return parse_response_request(call.body, turn_of(call.request_id));
  };
  auto request = co_await wire::read_in(call.room, call.tenant, call.body.size(), std::move(read));
  if (!request) co_return request.error();
  Archive::From from{request->previous, request->conversation, request->references,
                     call.body.size(), call.room};
  auto past = co_await archive_.past(call.tenant, std::move(from));
  if (!past) co_return past.error();
  const std::size_t bytes =
      call.body.size() + Archive::bytes_of(past->turns) + Archive::bytes_of(past->referenced);
  std::function<Result<Conversation>()> say = [&] { return said_in_chat(*request, *past); };
  co_return co_await wire::read_in(call.room, call.tenant, bytes, std::move(say));
}

Result<Conversation> ResponsesProtocol::said_in_chat(ResponseRequest& request,
                                                     Archive::Past& past) const {
  request.input = with_referenced(request.input, past.referenced);
  auto body = chat_body(request, past.turns);
  if (!body) return body.error();
  auto plain = read_chat_(std::move(body->json));
  if (!plain) return plain.error();
  Conversation conversation;
  conversation.chat = std::make_shared<ChatRequest>(**plain);
  if (body->tools) conversation.chat->needs |= Need::tools;
  conversation.chat->hints = std::move(body->unsaid);
  conversation.request = std::move(request);
  conversation.before = std::move(past.turns);
  conversation.told = std::move(past.told);
  conversation.leave = std::move(past.leave);
  return conversation;
}

Async<Understood> ResponsesProtocol::understand(const wire::Call& call) const {
  auto conversation = co_await converse(call);
  if (!conversation) co_return conversation.error();
  conversation->chat->original = Original{"responses", call.body, ""};
  Understood understood;
  understood.info.turn = turn_of(call.request_id);
  understood.info.id = response_id(understood.info.turn);
  understood.info.model = conversation->request.model;
  understood.info.created = call.created;
  understood.info.settings = conversation->request.settings;
  understood.request = std::move(conversation->request);
  understood.chat = std::move(conversation->chat);
  understood.told = std::move(conversation->told);
  understood.leave = std::move(conversation->leave);
  co_return std::move(understood);
}

wire::ErrorReply ResponsesProtocol::error(const Error& error, std::string_view) const {
  return wire::error_reply(in_words_of_responses(error));
}

Kept kept_of(const Understood& understood, std::string tenant, std::string body, bool ended) {
  Kept kept;
  kept.id = understood.info.id;
  kept.tenant = std::move(tenant);
  kept.created = understood.info.created;
  kept.previous = understood.request.previous;
  kept.body = std::move(body);
  kept.input = understood.request.input;
  kept.ended = ended;
  kept.conversation = understood.request.conversation;
  kept.told = understood.told;
  return kept;
}

}  // namespace spillway::responses
