#include "backends/local/loader/tensor.h"

#include <algorithm>
#include <array>
#include <cassert>

namespace spillway::loader {
namespace {

constexpr std::array kLayouts = {
    BlockLayout{TensorType::f32, "F32", 1, 4},
    BlockLayout{TensorType::f16, "F16", 1, 2},
    BlockLayout{TensorType::q4_0, "Q4_0", 32, 18},
    BlockLayout{TensorType::q4_1, "Q4_1", 32, 20},
    BlockLayout{TensorType::q5_0, "Q5_0", 32, 22},
    BlockLayout{TensorType::q5_1, "Q5_1", 32, 24},
    BlockLayout{TensorType::q8_0, "Q8_0", 32, 34},
    BlockLayout{TensorType::q4_k, "Q4_K", 256, 144},
    BlockLayout{TensorType::q5_k, "Q5_K", 256, 176},
    BlockLayout{TensorType::q6_k, "Q6_K", 256, 210},
    BlockLayout{TensorType::i8, "I8", 1, 1},
    BlockLayout{TensorType::i16, "I16", 1, 2},
    BlockLayout{TensorType::i32, "I32", 1, 4},
    BlockLayout{TensorType::i64, "I64", 1, 8},
    BlockLayout{TensorType::f64, "F64", 1, 8},
    BlockLayout{TensorType::bf16, "BF16", 1, 2},
    BlockLayout{TensorType::f8_e4m3, "F8_E4M3", 1, 1},
};

}  // namespace

std::optional<BlockLayout> layout_of(std::uint32_t type_number) {
  const auto found =
      std::ranges::find(kLayouts, static_cast<TensorType>(type_number), &BlockLayout::type);
  if (found == kLayouts.end()) return std::nullopt;
  return *found;
}

BlockLayout layout_of(TensorType type) {
  const auto layout = layout_of(static_cast<std::uint32_t>(type));
  assert(layout);
  return *layout;
}

std::int64_t Tensor::rows() const {
  std::int64_t rows = 1;
  for (std::size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  return rows;
}

std::int64_t Tensor::row_bytes() const {
  const BlockLayout layout = layout_of(type);
  return columns() / layout.elements * layout.bytes;
}

std::span<const std::byte> Tensor::row(std::int64_t index) const { return run(index, 1); }

std::span<const std::byte> Tensor::run(std::int64_t first, std::int64_t count) const {
  assert(first >= 0 && count > 0 && first + count <= rows());
  const std::int64_t rows_a_piece = rows() / std::ssize(pieces);
  const std::int64_t inside = first % rows_a_piece;
  const std::int64_t taken = std::min(count, rows_a_piece - inside);
  const auto& piece = pieces[static_cast<std::size_t>(first / rows_a_piece)];
  return piece.subspan(static_cast<std::size_t>(inside * row_bytes()),
                       static_cast<std::size_t>(taken * row_bytes()));
}

}  // namespace spillway::loader
