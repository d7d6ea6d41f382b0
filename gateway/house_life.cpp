// How the house comes to serve, and how it stops.
#include "backends/local/local_encoder.h"
#include "gateway/account/stores.h"
#include "gateway/api/admin_routes.h"
#include "gateway/house.h"
#include "gateway/live_state.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace spillway {
namespace {

using std::chrono::milliseconds;
using telemetry::Level;

constexpr milliseconds kBookWithin{5'000};       // Of what was settled, when stopping.
constexpr milliseconds kLastWordsWithin{1'000};  // Of answers that are cut.
constexpr std::chrono::seconds kSweep{10};       // Between looks for what has expired…
constexpr std::chrono::hours kLook{1};  // …and for what the configuration is warned of by now.

std::string at(const config::Endpoint& endpoint, std::uint16_t port) {
  return endpoint.host + ":" + std::to_string(port);
}

// They were made while a ledger was kept.
void tell_of_unkept_budgets(const account::KeyRing& keys, telemetry::Log& log) {
  for (const auto& made : keys.all()) {
    if (made->revoked || !made->key.budget.limited()) continue;
    log.event(Level::warn, "a key's budget is kept by nobody: it needs ledger.enabled",
              {{"key", made->key.name}, {"id", made->id}});
  }
}

}  // namespace

Result<void> House::open() {
  auto opened = open_state();
  if (!opened) return opened.error();
  auto encoders = encoders_.load(*started_with_, local::load_local_encoder);
  if (!encoders) return encoders.error();
  rollout_.take_over(started_with_);
  for (http::Server* listener : {&admin_, &api_}) {
    auto listening = listener->start();
    if (!listening) return listening.error();
  }
  auto loaded = load_engine();
  if (!loaded) return loaded.error();

  pipeline_.emplace(Pipeline::Doors{
      editions_, admission_, fleet_, waiting_, engine_.get(), rehearsal_, shadow_, attached_,
      reading_, limiter_, kept_.account.get(), std::bind_front(&Observation::tell, &observation_)});
  runner_.emplace(BatchRunner::Doors{editions_, admission_, disk_, *kept_.cabinet, *kept_.batches,
                                     *kept_.handovers, kept_.account.get(), surface_.errands(),
                                     std::bind_front(&WaitingRoom::pace, &waiting_),
                                     std::bind_front(&House::complain, this),
                                     std::bind_front(&House::warn_of_handover, this)},
                  started_with_->batch.concurrency);
  watcher_ = std::make_unique<config::FileWatcher>(std::bind_front(&Rollout::files, &rollout_),
                                                   [this] { rollout_.files_changed(); });
  runner_->start();
  phase_ = Phase::serving;
  log_.event(Level::info, "serving",
             {{"api", at(started_with_->server.listen, api_.port())},
              {"admin", at(started_with_->server.admin, admin_.port())}});
  return {};
}

Result<void> House::open_state() {
  auto opened = kept_.open(*started_with_, std::bind_front(&House::tell_of_ledger, this));
  if (!opened) return opened.error();
  if (!kept_.account) tell_of_unkept_budgets(*kept_.keys, log_);
  if (kept_.directory->temporary())
    log_.event(Level::warn, "no server.state: what is kept ends with this process");
  disk_.keep_aside([this] { return kept_.reserve->give_up(); });
  disk_.repeat(kSweep, [this, looked = SteadyClock::now(), was_in_place = true]() mutable {
    if (!kept_.directory->is_in_place() && std::exchange(was_in_place, false)) tell_of_lost_state();
    kept_.sweep();
    if (phase_ != Phase::serving || SteadyClock::now() - looked < kLook) return;
    looked = SteadyClock::now();
    rollout_.look_again();
  });
  const auto settings = [this] { return editions_.get()->settings; };
  key_answers_.emplace(*kept_.keys, settings, kept_.account != nullptr,
                       std::bind_front(&Rollout::know_tenants, &rollout_));
  add_key_routes(*key_answers_, started_with_->server.admin_key, books_, admin_routes_);
  return open_book();
}

Result<void> House::open_book() {
  if (!kept_.account) return {};
  if (const auto lost = kept_.account->ledger().in_doubt; lost > 0)
    log_.event(Level::warn, "requests were running when the process before ended: in doubt",
               {{"requests", static_cast<std::int64_t>(lost)}});
  auto book = account::open_book(started_with_->ledger, kept_.directory->path());
  if (!book) return book.error();
  add_usage_routes(usage_answers_.emplace(std::move(*book)), started_with_->server.admin_key,
                   books_, admin_routes_);
  return {};
}

Result<void> House::load_engine() {
  if (started_with_->local.empty()) return {};
  const config::LocalTarget& target = started_with_->local.front();
  log_.event(Level::info, "loading the local model", {{"model", target.model_path}});
  auto engine = EngineTarget::make(target, log_);
  if (engine) {
    engine_ = std::move(*engine);
    waiting_.watch(*engine_);
    return {};
  }
  const bool device_is_missing = engine.error().code == Errc::backend_unavailable;
  if (!device_is_missing || !has_clouds(*started_with_)) return engine.error();
  log_.event(Level::error, "no local engine until the next start: the providers answer everything",
             {{"cause", engine.error().message}});
  return {};
}

void House::stop(const std::function<bool()>& hurry) {
  if (phase_.exchange(Phase::draining) == Phase::draining) return;
  const auto edition = editions_.get();  // None yet where it could not be opened.
  const auto drain = (edition ? edition->settings : started_with_)->server.drain;
  const Deadline deadline = SteadyClock::now() + drain;
  log_.event(Level::info, "draining", {{"seconds", static_cast<double>(drain.count()) / 1e3}});
  watcher_.reset();
  api_.begin_drain();
  waiting_.stop();
  shadow_.stop();
  if (runner_) runner_->begin_drain();
  const auto idle = [this](Deadline until) {
    return api_.wait_idle(until) && surface_.responses().wait_idle(until) &&
           (!runner_ || runner_->wait_idle(until));
  };
  bool is_idle = false;
  while (!is_idle && SteadyClock::now() < deadline && !hurry())
    is_idle = idle(std::min(deadline, SteadyClock::now() + milliseconds(50)));
  if (runner_)
    runner_->stop();  // What its lines have not got is asked for again at the next start.
  surface_.responses().stop();
  if (const auto running = static_cast<std::int64_t>(admission_.in_flight()); running > 0)
    log_.event(Level::warn, "the time to drain is over: what still runs is cut",
               {{"requests", running}});
  fleet_.stop();
  // Who asks them now is told so; that ends what still runs, each answer with its error.
  cloud_.stop();
  if (engine_) engine_->stop(SteadyClock::now());
  reading_.stop();
  if (!is_idle) api_.wait_idle(SteadyClock::now() + kLastWordsWithin);
  api_.stop();
  disk_.stop();
  admin_.stop();
  books_.stop();
  if (kept_.account && !kept_.account->flush(kBookWithin))
    log_.event(Level::error, "the ledger cannot be written: the rest is booked at the next start");
  log_.event(Level::info, "stopped");
  log_.flush(milliseconds(2'000));
}

void House::complain(const std::string& why) {
  log_.event(Level::error, "batches are held up", {{"cause", why}});
}

void House::warn_of_handover(const std::string& why) {
  log_.event(Level::warn, "a provider's batch did not do what it was to", {{"cause", why}});
}

void House::tell_of_ledger(const std::optional<Error>& why) {
  if (why) log_.event(Level::error, "the ledger cannot be written", {{"cause", why->message}});
  if (!why) log_.event(Level::info, "the ledger is written again");
}

// The ledger among it: open files are written on, but nobody will find them.
void House::tell_of_lost_state() {
  log_.event(Level::error,
             "server.state was removed or moved: what is kept from now on ends with this process; "
             "start it again with the directory in its place",
             {{"path", kept_.directory->path()}});
}

}  // namespace spillway
