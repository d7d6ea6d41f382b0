// Names for what is stored. Thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace spillway::store {

// `prefix` and 24 letters and digits that nobody can guess: fresh_id("file-").
std::string fresh_id(std::string_view prefix);

}  // namespace spillway::store
