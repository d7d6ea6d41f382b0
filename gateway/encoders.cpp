#include "gateway/encoders.h"

#include <algorithm>
#include <utility>

namespace spillway {
namespace {

class NotLoaded final : public Backend {
 public:
  explicit NotLoaded(std::string name) : name_(std::move(name)) {}

  const std::string& name() const override { return name_; }
  Async<std::unique_ptr<TokenStream>> open(std::shared_ptr<const ChatRequest>, Terms) override {
    co_return Error{Errc::backend_unavailable,
                    "This encoder is loaded when the gateway starts again.", "", std::nullopt};
  }

 private:
  const std::string name_;
};

}  // namespace

Result<void> Encoders::load(const config::Settings& settings, const Load& load) {
  for (const config::ProviderTarget& target : settings.providers) {
    if (!target.is_here()) continue;
    auto encoder = load(target);
    if (!encoder) return encoder.error();
    loaded_.emplace(target.name, std::move(*encoder));
  }
  return {};
}

std::shared_ptr<Backend> Encoders::of(const std::string& target) const {
  const auto found = loaded_.find(target);
  if (found == loaded_.end()) return std::make_shared<NotLoaded>(target);
  return found->second;
}

bool has_clouds(const config::Settings& settings) {
  return std::any_of(settings.providers.begin(), settings.providers.end(),
                     [](const config::ProviderTarget& target) { return !target.is_here(); });
}

}  // namespace spillway
