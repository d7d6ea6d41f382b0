// What tests ask an engine: one prompt.
#pragma once

#include "backends/local/engine/engine_door.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace spillway::local {

inline Prompts one_prompt(std::vector<std::int32_t> tokens) {
  return std::make_shared<const std::vector<std::vector<std::int32_t>>>(1, std::move(tokens));
}

inline Prompts one_prompt(std::size_t size, std::int32_t token) {
  return one_prompt(std::vector<std::int32_t>(size, token));
}

}  // namespace spillway::local
