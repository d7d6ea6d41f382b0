// Reads little-endian values from bytes of unknown quality, never past their end.
//
// A value type for one thread. After the first read that does not fit, `ok()` is false, every
// further read returns zero or empty, and `failure()` says what was being read and where; callers
// check once after a group of reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace spillway::loader {

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  bool ok() const { return failure_.empty(); }
  const std::string& failure() const { return failure_; }
  std::size_t position() const { return at_; }
  std::size_t remaining() const { return bytes_.size() - at_; }

  // `what` names the thing read, for the failure text.
  template <class T>
  T read(std::string_view what) {
    const std::span<const std::byte> field = take(sizeof(T), what);
    T value{};
    if (!field.empty()) std::memcpy(&value, field.data(), sizeof value);
    return value;
  }

  std::span<const std::byte> take(std::uint64_t size, std::string_view what) {
    if (!ok()) return {};
    if (size > remaining()) {
      fail(std::string(what) + " needs " + std::to_string(size) + " bytes, " +
           std::to_string(remaining()) + " are left");
      return {};
    }
    const std::span<const std::byte> taken = bytes_.subspan(at_, static_cast<std::size_t>(size));
    at_ += taken.size();
    return taken;
  }

  // A string as GGUF writes it: its length in 64 bits, then its bytes.
  std::string_view read_text(std::string_view what) {
    const auto length = read<std::uint64_t>(what);
    const std::span<const std::byte> text = take(length, what);
    return {reinterpret_cast<const char*>(text.data()), text.size()};
  }

  // Records the first failure only.
  void fail(std::string_view why) {
    if (ok()) failure_ = "at byte " + std::to_string(at_) + ": " + std::string(why);
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  std::string failure_;
};

}  // namespace spillway::loader
