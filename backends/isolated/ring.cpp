#include "backends/isolated/ring.h"

#include <algorithm>
#include <cstring>
#include <unistd.h>

namespace spillway::isolated {
namespace {

using Length = std::uint32_t;

std::byte* bytes_of(RingHead* head) { return reinterpret_cast<std::byte*>(head + 1); }

Error nonsense() {
  return {Errc::internal, "the other process writes what cannot be read", "", std::nullopt};
}

}  // namespace

bool RingWriter::write(std::string_view frame) {
  const std::uint64_t unread = written_ - head_->read.load(std::memory_order_acquire);
  const std::uint64_t needed = sizeof(Length) + frame.size();
  if (unread > capacity_ || needed > capacity_ - unread) return false;
  const auto length = static_cast<Length>(frame.size());
  put({reinterpret_cast<const char*>(&length), sizeof length});
  put(frame);
  head_->written.store(written_, std::memory_order_seq_cst);
  return true;
}

void RingWriter::wake() {
  if (head_->reader_sleeps.load(std::memory_order_seq_cst) == 0) return;
  if (head_->reader_sleeps.exchange(0, std::memory_order_seq_cst) == 0) return;
  const std::uint64_t one = 1;
  (void)!::write(bell_, &one, sizeof one);  // Can only fail if it has been rung already.
}

void RingWriter::put(std::string_view bytes) {
  const std::size_t at = written_ & (capacity_ - 1);
  const std::size_t first = std::min(bytes.size(), capacity_ - at);
  std::memcpy(bytes_of(head_) + at, bytes.data(), first);
  std::memcpy(bytes_of(head_), bytes.data() + first, bytes.size() - first);
  written_ += bytes.size();
}

Result<bool> RingReader::read(std::string& frame) {
  const std::uint64_t unread = head_->written.load(std::memory_order_acquire) - read_;
  if (unread == 0) return false;
  if (unread > capacity_ || unread < sizeof(Length)) return nonsense();
  const auto get = [&](char* to, std::size_t count) {
    const std::size_t at = read_ & (capacity_ - 1);
    const std::size_t first = std::min(count, capacity_ - at);
    std::memcpy(to, bytes_of(head_) + at, first);
    std::memcpy(to + first, bytes_of(head_), count - first);
    read_ += count;
  };
  Length length = 0;
  get(reinterpret_cast<char*>(&length), sizeof length);
  if (length > unread - sizeof length) return nonsense();
  frame.resize(length);
  get(frame.data(), length);
  head_->read.store(read_, std::memory_order_release);
  return true;
}

bool RingReader::may_sleep() {
  head_->reader_sleeps.store(1, std::memory_order_seq_cst);
  if (head_->written.load(std::memory_order_seq_cst) == read_) return true;
  head_->reader_sleeps.store(0, std::memory_order_seq_cst);
  return false;
}

}  // namespace spillway::isolated
