#include "gateway/api/count_tokens.h"

#include "gateway/request/measure.h"
#include "gateway/request/refusal.h"

#include <string>
#include <utility>

namespace spillway {

namespace net = boost::asio;

net::awaitable<void> CountTokens::answer(http::Request raw, http::ResponseWriter& out) const {
  const std::string id = raw.id;
  const auto visitor = reception_.admit(raw, out);
  Result<int> tokens = 0;
  if (!visitor) tokens = visitor.error();
  if (visitor) tokens = co_await count(std::move(raw), *visitor);
  if (!tokens) {
    const auto reply = protocol_.error(tokens.error(), id);
    co_await refuse(tokens.error(), reply, nullptr, out);
    co_return;
  }
  std::string body = R"({"input_tokens":)" + std::to_string(*tokens) + "}";
  (void)co_await out.send(200, "application/json", std::move(body));
}

Async<int> CountTokens::count(http::Request raw, const Visitor& visitor) const {
  wire::Call call;
  call.request_id = raw.id;
  call.tenant = visitor.tenant;
  call.body = std::move(raw.body);
  call.room = &pipeline_->doors().reading;
  auto asked = co_await protocol_.parse(std::move(call));
  if (!asked) co_return asked.error();
  const auto known = visitor.check_model(asked->chat->model);
  if (!known) co_return known.error();
  co_return co_await prompt_tokens(*visitor.edition, pipeline_->doors().local, asked->chat,
                                   visitor.tenant);
}

}  // namespace spillway
