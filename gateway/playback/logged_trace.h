// A gateway's own log as a trace: who asked for what and when, as far as the log tells, and how its
// targets answered. Pure.
#pragma once

#include "config/settings.h"
#include "gateway/simulate/configured_cloud.h"
#include "gateway/simulate/trace.h"
#include "gateway/telemetry/read_log.h"

#include <functional>
#include <map>
#include <span>
#include <string>

namespace spillway {

// What writes text, in order of arrival, the first at 0. A request is asked for by its class's name
// only where `in_force`, under which it was answered, would not make it of that class by itself: so
// another policy may make it of another.
simulate::RecordedTrace trace_of_log(std::span<const telemetry::LoggedRequest> log,
                                     const config::Settings& in_force);

// Of each target: the first tokens that were told apart (streams), less what earlier attempts and
// waiting took, and what prompts beyond 512 tokens take to be read; rates; and the share of its
// attempts that failed, but for refusals that are no failure of its own.
std::map<std::string, simulate::MeasuredCloud, std::less<>> measured_in(
    std::span<const telemetry::LoggedRequest> log);

}  // namespace spillway
