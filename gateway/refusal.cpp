#include "gateway/refusal.h"

#include <string>
#include <utility>

namespace spillway {

namespace net = boost::asio;

net::awaitable<void> refuse(const Error& error, const wire::ErrorReply& reply,
                            wire::AnswerWriter* writer, http::ResponseWriter& out) {
  if (error.code == Errc::cancelled || error.code == Errc::slow_client) co_return;
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

http::ErrorReply protocol_reply(const Error& error) {
  wire::ErrorReply wire = wire::error_reply(error);
  http::ErrorReply reply;
  reply.status = wire.status;
  reply.body = std::move(wire.body);
  reply.headers = std::move(wire.headers);
  return reply;
}

}  // namespace spillway
