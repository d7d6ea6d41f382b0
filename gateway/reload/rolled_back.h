// The file that was rolled back, and what stayed in force: remembered, and in the state directory,
// so that neither the next change of that file nor a start brings its policy back.
//
// Blocks on the disk. Not thread-safe: Rollout guards it.
#pragma once

#include "backends/contract/error.h"
#include "config/load.h"
#include "gateway/store/directory.h"

#include <memory>
#include <optional>
#include <string>

namespace spillway {

class RolledBack {
 public:
  // Nothing is on the disk before `directory` is there, nor where that is a temporary one.
  explicit RolledBack(const std::optional<store::Directory>& directory) : directory_(directory) {}

  // The file of these bytes is in force from now on, or what is in its place.
  void in_force(const std::string& path, const std::string& sha256);

  // The text of what is in force; empty: its file was another before it could be read again.
  const std::string& text_in_force() const { return text_in_force_; }

  // That was, from a file of these bytes, and this text is in force in its place. Fails with what
  // became of the disk; it is remembered all the same.
  Result<void> keep(std::shared_ptr<const config::Settings> tried, const std::string& sha256,
                    const std::string& in_its_place);
  void forget();

  // By this process, or by one before it in whose place this one started. Null: nothing was.
  const config::Settings* tried() const { return tried_.get(); }

 private:
  const std::optional<store::Directory>& directory_;
  std::string text_in_force_;
  std::shared_ptr<const config::Settings> tried_;
};

// What a process starts with in the place of `file`: where that was rolled back what was in force
// then, but for what the file takes away from its keys. Null: the file itself; with problems, as
// what was in force cannot be read any more. Requires: it has settings.
config::Loaded in_place_of(const config::Loaded& file,
                           const config::Environment& environment = config::process_environment());

}  // namespace spillway
