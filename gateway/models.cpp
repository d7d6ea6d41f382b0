#include "gateway/models.h"

#include "gateway/openai/models.h"
#include "gateway/reception.h"
#include "gateway/refusal.h"

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

}  // namespace

net::awaitable<void> Models::list(http::Request raw, http::ResponseWriter& out) const {
  const auto visitor = visitor_of(editions_, raw);
  if (!visitor) co_return co_await refuse(visitor.error(), out);
  std::vector<openai::ModelCard> cards;
  for (const std::string& model : visitor->edition->router.models()) {
    if (visitor->check_model(model))
      cards.push_back({model, since_, owner_of(*visitor->edition->settings, model)});
  }
  (void)co_await out.send(200, "application/json", openai::model_list(cards));
}

net::awaitable<void> Models::retrieve(http::Request raw, http::ResponseWriter& out) const {
  const auto visitor = visitor_of(editions_, raw);
  if (!visitor) co_return co_await refuse(visitor.error(), out);
  const auto known = visitor->check_model(raw.tail);
  if (!known) co_return co_await refuse(known.error(), out);
  const openai::ModelCard card{raw.tail, since_, owner_of(*visitor->edition->settings, raw.tail)};
  (void)co_await out.send(200, "application/json", openai::model_object(card));
}

}  // namespace spillway
