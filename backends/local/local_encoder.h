// The encoder that a target names: whether its folder is in order, and the encoder itself, ready to
// answer.
//
// Both block for as long as reading the folder takes. Errors are invalid_request, and say what is
// wrong with the target: its folder, or this build.
#pragma once

#include "backends/contract/backend.h"
#include "config/settings.h"

#include <memory>

namespace spillway::local {

// Requires: target.is_here(). Needs no LibTorch; the numbers are not looked at.
Result<void> check_local_encoder(const config::ProviderTarget& target);

// Requires: target.is_here().
Result<std::unique_ptr<Backend>> load_local_encoder(const config::ProviderTarget& target);

}  // namespace spillway::local
