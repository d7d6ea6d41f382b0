// Whether a policy may take over, by what the last decisions come to under it. Pure.
#pragma once

#include "config/settings.h"
#include "gateway/reload/rehearsed.h"

#include <string>

namespace spillway {

// What speaks against it, each with the limit that says so; empty: nothing does.
std::string objections(const Rehearsed& rehearsed, const config::Guard& guard);

}  // namespace spillway
