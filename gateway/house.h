// All rooms, made and joined in one place: what there is, in the order in which it starts, and is
// gone in the reverse of it.
//
// house.cpp joins the parts, house_life.cpp starts and stops them. For the owner's thread, but for
// the rollout and the listeners. Beside it only engine_target.h names a concrete backend.
#pragma once

#include "backends/cloud/cloud_thread.h"
#include "backends/contract/backend.h"
#include "backends/contract/error.h"
#include "config/bounded_file.h"
#include "config/settings.h"
#include "config/watch.h"
#include "gateway/account/limiter.h"
#include "gateway/admin/admin.h"
#include "gateway/admin/decisions.h"
#include "gateway/admin/key_answers.h"
#include "gateway/admin/usage_answers.h"
#include "gateway/api/api.h"
#include "gateway/api/attached_files.h"
#include "gateway/api/batch_api.h"
#include "gateway/api/file_api.h"
#include "gateway/api/models.h"
#include "gateway/api/repeats.h"
#include "gateway/background/batch_runner.h"
#include "gateway/byte_room.h"
#include "gateway/encoders.h"
#include "gateway/engine_target.h"
#include "gateway/http/routes.h"
#include "gateway/http/server.h"
#include "gateway/kept_state.h"
#include "gateway/observation.h"
#include "gateway/reload/rollout.h"
#include "gateway/request/long_prompts.h"
#include "gateway/request/pipeline.h"
#include "gateway/store/disk_thread.h"
#include "gateway/telemetry/log.h"
#include "gateway/telemetry/metrics.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace spillway {

class House {
 public:
  House(std::shared_ptr<const config::Settings> settings, config::FilesRead files);
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
  Api::Doors surface_doors();
  admin::Sources sources();
  http::Routes api_routes();
  std::optional<std::uint64_t> streamed_body_max(const http::Request& head) const;
  http::Routes admin_routes();
  void complain(const std::string& why);
  void warn_of_handover(const std::string& why);
  void tell_of_lost_state();
  void tell_of_ledger(const std::optional<Error>& why);

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
  admin::Decisions decisions_;
  cloud::CloudThread cloud_;
  std::unique_ptr<EngineTarget> engine_;
  Encoders encoders_;
  Fleet fleet_;
  WaitingRoom waiting_{fleet_};
  Rehearsal rehearsal_;
  Shadow shadow_;
  policy::Admission admission_;
  CurrentEdition editions_;
  Rollout rollout_;
  store::DiskThread disk_{"disk"};
  LongPrompts reading_;
  std::optional<Pipeline> pipeline_;
  Models models_;
  const Reception reception_{editions_, limiter_};
  StoredChats stored_chats_{reception_, disk_, kept_.chats};
  const ByteRoom read_files_;  // Of requests that name them.
  AttachedFiles attached_;
  const ByteRoom conversations_;  // That are being answered,
  const ByteRoom remembered_;     // …and of which a connection remembers the last turn.
  const ByteRoom sockets_;        // WebSockets, each as a byte.
  Api surface_;
  FileApi file_api_;
  std::optional<BatchRunner> runner_;
  BatchApi batch_api_;
  admin::Admin operations_;
  http::Routes admin_routes_;
  http::Routes api_routes_;
  Repeats repeats_;
  const ByteRoom unread_bodies_;
  http::Server admin_;
  http::Server api_;
  const Observation observation_{{started_with_, phase_, log_, metrics_, decisions_, rollout_,
                                  kept_, limiter_, engine_, fleet_, waiting_, admission_, editions_,
                                  repeats_, shadow_, api_, admin_}};
  std::unique_ptr<config::FileWatcher> watcher_;
};

}  // namespace spillway
