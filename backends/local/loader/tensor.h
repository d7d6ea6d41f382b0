// A tensor as it lies in a model file: name, type, shape and its raw bytes.
//
// A plain value that points into the mapping of the file it came from, which must outlive it. Any
// thread. Its rows may lie in several pieces: folders keep each expert apart, where GGUF stacks
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::loader {

// The numbers are GGUF's own, but the last. A type that is missing here (retired or exotic) is
// refused when the file is opened.
enum class TensorType : std::uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  i8 = 24,
  i16 = 25,
  i32 = 26,
  i64 = 27,
  f64 = 28,
  bf16 = 30,
  f8_e4m3 = 1'000,  // Of folders, with scales apart.
};

// How a type is stored: `elements` consecutive values of a row share one block of `bytes`.
struct BlockLayout {
  TensorType type;
  std::string_view name;  // As in llama.cpp: "Q4_1"
  int elements;
  int bytes;
};

// Nothing if the number is not one of TensorType's.
std::optional<BlockLayout> layout_of(std::uint32_t type_number);
BlockLayout layout_of(TensorType type);

struct Tensor {
  std::string name;
  TensorType type = TensorType::f32;
  std::vector<std::int64_t> shape;  // Outermost first, as torch writes it: a linear layer is {out,
                                    // in}. GGUF stores the reverse.
  // All rows, in pieces of equally many, each of them contiguous.
  std::vector<std::span<const std::byte>> pieces;

  std::int64_t columns() const { return shape.empty() ? 1 : shape.back(); }  // Values in a row.
  std::int64_t rows() const;  // All outer dimensions together.
  std::int64_t row_bytes() const;
  std::span<const std::byte> row(std::int64_t index) const;  // Requires: 0 <= index < rows().
  // As many of `count` rows from `first` on as lie one behind the other: one at the least.
  // Requires: they are rows of this tensor.
  std::span<const std::byte> run(std::int64_t first, std::int64_t count) const;
};

}  // namespace spillway::loader
