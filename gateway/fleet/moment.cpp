#include "gateway/fleet/moment.h"

#include "gateway/fleet/fleet.h"
#include "gateway/fleet/local_target.h"
#include "gateway/fleet/waiting.h"

#include <utility>

namespace spillway {

Moment::Moment(std::optional<EngineStatus> local, policy::FleetFacts facts)
    : fleet(std::move(facts)) {
  fleet.local = local ? &engine : nullptr;
  if (local) engine = std::move(*local);
}

std::shared_ptr<const Moment> moment_of(const LocalTarget* local, const Fleet& fleet,
                                        const WaitingRoom& waiting,
                                        const policy::PromptMarks& prompt) {
  std::optional<EngineStatus> engine;
  if (local != nullptr) engine = local->status();
  policy::FleetFacts facts = fleet.facts(engine ? &*engine : nullptr, &prompt);
  facts.gpu_second_worth = waiting.gpu_second_worth();
  return std::make_shared<const Moment>(std::move(engine), std::move(facts));
}

}  // namespace spillway
