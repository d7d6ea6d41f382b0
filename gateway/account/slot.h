// What one request owes, from the moment it is allowed to cost something until that is in the book:
// a fixed piece of shared memory with a file behind it, so that it outlives the process at any
// instruction. Written by the request's thread until it is settled, read by the ledger thread.
#pragma once

#include "backends/contract/chat.h"
#include "config/settings.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace spillway::account {

using config::NanoUsd;

// A short text in place. What does not fit is left off.
template <std::size_t N>
class ShortText {
 public:
  void operator=(std::string_view text) {
    size_ = static_cast<std::uint16_t>(std::min(text.size(), N));
    if (size_ > 0) std::memcpy(bytes_.data(), text.data(), size_);
  }
  std::string_view view() const { return {bytes_.data(), std::min<std::size_t>(size_, N)}; }

 private:
  std::uint16_t size_;
  std::array<char, N> bytes_;
};

// What one target gave, and what it is owed for it.
struct Leg {
  ShortText<64> target;
  ShortText<96> model;  // The target's own name for it.
  bool local;
  bool estimated;  // The target did not tell its usage: counted as it passed.
  Usage usage;
  NanoUsd amount;
};

enum class SlotState : std::uint32_t {
  free,
  held,     // The request may cost up to `held`.
  settled,  // It is over: `legs` say what it cost; none, if it cost nothing.
};

// Targets of one request that are booked apart; what more of them gave is added to the last.
constexpr std::size_t kLegsMax = 6;

struct alignas(64) Slot {
  std::atomic<SlotState> state;
  std::atomic<NanoUsd> held;
  std::int64_t held_at;  // Milliseconds since 1970.
  ShortText<96> id;      // Of the request: what it is booked under, once.
  ShortText<64> tenant;
  ShortText<64> key;
  ShortText<64> project;

  // From here on written when it is settled.
  std::int64_t settled_at;
  ShortText<64> request_class;
  ShortText<64> endpoint;
  ShortText<128> model;  // As the client asked for it.
  NanoUsd avoided;
  std::uint32_t legs_used;
  std::array<Leg, kLegsMax> legs;
  std::uint64_t checksum;  // Of what is booked: a power cut may leave half a slot.
};
static_assert(sizeof(Slot) <= 2048 && std::is_standard_layout_v<Slot>);
static_assert(std::atomic<NanoUsd>::is_always_lock_free);

// What `checksum` must be.
std::uint64_t checksum_of(const Slot& slot);

}  // namespace spillway::account
