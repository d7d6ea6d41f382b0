// Whose turn it is among providers that are asked in turns, as often as their weights say.
//
// Weighted rendezvous hashing (Thaler and Ravishankar 1998; Schindelhauer and Schomaker 2005): each
// provider draws a place for each request, by its name and the request's own number, and the
// smallest comes first. So a provider that drops out, or comes, moves the requests of its own share
// and no others, and who follows is drawn by the same weights. Pure.
#pragma once

#include "backends/contract/name_hash.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>

namespace spillway::policy {

inline double turn_of(std::uint64_t draw, std::string_view provider, double weight) {
  if (weight <= 0.0) return std::numeric_limits<double>::infinity();
  return -std::log1p(-share_of(mixed(draw) ^ hash_of_name(provider))) / weight;
}

}  // namespace spillway::policy
