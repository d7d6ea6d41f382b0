// A configuration whose policy has stood its own tests: what may be served, simulated or put in the
// place of another. Blocks on the disk; any thread.
#pragma once

#include "config/load.h"

#include <optional>
#include <string>
#include <string_view>

namespace spillway {

// As config::load_file; a test that fails is a problem like any other.
config::Loaded load_policy(const std::string& path,
                           const config::Environment& environment = config::process_environment());

// The same from memory, as if it stood in the place of the file at `source`.
config::Loaded load_policy_text(std::string_view text, const std::string& source,
                                const config::Environment& environment);

// For who only decides: nobody is asked in the name of any of these. No two keys have the same.
std::optional<std::string> unneeded_secret(const std::string& name);

}  // namespace spillway
