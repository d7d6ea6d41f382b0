// Engine and fleet at one moment, as a decision sees them; whoever looks at the decision again
// shares it. Immutable; any thread.
#pragma once

#include "backends/contract/status.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/prompt_marks.h"

#include <memory>
#include <optional>

namespace spillway {

class Fleet;
class LocalTarget;
class WaitingRoom;

struct Moment {
  Moment(std::optional<EngineStatus> local, policy::FleetFacts facts);
  Moment(const Moment&) = delete;  // `fleet` points into it.
  Moment& operator=(const Moment&) = delete;

  EngineStatus engine;       // As a fresh one where there is no local target.
  policy::FleetFacts fleet;  // Its `local` is that engine, or null.
};

// Now, to somebody who asks that. `local` is null without a local target.
std::shared_ptr<const Moment> moment_of(const LocalTarget* local, const Fleet& fleet,
                                        const WaitingRoom& waiting,
                                        const policy::PromptMarks& prompt);

}  // namespace spillway
