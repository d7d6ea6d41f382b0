#include "backends/local/loader/quantized_matrix_internal.h"

#include <algorithm>
#include <bit>

namespace spillway::loader {
namespace {

std::string text_of(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t size : shape) text += (text.empty() ? "" : " x ") + std::to_string(size);
  return text.empty() ? "one number" : text;
}

}  // namespace

Result<Tensor> part_of(const MatrixParts& parts, const std::string& stem, std::string_view suffix,
                       const std::vector<std::int64_t>& shape,
                       std::initializer_list<TensorType> types) {
  const std::string name = stem + "." + std::string(suffix);
  const auto found = parts.find(suffix);
  if (found == parts.end()) {
    return Error{Errc::internal, "tensor " + name + " is missing, expected " + text_of(shape), "",
                 std::nullopt};
  }
  const Tensor& part = found->second;
  if (part.shape != shape) {
    return Error{Errc::internal,
                 "tensor " + name + " is " + text_of(part.shape) + ", expected " + text_of(shape),
                 "", std::nullopt};
  }
  if (std::ranges::find(types, part.type) == types.end()) {
    return Error{Errc::internal,
                 "tensor " + name + " has type " + std::string(layout_of(part.type).name) +
                     ", expected " + std::string(layout_of(*types.begin()).name),
                 "", std::nullopt};
  }
  return part;
}

std::uint16_t bf16_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (value != value) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

}  // namespace spillway::loader
