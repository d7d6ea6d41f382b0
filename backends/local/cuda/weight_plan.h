// Which tensors of a model file each room of a GPU decoder's weights is made of.
//
// Plain values of a spec; needs no CUDA.
#pragma once

#include "backends/local/arch/arch_spec.h"

#include <cstdint>
#include <string>
#include <vector>

namespace spillway::local::cuda {

// Rows of one tensor. A bias is rows of one element, so that its order can be undone as well.
struct WeightSource {
  std::string tensor;
  std::int64_t rows = 1;
  std::int64_t columns = 0;
  std::vector<std::int64_t> row_order = {};  // Row i is row row_order[i] of the file; empty: i.
  // Of a larger tensor only these: its rows from here on, or columns of all its rows.
  std::int64_t first_row = 0;
  std::int64_t rows_in_all = 0;  // 0: rows
  std::int64_t first_column = 0;
  std::int64_t columns_in_all = 0;  // 0: columns
  bool less_one = false;            // The file has what the values are more than 1.

  std::int64_t tensor_rows() const { return rows_in_all > 0 ? rows_in_all : rows; }
  std::int64_t tensor_columns() const { return columns_in_all > 0 ? columns_in_all : columns; }
};

struct PlannedRoom {
  std::string name;
  std::vector<WeightSource> sources;  // One below the other.
};

// Of every room of rooms_of.
std::vector<PlannedRoom> weight_plan(const ArchSpec& spec);

}  // namespace spillway::local::cuda
