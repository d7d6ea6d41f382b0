#include "gateway/gateway.h"

#include "gateway/house.h"

#include <utility>

namespace spillway {

Gateway::Gateway(std::unique_ptr<House> house) : house_(std::move(house)) {}
Gateway::~Gateway() = default;

Result<std::unique_ptr<Gateway>> Gateway::start(std::shared_ptr<const config::Settings> settings,
                                                config::FilesRead files) {
  auto house = std::make_unique<House>(std::move(settings), std::move(files));
  auto opened = house->open();
  if (!opened) return opened.error();
  return std::unique_ptr<Gateway>(new Gateway(std::move(house)));
}

std::uint16_t Gateway::api_port() const { return house_->api().port(); }
std::uint16_t Gateway::admin_port() const { return house_->admin().port(); }
Result<void> Gateway::reload() {
  const auto outcome = house_->rollout().reload(false);
  if (!outcome) return outcome.error();
  return {};
}
void Gateway::stop(const std::function<bool()>& hurry) { house_->stop(hurry); }

}  // namespace spillway
