// Where secrets come from: `env:NAME` and `file:PATH`, and nowhere else.
#pragma once

#include "config/bounded_file.h"
#include "config/value.h"

#include <functional>
#include <optional>
#include <string>
#include <variant>

namespace spillway::config {

// Looks a variable up; nothing if it is not set. Tests bring their own.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment process_environment();

// The secret that `source` names. A file's trailing line end is not part of it. The mistake says
// what is missing and never what was found. A file is noted. Requires: a source that parse_value
// accepted.
std::variant<std::string, Mistake> read_secret(const std::string& source,
                                               const Environment& environment, FilesRead& files);

}  // namespace spillway::config
