#include "backends/local/cuda/int4_rows.h"

#include "backends/local/cuda/file_weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace spillway::local::cuda {

namespace {

constexpr std::int64_t kUnit = 128;  // Columns that lie together, filled up with zeros.
constexpr std::int64_t kBlock = 32;  // Of GGUF's, which begin with a half or two.
constexpr std::uint32_t kOneTwentyEight = 0x4300;
constexpr float kMiddle = 8.0f;
constexpr float kZeroMax = 15.0f;

float half_at(const std::byte* at) {
  _Float16 half;
  std::memcpy(&half, at, sizeof half);
  return static_cast<float>(half);
}

// Codes of columns 0, 2, 4, 6, 1, 3, 5, 7, the first one lowest. `eight`: a byte each.
std::uint32_t word_of(std::uint64_t eight) {
  const auto four = [](std::uint64_t codes) {  // Two bytes each.
    codes &= 0x000f'000f'000f'000fU;
    codes |= codes >> 12;
    return static_cast<std::uint32_t>((codes & 0xffU) | (codes >> 24 & 0xff00U));
  };
  return four(eight) | four(eight >> 8) << 16;
}

// Value i of a block is the lower half of byte i, value i + 16 the upper one.
void put_codes(const std::byte* nibbles, std::byte* to) {
  std::uint64_t bytes[2];
  std::memcpy(bytes, nibbles, sizeof bytes);
  const std::uint32_t words[] = {word_of(bytes[0]), word_of(bytes[1]), word_of(bytes[0] >> 4),
                                 word_of(bytes[1] >> 4)};
  std::memcpy(to, words, sizeof words);
}

void put_group(const std::byte* block, loader::TensorType type, bool zeros, std::byte* to) {
  const float scale = half_at(block);
  const std::uint16_t bits = to_bf16(scale);
  if (!zeros) {
    std::memcpy(to, &bits, sizeof bits);
    return;
  }
  const bool has_offset = type == loader::TensorType::q4_1 && scale != 0.0f;
  const float zero = has_offset ? std::rint(-half_at(block + 2) / scale) : kMiddle;
  const std::uint32_t word =
      std::uint32_t{bits} << 16 |
      (kOneTwentyEight + static_cast<std::uint32_t>(std::clamp(zero, 0.0f, kZeroMax)));
  std::memcpy(to, &word, sizeof word);
}

}  // namespace

Int4Row int4_row(const loader::FourBitGroups& groups, std::int64_t columns) {
  const std::int64_t units = (columns + kUnit - 1) / kUnit;
  return {units * kUnit / 2, units * (kUnit / groups.columns), groups.zeros ? 4 : 2};
}

void pack_int4_row(std::span<const std::byte> row, loader::TensorType type,
                   const loader::FourBitGroups& groups, const Int4Place& to) {
  const auto size = static_cast<std::int64_t>(loader::layout_of(type).bytes);
  const std::int64_t blocks = std::ssize(row) / size;
  const Int4Row whole = int4_row(groups, blocks * kBlock);
  const std::int64_t blocks_of_group = groups.columns / kBlock;
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::byte* const from = row.data() + block * size;
    put_codes(from + size - kBlock / 2, to.codes + block * kBlock / 2);
    if (block % blocks_of_group != 0) continue;
    put_group(from, type, groups.zeros, to.groups + block / blocks_of_group * to.stride);
  }
  const std::int64_t written = blocks * kBlock / 2;
  std::memset(to.codes + written, 0, static_cast<std::size_t>(whole.code_bytes - written));
  for (std::int64_t group = (blocks + blocks_of_group - 1) / blocks_of_group; group < whole.groups;
       ++group) {
    std::memset(to.groups + group * to.stride, 0, static_cast<std::size_t>(whole.group_bytes));
  }
}

}  // namespace spillway::local::cuda
