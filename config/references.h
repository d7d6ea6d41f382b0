// The checks that need more than one key: names that must exist, names that must not meet, secrets
// that can be read.
#pragma once

#include "config/reader.h"
#include "config/secret.h"
#include "config/settings.h"

#include <set>
#include <string>

namespace spillway::config {

// Names that stand in the file. Those of entries too broken to become settings are among them, so
// that one mistake is not reported again wherever its entry is named.
struct Declared {
  std::set<std::string> keys;
  std::set<std::string> targets;
  std::set<std::string> classes;
};

// Whether any target is on this machine: the engine, or an encoder.
bool someone_is_here(const Settings& settings);

// Where providers say that their data stays.
Names residencies_of(const Settings& settings);

// Whether a target that the class uses keeps data where the class lets it go.
bool has_a_place(const Settings& settings, const RequestClass& one);

void check_references(const Settings& settings, const Declared& declared, Reader& reader);

// Fills Key::secret, ProviderTarget::key and the like from their sources. Files are noted.
void read_secrets(Settings& settings, const Environment& environment, Reader& reader,
                  FilesRead& files);

}  // namespace spillway::config
