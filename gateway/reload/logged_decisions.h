// Decisions out of a log, made ready to be made again by another policy: a rehearsal without the
// gateway that decided. Of the engine and the providers is known what the log tells: who was up and
// when each was expected to give its first and its last token. Pure.
#pragma once

#include "config/settings.h"
#include "gateway/reload/recorded.h"
#include "gateway/telemetry/read_log.h"

#include <memory>
#include <span>
#include <vector>

namespace spillway {

// The newest first. `in_force`: the settings under which they were made.
std::vector<std::shared_ptr<const Recorded>> recorded_in(
    std::span<const telemetry::LoggedRequest> log,
    const std::shared_ptr<const config::Settings>& in_force);

}  // namespace spillway
