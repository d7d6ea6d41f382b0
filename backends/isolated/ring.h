// Frames of bytes, one way, from one process to another, through memory that both have mapped.
//
// One thread writes at a time and one reads. Neither trusts the other: each keeps its own position
// to itself and checks what the other says of its own, and a frame is copied before anybody looks
// at it. Nothing here blocks. Who reads sleeps on a bell (an eventfd); who writes rings it only if
// it must, and only when told to, so that many frames cost one wake-up.
#pragma once

#include "backends/contract/error.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace spillway::isolated {

// The layout in memory: this, and behind it the bytes. All zero at the start.
struct RingHead {
  alignas(64) std::atomic<std::uint64_t> written{0};  // Bytes, ever.
  alignas(64) std::atomic<std::uint64_t> read{0};
  alignas(64) std::atomic<std::uint32_t> reader_sleeps{0};
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

class RingWriter {
 public:
  // `bell` is the reader's; it and the memory stay their owner's. Requires: `capacity` is a power
  // of two.
  RingWriter(RingHead* head, std::size_t capacity, int bell)
      : head_(head), capacity_(capacity), bell_(bell) {}

  // False: there is no room for it now.
  bool write(std::string_view frame);

  // The reader looks at what has been written.
  void wake();

 private:
  void put(std::string_view bytes);

  RingHead* const head_;
  const std::size_t capacity_;
  const int bell_;
  std::uint64_t written_ = 0;
};

class RingReader {
 public:
  RingReader(RingHead* head, std::size_t capacity) : head_(head), capacity_(capacity) {}

  // The next frame into `frame`; false if there is none now. An error: what the writer says cannot
  // be, and the ring is of no more use.
  Result<bool> read(std::string& frame);

  // True: nothing is there, and the bell will ring when something is. Else look again.
  bool may_sleep();

 private:
  RingHead* const head_;
  const std::size_t capacity_;
  std::uint64_t read_ = 0;
};

}  // namespace spillway::isolated
