// Rows of a file's four bits, Q4_0 or Q4_1, as the kernels have them: kInt4 of kernels/kernels.h
// and what follows it. No code changes; scales are rounded to bf16.
//
// Pure functions, any thread; needs no CUDA.
#pragma once

#include "backends/local/loader/model_file.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace spillway::local::cuda {

// What a row takes.
struct Int4Row {
  std::int64_t code_bytes = 0;
  std::int64_t groups = 0;
  std::int64_t group_bytes = 0;  // Of the scale of each, with its zero point.

  std::int64_t bytes() const { return code_bytes + groups * group_bytes; }
};

Int4Row int4_row(const loader::FourBitGroups& groups, std::int64_t columns);

// Where a row goes: its codes, and what its first group has, of which the next one is `stride`
// bytes away.
struct Int4Place {
  std::byte* codes = nullptr;
  std::byte* groups = nullptr;
  std::int64_t stride = 0;
};

// Requires: `row` is of whole blocks of the type, and the file is in such groups.
void pack_int4_row(std::span<const std::byte> row, loader::TensorType type,
                   const loader::FourBitGroups& groups, const Int4Place& to);

}  // namespace spillway::local::cuda
