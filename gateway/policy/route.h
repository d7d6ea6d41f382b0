// Who serves a model name that clients may ask for. Made once by the Router from the settings;
// plain values.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace spillway::policy {

struct Offer {
  std::string_view model;      // The target's own name for it.
  std::string_view served_as;  // The name it is served under here.
  std::size_t provider = 0;    // Index into Settings::providers; meaningless for the local engine.
};

struct Route {
  std::optional<Offer> local;
  std::vector<Offer> providers;  // In the order of the configuration.
  bool alias = false;            // The policy chooses among everybody.

  // The name stands for one target: it leaves no choice, not even to the class.
  bool fixed() const { return !alias && providers.size() + (local ? 1 : 0) == 1; }
};

}  // namespace spillway::policy
