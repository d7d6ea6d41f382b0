#include "gateway/gateway.h"

#include "backends/cloud/cloud_backend.h"
#include "backends/cloud/cloud_thread.h"
#include "backends/local/local_encoder.h"
#include "config/effective.h"
#include "config/watch.h"
#include "gateway/account/limiter.h"
#include "gateway/account/stores.h"
#include "gateway/admin/admin.h"
#include "gateway/admin/decisions.h"
#include "gateway/admin/key_answers.h"
#include "gateway/admin/usage_answers.h"
#include "gateway/admin_routes.h"
#include "gateway/api.h"
#include "gateway/attached_files.h"
#include "gateway/batch_api.h"
#include "gateway/batch_runner.h"
#include "gateway/byte_room.h"
#include "gateway/encoders.h"
#include "gateway/engine_target.h"
#include "gateway/file_api.h"
#include "gateway/files/cabinet.h"
#include "gateway/http/cross_origin.h"
#include "gateway/http/routes.h"
#include "gateway/http/server.h"
#include "gateway/kept_state.h"
#include "gateway/live_state.h"
#include "gateway/models.h"
#include "gateway/observation.h"
#include "gateway/pipeline.h"
#include "gateway/refusal.h"
#include "gateway/repeats.h"
#include "gateway/rollout.h"
#include "gateway/store/disk_thread.h"
#include "gateway/telemetry/log.h"
#include "gateway/telemetry/metrics.h"
#include "gateway/wall_clock.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <thread>
#include <utility>

namespace spillway {
namespace {

using std::chrono::milliseconds;
using telemetry::Level;

constexpr std::size_t kDecisionsKept = 1'000;
constexpr std::size_t kRehearsed = 500;          // Decisions that a reload is tried on.
constexpr milliseconds kBookWithin{5'000};       // Of what was settled, when stopping.
constexpr milliseconds kLastWordsWithin{1'000};  // Of answers that are cut.
constexpr std::chrono::seconds kSweep{10};       // Between looks for what has expired…
constexpr std::chrono::hours kLook{1};  // …and for what the configuration is warned of by now.
constexpr const char* kTooManyBodies =
    "Too many large requests are being sent. Send fewer at a time.";
constexpr const char* kTooMuchPast =
    "The conversations that are being answered are too large together. Ask of fewer at a time, or "
    "begin others, with what matters of these.";

int workers_of(const config::Server& server) {
  if (server.workers > 0) return server.workers;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / 2);
}

std::vector<std::string> names_of(const Errands& errands) {
  std::vector<std::string> names;
  for (const auto& [path, errand] : errands) names.push_back(path);
  return names;
}

replay::Limits limits_of(const config::Idempotency& settings) {
  return {static_cast<std::size_t>(settings.bytes_max), settings.keep};
}

std::string at(const config::Endpoint& endpoint, std::uint16_t port) {
  return endpoint.host + ":" + std::to_string(port);
}

// A tenant may send two of the largest at once, and many of the usual.
std::uint64_t large_bytes_max(const config::ServerLimits& limits) {
  return std::max(std::uint64_t{2} << 30, 8 * static_cast<std::uint64_t>(limits.body_bytes_max));
}

// Who has no key is told so before a large body is taken.
Result<ByteRoom::Leave> leave_of(const CurrentEdition& editions, const ByteRoom& bodies,
                                 const http::Request& head, std::uint64_t bytes) {
  const auto caller = editions.enter(head.api_key(), head.id).caller;
  if (!caller) return caller.error();
  return bodies.enter(std::string(caller->tenant()), bytes);
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

class Gateway::House {
 public:
  explicit House(std::shared_ptr<const config::Settings> settings);
  ~House() {
    stop([] { return true; });
  }

  Result<void> open();
  Rollout& rollout() { return rollout_; }
  void stop(const std::function<bool()>& hurry);

  const http::Server& api() const { return api_; }
  const http::Server& admin() const { return admin_; }

 private:
  Result<void> open_state();
  Result<void> open_book();
  Result<void> load_engine();
  std::shared_ptr<Backend> dial(const config::ProviderTarget& target, std::size_t server);
  void complain(const std::string& why);
  void tell_of_lost_state();
  void tell_of_ledger(const std::optional<Error>& why);
  admin::Sources sources();
  http::Routes api_routes();
  http::Routes admin_routes();

  const std::shared_ptr<const config::Settings> started_with_;
  std::atomic<Phase> phase_ = Phase::loading;

  // In the order of starting; what is declared first is gone last.
  telemetry::Log log_;
  KeptState kept_;
  account::Limiter limiter_;
  std::optional<admin::KeyAnswers> key_answers_;
  std::optional<admin::UsageAnswers> usage_answers_;
  store::DiskThread books_{"books"};  // What operators ask of keys and money.
  telemetry::Metrics metrics_;
  admin::Decisions decisions_{kDecisionsKept};
  cloud::CloudThread cloud_;
  std::unique_ptr<EngineTarget> engine_;
  Encoders encoders_;
  Fleet fleet_;
  WaitingRoom waiting_{fleet_};
  Rehearsal rehearsal_{kRehearsed};
  Shadow shadow_;
  policy::Admission admission_;
  CurrentEdition editions_;
  Rollout rollout_;
  store::DiskThread disk_{"disk"};
  std::optional<Pipeline> pipeline_;
  Models models_;
  const Reception reception_{editions_, limiter_};
  StoredChats stored_chats_{reception_, disk_, kept_.chats};
  AttachedFiles attached_;
  const ByteRoom conversations_{large_bytes_max(started_with_->server.limits), kTooMuchPast};
  Api surface_{Api::Doors{reception_,
                          pipeline_,
                          models_,
                          stored_chats_,
                          disk_,
                          kept_.responses,
                          kept_.conversations,
                          {static_cast<std::size_t>(started_with_->server.limits.body_bytes_max),
                           std::bind_front(&ByteRoom::enter, &conversations_)}}};
  FileApi file_api_;
  std::optional<BatchRunner> runner_;
  BatchApi batch_api_;
  admin::Admin operations_;
  http::Routes admin_routes_;
  http::Routes api_routes_;
  Repeats repeats_;
  const ByteRoom unread_bodies_{large_bytes_max(started_with_->server.limits), kTooManyBodies};
  http::Server admin_;
  http::Server api_;
  const Observation observation_{{started_with_, phase_, log_, metrics_, decisions_, rollout_,
                                  kept_, limiter_, engine_, fleet_, waiting_, admission_, editions_,
                                  repeats_, shadow_, api_, admin_}};
  std::unique_ptr<config::FileWatcher> watcher_;
};

Gateway::House::House(std::shared_ptr<const config::Settings> settings)
    : started_with_(settings),
      log_(1, telemetry::level_of(settings->log.level).value_or(Level::info)),
      metrics_(label_sets(*settings), SPILLWAY_VERSION),
      admission_(settings->server.limits.in_flight_max),
      rollout_(settings,
               {editions_, fleet_, waiting_, admission_, rehearsal_, shadow_, kept_, log_, metrics_,
                [this](std::function<void()> work) { disk_.post(std::move(work)); },
                std::bind_front(&House::dial, this)}),
      models_(editions_, unix_seconds()),
      attached_(disk_, kept_.cabinet,
                static_cast<std::size_t>(settings->server.limits.body_bytes_max)),
      file_api_(reception_, disk_, kept_.cabinet, files_limits(settings->files)),
      batch_api_({reception_, disk_, kept_.cabinet, kept_.batches, runner_},
                 names_of(surface_.errands())),
      operations_(sources()),
      admin_routes_(admin_routes()),
      api_routes_(api_routes()),
      repeats_(editions_, limits_of(settings->idempotency), log_,
               std::bind_front(&http::Routes::serve, &api_routes_)),
      admin_({settings->server.admin, 1, settings->server.limits, "admin"},
             std::bind_front(&http::Routes::serve, &admin_routes_), protocol_reply),
      api_({settings->server.listen, workers_of(settings->server), settings->server.limits, "api",
            std::bind_front(&http::Routes::streamed_body_max, &api_routes_),
            [this](const http::Request& head, std::uint64_t bytes) {
              return leave_of(editions_, unread_bodies_, head, bytes);
            },
            kAnthropicVersion},
           http::allow_origins(settings->server.cors_origins,
                               once([this] { return phase_ != Phase::loading; },
                                    std::bind_front(&Repeats::serve, &repeats_))),
           protocol_reply) {
  metrics_.watch(std::bind_front(&Observation::live_state, &observation_));
}

Result<void> Gateway::House::open() {
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

  pipeline_.emplace(Pipeline::Doors{editions_, admission_, fleet_, waiting_, engine_.get(),
                                    rehearsal_, shadow_, attached_, limiter_, kept_.account.get(),
                                    std::bind_front(&Observation::tell, &observation_)});
  runner_.emplace(BatchRunner::Doors{editions_, admission_, disk_, *kept_.cabinet, *kept_.batches,
                                     surface_.errands(), std::bind_front(&House::complain, this)},
                  started_with_->batch.concurrency);
  watcher_ =
      std::make_unique<config::FileWatcher>(started_with_->source, started_with_->origins.sha256,
                                            [this] { (void)rollout_.reload(false); });
  runner_->start();
  phase_ = Phase::serving;
  log_.event(Level::info, "serving",
             {{"api", at(started_with_->server.listen, api_.port())},
              {"admin", at(started_with_->server.admin, admin_.port())}});
  return {};
}

Result<void> Gateway::House::open_state() {
  auto opened = kept_.open(*started_with_, std::bind_front(&House::tell_of_ledger, this));
  if (!opened) return opened.error();
  if (!kept_.account) tell_of_unkept_budgets(*kept_.keys, log_);
  if (kept_.directory->temporary())
    log_.event(Level::warn, "no server.state: what is kept ends with this process");
  disk_.repeat(kSweep, [this, looked = SteadyClock::now(), was_in_place = true]() mutable {
    if (!kept_.directory->is_in_place() && std::exchange(was_in_place, false)) tell_of_lost_state();
    (void)kept_.cabinet->files.expire(unix_seconds());
    (void)kept_.cabinet->uploads.expire(unix_seconds());
    (void)kept_.conversations->expire(unix_seconds());
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

Result<void> Gateway::House::open_book() {
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

Result<void> Gateway::House::load_engine() {
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

std::shared_ptr<Backend> Gateway::House::dial(const config::ProviderTarget& target,
                                              std::size_t server) {
  if (target.is_here()) return encoders_.of(target.name);
  return cloud::make_cloud_backend(target, cloud_, server);
}

void Gateway::House::stop(const std::function<bool()>& hurry) {
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

void Gateway::House::complain(const std::string& why) {
  log_.event(Level::error, "batches are held up", {{"cause", why}});
}

void Gateway::House::tell_of_ledger(const std::optional<Error>& why) {
  if (why) log_.event(Level::error, "the ledger cannot be written", {{"cause", why->message}});
  if (!why) log_.event(Level::info, "the ledger is written again");
}

// The ledger among it: open files are written on, but nobody will find them.
void Gateway::House::tell_of_lost_state() {
  log_.event(Level::error,
             "server.state was removed or moved: what is kept from now on ends with this process; "
             "start it again with the directory in its place",
             {{"path", kept_.directory->path()}});
}

http::Routes Gateway::House::api_routes() {
  http::Routes routes = surface_.routes();
  file_api_.add_to(routes);
  batch_api_.add_to(routes);
  return routes;
}

http::Routes Gateway::House::admin_routes() {
  http::Routes routes(protocol_reply);
  add_admin_routes(operations_, started_with_->server.admin_key, routes);
  return routes;
}

admin::Sources Gateway::House::sources() {
  admin::Sources sources;
  sources.not_ready = std::bind_front(&Observation::unready, &observation_);
  sources.impaired = std::bind_front(&Observation::impaired, &observation_);
  sources.metrics = std::bind_front(&telemetry::Metrics::text, &metrics_);
  sources.vllm_metrics = std::bind_front(&telemetry::Metrics::vllm_text, &metrics_);
  sources.config = [this] { return config::effective_yaml(*editions_.get()->settings); };
  sources.decisions = std::bind_front(&admin::Decisions::last, &decisions_);
  sources.decision = std::bind_front(&admin::Decisions::find, &decisions_);
  sources.reload = std::bind_front(&Rollout::reload, &rollout_);
  sources.rehearse = std::bind_front(&Rollout::rehearse, &rollout_);
  sources.promote = std::bind_front(&Rollout::promote, &rollout_);
  sources.roll_back = std::bind_front(&Rollout::roll_back, &rollout_);
  sources.rollout = std::bind_front(&Rollout::state, &rollout_);
  sources.shadow = std::bind_front(&Shadow::find, &shadow_);
  return sources;
}

Gateway::Gateway(std::unique_ptr<House> house) : house_(std::move(house)) {}
Gateway::~Gateway() = default;

Result<std::unique_ptr<Gateway>> Gateway::start(std::shared_ptr<const config::Settings> settings) {
  auto house = std::make_unique<House>(std::move(settings));
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
