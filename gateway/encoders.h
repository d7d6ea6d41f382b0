// The encoders of this process, by the names of their targets. Loaded once, at a start; afterwards
// immutable, and for any thread.
#pragma once

#include "backends/contract/backend.h"
#include "config/settings.h"

#include <functional>
#include <map>
#include <memory>
#include <string>

namespace spillway {

class Encoders {
 public:
  using Load = std::function<Result<std::unique_ptr<Backend>>(const config::ProviderTarget&)>;

  // Blocks until all are loaded. The error says what to change.
  Result<void> load(const config::Settings& settings, const Load& load);

  // One that a reload brought is loaded at the next start; until then it is unavailable.
  std::shared_ptr<Backend> of(const std::string& target) const;

 private:
  std::map<std::string, std::shared_ptr<Backend>> loaded_;
};

// Whether there are providers besides, which answer what the engine would.
bool has_clouds(const config::Settings& settings);

}  // namespace spillway
