// MD5 (RFC 1321), with which clients say what the parts of an upload should make together. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace spillway::files {

class Md5 {
 public:
  void add(std::string_view bytes);

  // 32 hexadecimal digits in lower case; nothing may be added after it.
  std::string hex();

 private:
  void take_block(const unsigned char* block);

  std::array<std::uint32_t, 4> state_ = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  std::string rest_;  // Less than a block.
  std::uint64_t bytes_ = 0;
};

}  // namespace spillway::files
