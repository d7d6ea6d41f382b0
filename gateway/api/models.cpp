#include "gateway/api/models.h"

#include "gateway/anthropic/models.h"
#include "gateway/openai/models.h"
#include "gateway/request/reception.h"
#include "gateway/request/refusal.h"

#include <string>
#include <utility>
#include <vector>

namespace spillway {
namespace {

namespace net = boost::asio;

std::string owner_of(const config::Settings& settings, const std::string& model) {
  const auto serves = [&model](const auto& target) {
    for (const auto& served : target.serves) {
      if (served.name == model) return true;
    }
    return false;
  };
  for (const auto& target : settings.local) {
    if (serves(target)) return target.name;
  }
  for (const auto& target : settings.providers) {
    if (serves(target)) return target.name;
  }
  return "spillway";
}

net::awaitable<void> answer(const http::Request& raw, std::string body, http::ResponseWriter& out) {
  if (speaks_anthropic(raw)) out.set_header("request-id", raw.id);
  (void)co_await out.send(200, "application/json", std::move(body));
}

}  // namespace

net::awaitable<void> Models::list(http::Request raw, http::ResponseWriter& out) const {
  const auto visitor = visitor_of(editions_, raw);
  if (!visitor) co_return co_await refuse(visitor.error(), raw, out);
  std::vector<openai::ModelCard> cards;
  std::vector<std::string> names;
  for (const std::string& model : visitor->edition->router.models()) {
    if (!visitor->check_model(model)) continue;
    cards.push_back({model, since_, owner_of(*visitor->edition->settings, model)});
    names.push_back(model);
  }
  std::string body =
      speaks_anthropic(raw) ? anthropic::model_list(names, since_) : openai::model_list(cards);
  co_await answer(raw, std::move(body), out);
}

net::awaitable<void> Models::retrieve(http::Request raw, http::ResponseWriter& out) const {
  const auto visitor = visitor_of(editions_, raw);
  if (!visitor) co_return co_await refuse(visitor.error(), raw, out);
  const auto known = visitor->check_model(raw.tail);
  if (!known) co_return co_await refuse(known.error(), raw, out);
  const openai::ModelCard card{raw.tail, since_, owner_of(*visitor->edition->settings, raw.tail)};
  std::string body = speaks_anthropic(raw) ? anthropic::model_object(raw.tail, since_)
                                           : openai::model_object(card);
  co_await answer(raw, std::move(body), out);
}

}  // namespace spillway
