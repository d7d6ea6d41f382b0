// Hashes that are the same on every machine and in every run, which std::hash does not promise.
#pragma once

#include <cstdint>
#include <string_view>

namespace spillway {

// FNV-1a.
constexpr std::uint64_t hash_of_name(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

// The finalizer of SplitMix64: what differs in one bit is far from each other afterwards.
constexpr std::uint64_t mixed(std::uint64_t bits) {
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
  return bits ^ (bits >> 31);
}

// Evenly spread over [0, 1).
constexpr double share_of(std::uint64_t bits) {
  return static_cast<double>(mixed(bits) >> 11) * 0x1p-53;
}

}  // namespace spillway
