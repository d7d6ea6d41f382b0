#include "gateway/object_handler.h"

#include "gateway/refusal.h"

#include <boost/asio/this_coro.hpp>

#include <utility>

namespace spillway {
namespace net = boost::asio;

namespace {

net::awaitable<void> answer(const CurrentEdition& editions, const ObjectWork& work,
                            http::Request raw, http::ResponseWriter& out) {
  co_await net::this_coro::throw_if_cancelled(false);
  const auto visitor = visitor_of(editions, raw);
  if (!visitor) {
    co_await refuse(visitor.error(), out);
    co_return;
  }
  auto body = co_await work(raw, *visitor);
  if (!body) {
    co_await refuse(body.error(), out);
    co_return;
  }
  (void)co_await out.send(200, "application/json", std::move(*body));
}

}  // namespace

Result<Visitor> visitor_of(const CurrentEdition& editions, const http::Request& raw) {
  const auto edition = editions.get();
  const auto caller = edition->keys.identify(raw.api_key());
  if (!caller) return caller.error();
  if (caller->key && !policy::may_call(*caller->key, raw.path))
    return Error{Errc::forbidden, "This key may not call " + raw.path + ": not in its scopes.", "",
                 std::nullopt};
  return Visitor{std::string(caller->tenant()), std::string(caller->name())};
}

http::Handler object_handler(const CurrentEdition& editions, ObjectWork work) {
  return [&editions, work = std::move(work)](http::Request raw, http::ResponseWriter& out) {
    return answer(editions, work, std::move(raw), out);
  };
}

}  // namespace spillway
