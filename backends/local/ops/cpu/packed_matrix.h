// A weight matrix in 4 or 8 bits, laid out for dot products of bytes: 16 rows side by side.
//
// A plain value without torch; immutable once packed, any thread. Weights are grouped by 32 along a
// row, as in GGUF's Q4_0, Q4_1 and Q8_0, which pack without loss; other types are rounded to 8 bits
// a group.
//   four bits:  w = scale · q + offset, q in 0 … 15        eight bits:  w = scale · q, q in -127 …
//   127
// A block is 16 rows × all columns. Within it, group after group; within a group, lines of 64
// bytes, in which each of the 16 rows has a word of 32 bits: eight columns in four bits, four
// columns in eight. Within a word, columns stand so that one shift and one mask leave two
// neighbours in its two halves of 16 bits: see column_at. Scales (and offsets) are halves, 16 a
// group, in the order of the rows.
#pragma once

#include "backends/local/loader/tensor.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace spillway::local::ops {

inline constexpr int kBlockRows = 16;
inline constexpr int kGroup = 32;

enum class Bits { four, eight };

// Columns in a line, and which of them is the field at `position`, counted from the lowest bits of
// the word: in four bits 0 2 4 6 1 3 5 7, in eight bits 0 2 1 3.
constexpr int line_columns(Bits bits) { return bits == Bits::four ? 8 : 4; }
constexpr int column_at(Bits bits, int position) {
  return bits == Bits::four ? position % 4 * 2 + position / 4 : position % 2 * 2 + position / 2;
}

// Memory for SIMD: aligned to a cache line.
struct AlignedDelete {
  void operator()(std::byte* memory) const;
};
using AlignedBytes = std::unique_ptr<std::byte[], AlignedDelete>;
AlignedBytes allocate_aligned(std::size_t bytes);

// A row of some tensor.
struct RowSource {
  const loader::Tensor* tensor = nullptr;
  std::int64_t row = 0;
};

class PackedMatrix {
 public:
  // Packs the rows in this order. Requires: the same number of columns in all, a multiple of 32,
  // and types with a dequantiser.
  explicit PackedMatrix(const std::vector<RowSource>& rows);

  int rows() const { return rows_; }
  int columns() const { return columns_; }
  int blocks() const { return (rows_ + kBlockRows - 1) / kBlockRows; }
  int groups() const { return columns_ / kGroup; }
  Bits bits() const { return bits_; }

  // Where a block begins: weights, and scales as halves (16 scales, then 16 offsets if in four
  // bits, a group).
  const std::uint8_t* weights(int block) const;
  const std::uint16_t* scales(int block) const;

  // One row as floats.
  void read_row(int row, float* out) const;

 private:
  struct Group;

  std::size_t group_weight_bytes() const { return bits_ == Bits::four ? 256 : 512; }
  std::size_t group_scales() const { return bits_ == Bits::four ? 32 : 16; }
  void put(int row, int group, const Group& values);
  Group get(int row, int group) const;

  int rows_ = 0;
  int columns_ = 0;
  Bits bits_ = Bits::eight;
  AlignedBytes weights_;
  AlignedBytes scales_;
};

}  // namespace spillway::local::ops
