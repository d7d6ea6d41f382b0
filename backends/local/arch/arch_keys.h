// Sizes and numbers below an architecture's prefix in a file's metadata.
//
// Start-up only, any thread. Remembers the first key that is missing or wrong.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/loader/metadata.h"

#include <cstdint>
#include <optional>
#include <string>

namespace spillway::local {

Error unsupported(const std::string& what);

class ArchKeys {
 public:
  ArchKeys(const loader::Metadata& metadata, std::string prefix);

  // A size from 1 on, or the fallback, which may be less.
  int size(const std::string& key, std::optional<int> fallback = {});
  double number(const std::string& key, std::optional<double> fallback = {});
  bool flag(const std::string& key, bool fallback);

  const std::optional<Error>& problem() const { return problem_; }

 private:
  void keep(const Error& error);

  const loader::Metadata& metadata_;
  const std::string prefix_;
  std::optional<Error> problem_;
};

}  // namespace spillway::local
