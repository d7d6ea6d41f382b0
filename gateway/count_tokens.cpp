#include "gateway/count_tokens.h"

#include "gateway/measure.h"
#include "gateway/object_handler.h"
#include "gateway/refusal.h"

#include <string>
#include <utility>

namespace spillway {

namespace net = boost::asio;

net::awaitable<void> CountTokens::answer(http::Request raw, http::ResponseWriter& out) const {
  const std::string id = raw.id;
  const auto tokens = co_await count(std::move(raw));
  if (!tokens) {
    const auto reply = protocol_.error(tokens.error(), id);
    co_await refuse(tokens.error(), reply, nullptr, out);
    co_return;
  }
  std::string body = R"({"input_tokens":)" + std::to_string(*tokens) + "}";
  (void)co_await out.send(200, "application/json", std::move(body));
}

Async<int> CountTokens::count(http::Request raw) const {
  const auto edition = pipeline_->doors().editions.get();
  const auto caller = caller_of(*edition, raw);
  if (!caller) co_return caller.error();
  wire::Call call;
  call.request_id = raw.id;
  call.tenant = caller->tenant();
  call.body = std::move(raw.body);
  auto asked = co_await protocol_.parse(std::move(call));
  if (!asked) co_return asked.error();
  co_return prompt_tokens(*edition, pipeline_->doors().local, asked->chat);
}

}  // namespace spillway
