// Which class a request belongs to: the x-spillway-class header; else, for a key with a class of
// its own, the class for the service tier asked for (priority, flex…; not auto or default), else
// that own; else the first class whose matchers fit, else `default_class`. A key bounds what header
// and tier may choose; a tier that it may not have is served as if none had been asked for. Pure.
#pragma once

#include "backends/contract/error.h"
#include "config/settings.h"
#include "gateway/policy/facts.h"

#include <string_view>

namespace spillway::policy {

// Fails with invalid_request (param x-spillway-class) if the header names no class, and with
// forbidden if its key may not choose that class (Key::classes). The class belongs to `settings`,
// or is the built-in one ("default": no SLA, local while it can) where no class is configured.
Result<const config::RequestClass*> class_of(const config::Settings& settings,
                                             const RequestFacts& request);

// The service_tier that an answer of this class names: the one asked for if the class is for it,
// else "default"; empty if none was asked for. "fast" is told as "priority". Views into `asked` or
// static storage.
std::string_view tier_served(const config::RequestClass& request_class, std::string_view asked);

}  // namespace spillway::policy
