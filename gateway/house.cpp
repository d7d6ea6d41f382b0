#include "gateway/house.h"

#include "backends/cloud/cloud_backend.h"
#include "config/effective.h"
#include "gateway/api/admin_routes.h"
#include "gateway/api/other_paths.h"
#include "gateway/http/cross_origin.h"
#include "gateway/live_state.h"
#include "gateway/reload/label_sets.h"
#include "gateway/request/refusal.h"
#include "gateway/wall_clock.h"

#include <algorithm>
#include <thread>
#include <utility>

namespace spillway {
namespace {

using telemetry::Level;

constexpr std::size_t kDecisionsKept = 1'000;
constexpr std::size_t kRehearsed = 500;  // Decisions that a reload is tried on.
constexpr const char* kTooManyBodies =
    "Too many large requests are being sent. Send fewer at a time.";
constexpr const char* kTooManySockets =
    "Too many WebSockets are open. Use one for turn after turn, or POST.";
constexpr const char* kTooManyFiles =
    "The files of the requests that are being answered are too large together. Ask about fewer at "
    "a time.";
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

}  // namespace

House::House(std::shared_ptr<const config::Settings> settings, config::FilesRead files)
    : started_with_(settings),
      log_(1, telemetry::level_of(settings->log.level).value_or(Level::info)),
      metrics_(label_sets(*settings), SPILLWAY_VERSION),
      decisions_(kDecisionsKept),
      rehearsal_(kRehearsed),
      admission_(settings->server.limits.in_flight_max),
      rollout_(settings, std::move(files),
               {editions_, fleet_, waiting_, admission_, rehearsal_, shadow_, kept_, log_, metrics_,
                [this](std::function<void()> work) { disk_.post(std::move(work)); },
                std::bind_front(&House::dial, this)}),
      models_(editions_, unix_seconds()),
      read_files_(large_bytes_max(settings->server.limits), kTooManyFiles),
      attached_(disk_, kept_.cabinet,
                static_cast<std::size_t>(settings->server.limits.body_bytes_max),
                std::bind_front(&ByteRoom::enter, &read_files_)),
      conversations_(large_bytes_max(settings->server.limits), kTooMuchPast),
      remembered_(large_bytes_max(settings->server.limits), kTooMuchPast),
      sockets_(std::max<std::uint64_t>(4, settings->server.limits.connections_max),
               kTooManySockets),
      surface_(surface_doors()),
      file_api_(reception_, disk_, kept_.cabinet, files_limits(settings->files)),
      batch_api_({reception_, disk_, kept_.cabinet, kept_.batches, runner_},
                 names_of(surface_.errands())),
      operations_(sources()),
      admin_routes_(admin_routes()),
      api_routes_(api_routes()),
      repeats_(editions_, limits_of(settings->idempotency), log_,
               std::bind_front(&http::Routes::serve, &api_routes_)),
      unread_bodies_(large_bytes_max(settings->server.limits), kTooManyBodies),
      admin_({settings->server.admin, 1, settings->server.limits, "admin"},
             std::bind_front(&http::Routes::serve, &admin_routes_), protocol_reply),
      api_({settings->server.listen, workers_of(settings->server), settings->server.limits, "api",
            std::bind_front(&House::streamed_body_max, this),
            [this](const http::Request& head, std::uint64_t bytes) {
              return leave_of(editions_, unread_bodies_, head, bytes);
            },
            kAnthropicVersion},
           http::allow_origins(settings->server.cors_origins,
                               once([this] { return phase_ != Phase::loading; },
                                    with_other_paths(std::bind_front(&Repeats::serve, &repeats_)))),
           protocol_reply) {
  metrics_.watch(std::bind_front(&Observation::live_state, &observation_));
}

Api::Doors House::surface_doors() {
  responses::PastLimits past{static_cast<std::size_t>(started_with_->server.limits.body_bytes_max),
                             std::bind_front(&ByteRoom::enter, &conversations_),
                             std::bind_front(&ByteRoom::enter, &remembered_)};
  return {reception_,
          pipeline_,
          models_,
          stored_chats_,
          disk_,
          kept_.responses,
          kept_.conversations,
          reading_,
          std::move(past),
          std::bind_front(&ByteRoom::enter, &sockets_)};
}

std::shared_ptr<Backend> House::dial(const config::ProviderTarget& target, std::size_t server) {
  if (target.is_here()) return encoders_.of(target.name);
  return cloud::make_cloud_backend(target, cloud_, server);
}

std::optional<std::uint64_t> House::streamed_body_max(const http::Request& head) const {
  http::Request asked;
  asked.path = path_of_azure(head.path);
  if (asked.path.empty()) return api_routes_.streamed_body_max(head);
  asked.method = head.method;
  return api_routes_.streamed_body_max(asked);
}

http::Routes House::api_routes() {
  http::Routes routes = surface_.routes();
  file_api_.add_to(routes);
  batch_api_.add_to(routes);
  return routes;
}

http::Routes House::admin_routes() {
  http::Routes routes(protocol_reply);
  add_admin_routes(operations_, started_with_->server.admin_key, routes);
  return routes;
}

admin::Sources House::sources() {
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

}  // namespace spillway
