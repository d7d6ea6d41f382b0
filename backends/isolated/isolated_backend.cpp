#include "backends/isolated/isolated_backend.h"

#include "backends/isolated/switchboard.h"
#include "backends/local/engine/text_codec.h"
#include "config/effective.h"

#include <utility>

namespace spillway::isolated {
namespace {

class RemoteEngine final : public local::EngineDoor {
 public:
  RemoteEngine(std::shared_ptr<Switchboard> board, std::shared_ptr<Supervisor> supervisor)
      : board_(std::move(board)), supervisor_(std::move(supervisor)) {}
  ~RemoteEngine() override { supervisor_->stop(SteadyClock::now()); }

  Result<std::shared_ptr<Bridge>> submit(local::Ask ask,
                                         boost::asio::any_io_executor consumer) override {
    return board_->submit(std::move(ask), std::move(consumer));
  }
  int context_max() const override { return board_->context_max(); }
  int cached_tokens(std::string_view owner, std::span<const std::int32_t> prompt) const override {
    return board_->cached_tokens(owner, prompt);
  }
  EngineStatus status() const override { return board_->status(); }
  EngineCounters counters() const override { return board_->counters(); }
  void stop(Deadline drain_until) override { supervisor_->stop(drain_until); }

 private:
  const std::shared_ptr<Switchboard> board_;
  const std::shared_ptr<Supervisor> supervisor_;
};

// Settings that load, of which the target is what counts.
std::string yaml_of(const config::LocalTarget& target) {
  config::Settings settings;
  settings.server.listen = settings.server.admin = {"127.0.0.1", 0};
  settings.local = {target};
  return config::effective_yaml(settings);
}

}  // namespace

Result<IsolatedBackend> make_isolated_backend(const config::LocalTarget& target,
                                              process::Program program, Tell tell) {
  auto text = local::load_local_text(target);
  if (!text) return text.error();
  auto board = std::make_shared<Switchboard>(target.kv_tokens_max, target.replicas);
  auto supervisor = std::make_shared<Supervisor>(std::move(program), target.isolated,
                                                 yaml_of(target), board, std::move(tell));
  auto engine = std::make_unique<RemoteEngine>(std::move(board), supervisor);
  return IsolatedBackend{
      std::make_unique<local::LocalBackend>(target.name, std::move(*text), std::move(engine)),
      std::move(supervisor)};
}

}  // namespace spillway::isolated
