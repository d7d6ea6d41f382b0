// Activations in 16 bits for dot products of integers: x ≈ scale · q, a scale for each 32 columns.
//
// 8 bits would cost two of a hundred greedy tokens; 16 cost none, and no memory traffic where it
// matters, since weights are what a small batch waits for. Plain memory without torch, filled by
// several threads on different rows. Rows lie in tiles of tile_rows(), but for the last, which has
// what is left: within a tile, for each pair of columns, the rows' pairs side by side, so that a
// kernel reads a tile from front to back.
#pragma once

#include "backends/local/ops/cpu/packed_matrix.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace spillway::local::ops {

// Rows in a tile at most: their sums fill the registers of AVX-512.
inline constexpr int kTileRows = 12;

class QuantizedRows {
 public:
  // Makes room; what was there is lost. Requires: columns % 32 == 0.
  void resize(int rows, int columns);

  int rows() const { return rows_; }
  int groups() const { return columns_ / kGroup; }
  int tiles() const { return tile_rows_ == 0 ? 0 : (rows_ + tile_rows_ - 1) / tile_rows_; }
  int tile_rows() const { return tile_rows_; }
  int rows_of(int tile) const { return std::min(tile_rows_, rows_ - tile * tile_rows_); }

  // A tile's values, [groups, 16 pairs, rows_of(tile), 2]; its scales and the sums of a group's
  // values (what an offset of the weights multiplies), [groups, rows_of(tile)].
  const std::int16_t* values(int tile) const {
    return values_ + std::ptrdiff_t{tile} * tile_rows_ * columns_;
  }
  const float* scales(int tile) const {
    return scales_ + std::ptrdiff_t{tile} * tile_rows_ * groups();
  }
  const float* sums(int tile) const { return sums_ + std::ptrdiff_t{tile} * tile_rows_ * groups(); }

  // Rounds `columns` floats into a row.
  void put(int row, const float* x);

  // As put, of x / sqrt(mean(x²) + epsilon) · weight.
  void put_normed(int row, const float* x, const float* weight, float epsilon);

 private:
  int rows_ = 0;
  int columns_ = 0;
  int tile_rows_ = 0;
  std::size_t room_ = 0;  // Values allocated.
  AlignedBytes memory_;
  std::int16_t* values_ = nullptr;
  float* scales_ = nullptr;
  float* sums_ = nullptr;
};

}  // namespace spillway::local::ops
