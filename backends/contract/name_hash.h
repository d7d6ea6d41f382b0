// FNV-1a of a name: the same on every machine and in every run, which std::hash does not promise.
#pragma once

#include <cstdint>
#include <string_view>

namespace spillway {

constexpr std::uint64_t hash_of_name(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace spillway
