#include "backends/local/loader/dequantize.h"
#include "backends/local/loader/quantized_matrix_internal.h"

#include <array>
#include <cmath>
#include <cstring>
#include <limits>

namespace spillway::loader {
namespace {

// Four bits of exponent from -6, three of mantissa; no infinities, one pattern that is no number.
float from_e4m3(int bits) {
  const int exponent = bits >> 3 & 15;
  const int mantissa = bits & 7;
  const float size = exponent == 15 && mantissa == 7 ? std::numeric_limits<float>::quiet_NaN()
                     : exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                     : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return bits < 128 ? size : -size;
}

std::array<float, 256> all_e4m3() {
  std::array<float, 256> values;
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = from_e4m3(static_cast<int>(i));
  return values;
}

// The scales of a matrix, a block of rows and columns each.
struct Scales {
  std::vector<float> values;
  std::int64_t rows = 0;     // Of the matrix, that share one…
  std::int64_t columns = 0;  // …and columns.
  std::int64_t in_a_row = 1;

  float at(std::int64_t row, std::int64_t column) const {
    return values[static_cast<std::size_t>(row / rows * in_a_row + column / columns)];
  }
};

Result<Scales> scales_of(const Quantization& how, const std::string& stem, const MatrixParts& parts,
                         const Tensor& codes) {
  const std::string suffix =
      parts.contains("weight_scale_inv") ? "weight_scale_inv" : "weight_scale";
  Scales scales{.rows = codes.rows(), .columns = codes.columns()};
  std::vector<std::int64_t> shape;
  const auto found = parts.find(suffix);
  const bool is_one = found != parts.end() && found->second.rows() * found->second.columns() == 1;
  if (how.scale_rows > 0) {
    scales.rows = how.scale_rows;
    scales.columns = how.scale_columns;
    scales.in_a_row = (codes.columns() + scales.columns - 1) / scales.columns;
    shape = {(codes.rows() + scales.rows - 1) / scales.rows, scales.in_a_row};
  } else if (is_one) {
    shape = found->second.shape;
  } else {
    scales.rows = 1;
    shape = {codes.rows(), 1};
  }
  const auto part =
      part_of(parts, stem, suffix, shape, {TensorType::f32, TensorType::bf16, TensorType::f16});
  if (!part) return part.error();
  scales.values.resize(static_cast<std::size_t>(part->rows() * part->columns()));
  if (const auto read = dequantize(*part, scales.values); !read) return read.error();
  return scales;
}

std::vector<std::byte> values_of(const Tensor& codes, const Scales& scales) {
  static const std::array<float, 256> kValues = all_e4m3();
  const auto bytes = codes.pieces.front();
  std::vector<std::byte> out(bytes.size() * 2);
  const std::int64_t columns = codes.columns();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    const float code = kValues[static_cast<std::size_t>(bytes[i])];
    const std::uint16_t value = bf16_bits(code * scales.at(at / columns, at % columns));
    std::memcpy(out.data() + i * 2, &value, sizeof value);
  }
  return out;
}

}  // namespace

Result<QuantizedMatrix> e4m3_matrix(const Quantization& how, const std::string& stem,
                                    const MatrixParts& parts) {
  const auto found = parts.find("weight");
  if (found == parts.end() || found->second.shape.size() != 2)
    return Error{Errc::internal, "tensor " + stem + ".weight is no matrix of type F8_E4M3"};
  const Tensor codes = found->second;
  auto scales = scales_of(how, stem, parts, codes);
  if (!scales) return scales.error();
  QuantizedMatrix out;
  out.tensor = {stem + ".weight", TensorType::bf16, codes.shape, {}};
  out.bytes = [codes, scales = std::move(*scales)](TensorType) { return values_of(codes, scales); };
  return out;
}

}  // namespace spillway::loader
