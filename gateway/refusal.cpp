#include "gateway/refusal.h"

#include "gateway/openai/errors.h"

#include <string>
#include <utility>

namespace spillway {

boost::asio::awaitable<void> refuse(const Error& error, http::ResponseWriter& out) {
  if (error.code == Errc::cancelled || error.code == Errc::slow_client) co_return;
  if (out.head_sent()) {
    std::string event = openai::stream_error_event(error);
    (void)co_await out.end(std::move(event));
    co_return;
  }
  openai::ErrorReply reply = openai::to_wire(error);
  for (const auto& [name, value] : reply.headers) out.set_header(name, value);
  if (!error.rule.empty()) out.set_header("x-spillway-rule", error.rule);
  (void)co_await out.send(reply.status, "application/json", std::move(reply.body));
}

http::ErrorReply protocol_reply(const Error& error) {
  openai::ErrorReply wire = openai::to_wire(error);
  http::ErrorReply reply;
  reply.status = wire.status;
  reply.body = std::move(wire.body);
  reply.headers = std::move(wire.headers);
  return reply;
}

}  // namespace spillway
