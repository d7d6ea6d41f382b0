#include "gateway/api/object_handler.h"

#include "gateway/request/refusal.h"

#include <boost/asio/this_coro.hpp>

#include <charconv>
#include <utility>

namespace spillway {
namespace net = boost::asio;

namespace {

net::awaitable<void> answer(const Reception& reception, const ObjectWork& work, http::Request raw,
                            http::ResponseWriter& out) {
  co_await net::this_coro::throw_if_cancelled(false);
  auto visitor = reception.admit(raw, out);
  if (!visitor) {
    co_await refuse(visitor.error(), out);
    co_return;
  }
  auto body = co_await work(raw, *visitor);
  if (!body) {
    co_await refuse(body.error(), out);
    co_return;
  }
  const auto admitted = reception.admit_answer(raw, *visitor, body->size(), out);
  if (!admitted) {
    co_await refuse(admitted.error(), out);
    co_return;
  }
  (void)co_await out.send(200, "application/json", std::move(*body));
}

}  // namespace

Result<int> page_limit(const http::Request& raw, int usual, int most) {
  const std::string text = raw.parameter("limit");
  if (text.empty()) return usual;
  int limit = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (whole && limit >= 1 && limit <= most) return limit;
  return Error{Errc::invalid_request, "must be between 1 and " + std::to_string(most), "limit",
               std::nullopt};
}

Result<bool> newest_first(const http::Request& raw, bool usual) {
  const std::string order = raw.parameter("order");
  if (order.empty()) return usual;
  if (order == "asc" || order == "desc") return order == "desc";
  return Error{Errc::invalid_request, "must be asc or desc", "order", std::nullopt};
}

http::Handler object_handler(const Reception& reception, ObjectWork work) {
  return [&reception, work = std::move(work)](http::Request raw, http::ResponseWriter& out) {
    return answer(reception, work, std::move(raw), out);
  };
}

}  // namespace spillway
