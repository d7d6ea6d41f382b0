// YAML → Settings, or everything that is wrong with it.
//
// All problems come at once, the catalogue's own first and then in the order of the file, each with
// its place and what to write instead; no message holds a secret. Never throws (but std::bad_alloc)
// and is safe on hostile input: a file has at most 1 MiB, 32 levels and 20,000 values. Blocks on
// the disk; callable from any thread.
#pragma once

#include "config/bounded_file.h"
#include "config/problem.h"
#include "config/secret.h"
#include "config/settings.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::config {

struct Loaded {
  std::shared_ptr<const Settings> settings;  // Null if there are problems.
  std::vector<Problem> problems;             // At most 100; a last one counts the rest.
  std::vector<Problem> warnings;             // Legal, but hardly meant: config/cross_check.h.
  FilesRead files;  // It, its catalogue, and those with secrets; problems or not.
  std::optional<std::vector<Key>> keys;  // Also where there are problems, if none is of keys.
};

Loaded load_file(const std::string& path, const Environment& environment = process_environment());

// The same from memory. `source` becomes Settings::source.
Loaded load_text(std::string_view text, const std::string& source,
                 const Environment& environment = process_environment());

}  // namespace spillway::config
