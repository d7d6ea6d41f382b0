#include "gateway/models.h"

#include "gateway/object_handler.h"
#include "gateway/openai/models.h"
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
  const auto edition = editions_.get();
  auto caller = caller_of(*edition, raw);
  if (!caller) {
    co_await refuse(caller.error(), out);
    co_return;
  }
  std::vector<openai::ModelCard> cards;
  for (const std::string& model : edition->router.models()) {
    cards.push_back({model, since_, owner_of(*edition->settings, model)});
  }
  (void)co_await out.send(200, "application/json", openai::model_list(cards));
}

net::awaitable<void> Models::retrieve(http::Request raw, http::ResponseWriter& out) const {
  const auto edition = editions_.get();
  auto caller = caller_of(*edition, raw);
  if (!caller) {
    co_await refuse(caller.error(), out);
    co_return;
  }
  for (const std::string& model : edition->router.models()) {
    if (model != raw.tail) continue;
    const openai::ModelCard card{model, since_, owner_of(*edition->settings, model)};
    (void)co_await out.send(200, "application/json", openai::model_object(card));
    co_return;
  }
  const Error missing{Errc::model_not_found, "the model '" + raw.tail + "' does not exist", "model",
                      std::nullopt};
  co_await refuse(missing, out);
}

}  // namespace spillway
