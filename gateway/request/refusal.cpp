#include "gateway/request/refusal.h"

#include "gateway/anthropic/errors.h"

#include <string>
#include <string_view>
#include <utility>

namespace spillway {

namespace net = boost::asio;

namespace {

constexpr std::string_view kMessages = "/v1/messages";

bool speaks_anthropic(const http::RefusedRequest& refused) {
  return refused.path.starts_with(kMessages) || !refused.spoken.empty();
}

http::RefusedRequest refused_of(const http::Request& request) {
  return {request.path, request.header(kAnthropicVersion), request.id};
}

}  // namespace

bool speaks_anthropic(const http::Request& request) {
  return speaks_anthropic(refused_of(request));
}

Error told_to(const ChatRequest* asked, const Error& error) {
  const bool by_policy = error.code == Errc::no_route && !error.retry_after;
  const bool full = error.code == Errc::overloaded || error.code == Errc::no_route ||
                    error.code == Errc::rate_limited;
  if (asked == nullptr || asked->service_tier != "flex" || !full) return error;
  Error told = error;
  told.code = Errc::resource_unavailable;
  told.message = "There is nothing free for service_tier flex now" +
                 (by_policy ? " (" + error.message + ")" : std::string()) +
                 ". Try again later, or without it.";
  return told;
}

Error not_json() {
  return {Errc::unsupported_media,
          "the body must be plain JSON: send it with `content-type: application/json` and not "
          "compressed",
          "", std::nullopt};
}

net::awaitable<void> refuse(const Error& error, const wire::ErrorReply& reply,
                            wire::AnswerWriter* writer, http::ResponseWriter& out) {
  if (error.code == Errc::cancelled || error.code == Errc::slow_client) co_return;
  out.failing();
  if (out.head_sent()) {
    std::string last = writer != nullptr ? writer->failed(error) : std::string();
    (void)co_await out.end(std::move(last));
    co_return;
  }
  for (const auto& [name, value] : reply.headers) out.set_header(name, value);
  if (!error.rule.empty()) out.set_header("x-spillway-rule", error.rule);
  (void)co_await out.send(reply.status, "application/json", reply.body);
}

net::awaitable<void> refuse(const Error& error, http::ResponseWriter& out) {
  const wire::ErrorReply reply = wire::error_reply(error);
  co_await refuse(error, reply, nullptr, out);
}

http::ErrorReply protocol_reply(const Error& error, const http::RefusedRequest& refused) {
  const bool anthropic = speaks_anthropic(refused);
  wire::ErrorReply wire =
      anthropic ? anthropic::error_reply(error, refused.id) : wire::error_reply(error);
  if (anthropic) wire.headers.emplace_back("request-id", refused.id);
  http::ErrorReply reply;
  reply.status = wire.status;
  reply.body = std::move(wire.body);
  reply.headers = std::move(wire.headers);
  return reply;
}

net::awaitable<void> refuse(const Error& error, const http::Request& request,
                            http::ResponseWriter& out) {
  const http::ErrorReply reply = protocol_reply(error, refused_of(request));
  for (const auto& [name, value] : reply.headers) out.set_header(name, value);
  std::string type = reply.content_type;
  std::string body = reply.body;
  (void)co_await out.send(reply.status, std::move(type), std::move(body));
}

}  // namespace spillway
