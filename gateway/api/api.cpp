#include "gateway/api/api.h"

#include "gateway/openai/chat_request.h"
#include "gateway/request/measure.h"
#include "gateway/request/refusal.h"

#include <functional>
#include <string>
#include <utility>

namespace spillway {
namespace {

constexpr std::chrono::milliseconds kAskAgain{1'000};

// GET /health: without a key, for load balancers that know no other way to ask.
boost::asio::awaitable<void> healthy(http::Request, http::ResponseWriter& out) {
  std::string body = R"({"status":"ok"})";
  (void)co_await out.send(200, "application/json", std::move(body));
}

boost::asio::awaitable<void> loading(http::Request raw, http::ResponseWriter& out) {
  if (raw.path == "/health") {
    std::string body = R"({"status":"loading"})";
    (void)co_await out.send(503, "application/json", std::move(body));
    co_return;
  }
  const Error error{Errc::overloaded, "The local model is being loaded. Try again soon.", "",
                    kAskAgain};
  co_await refuse(error, raw, out);
}

// Anthropic's clients look for the request's id under their own name.
http::Handler with_request_id(http::Handler handler) {
  return [handler = std::move(handler)](http::Request raw, http::ResponseWriter& out) {
    out.set_header("request-id", raw.id);
    return handler(std::move(raw), out);
  };
}

}  // namespace

http::Handler once(std::function<bool()> ready, http::Handler handler) {
  return [ready = std::move(ready), handler = std::move(handler)](http::Request raw,
                                                                  http::ResponseWriter& out) {
    return ready() ? handler(std::move(raw), out) : loading(std::move(raw), out);
  };
}

Api::Api(Doors doors)
    : pipeline_(doors.pipeline),
      models_(doors.models),
      chats_(doors.chats),
      tokens_(doors.reception, doors.pipeline),
      chat_(&doors.chats),
      messages_(openai::parse_chat, anthropic::Limit::required, &call_notes_),
      prompts_(openai::parse_chat, anthropic::Limit::none),
      count_tokens_(doors.reception, doors.pipeline, prompts_),
      archive_(doors.disk, doors.shelf, doors.conversations, std::move(doors.past)),
      responses_(openai::parse_chat, archive_),
      compact_(responses_),
      conversation_api_(doors.reception, doors.disk, doors.conversations),
      response_api_({doors.reception, archive_, responses_, speak(responses_),
                     speak_for(responses_), std::bind_front(&Api::count, this), doors.reading}),
      response_socket_({doors.reception.editions(), archive_, responses_,
                        std::bind_front(&Api::speak, this), std::move(doors.open_socket)}) {}

http::Routes Api::routes() const {
  http::Routes routes(protocol_reply, kAnthropicVersion);
  routes.add("POST", "/v1/chat/completions", speak(chat_));
  chats_.add_to(routes);
  routes.add("POST", "/v1/messages", with_request_id(speak(messages_)));
  routes.add("POST", "/v1/messages/count_tokens",
             with_request_id(std::bind_front(&CountTokens::answer, &count_tokens_)));
  routes.add("POST", "/v1/completions", speak(completions_));
  routes.add("POST", "/v1/embeddings", speak(embeddings_));
  routes.add("POST", "/v1/moderations", speak(moderations_));
  for (const char* path : {"/v1/rerank", "/v2/rerank", "/rerank"})
    routes.add("POST", path, speak(rerank_));
  routes.add("POST", "/tokenize", std::bind_front(&Tokens::tokenize, &tokens_));
  routes.add("POST", "/detokenize", std::bind_front(&Tokens::detokenize, &tokens_));
  routes.add("GET", "/health", healthy);
  routes.add("GET", "/v1/models", std::bind_front(&Models::list, &models_));
  routes.add("GET", "/v1/models/{id}", std::bind_front(&Models::retrieve, &models_));
  conversation_api_.add_to(routes);
  response_api_.add_to(routes);
  routes.add("POST", "/v1/responses/compact", speak(compact_));
  routes.add("GET", "/v1/responses", std::bind_front(&ResponseSocket::serve, &response_socket_));
  return routes;
}

Errands Api::errands() const {
  return {{"/v1/chat/completions", speak_for(chat_)},
          {"/v1/completions", speak_for(completions_)},
          {"/v1/embeddings", speak_for(embeddings_)},
          {"/v1/moderations", speak_for(moderations_)},
          {"/v1/responses", speak_for(responses_)}};
}

Async<int> Api::count(std::shared_ptr<const ChatRequest> chat, std::string tenant) const {
  const auto edition = pipeline_->doors().editions.get();
  co_return co_await prompt_tokens(*edition, pipeline_->doors().local, std::move(chat),
                                   std::move(tenant));
}

Errand Api::speak_for(const wire::Protocol& protocol) const {
  return [this, &protocol](OnBehalf whose, http::Request raw, http::ResponseWriter& out) {
    return pipeline_->serve_as(std::move(whose), protocol, std::move(raw), out);
  };
}

http::Handler Api::speak(const wire::Protocol& protocol) const {
  return [this, &protocol](http::Request raw, http::ResponseWriter& out) {
    return pipeline_->serve(protocol, std::move(raw), out);
  };
}

}  // namespace spillway
