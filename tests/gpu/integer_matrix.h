// Matrices of 8 and 4 bits as the host has them, and as kernels.h says that they lie in memory.
#pragma once

#include "backends/local/kernels/kernels.h"
#include "backends/local/quantize/integer_codes.h"
#include "backends/local/quantize/round_trip.h"
#include "tests/gpu/device_array.h"

#include <algorithm>

namespace spillway::gpu_test {

using kernels::WeightFormat;
namespace quantize = local::quantize;

inline constexpr int kGroup = quantize::kInt4Group;

inline int groups_of(int columns) { return (columns + kGroup - 1) / kGroup; }

inline std::vector<Bf16> random_weights(int rows, int columns) {
  auto values = random_bf16(std::size_t(rows) * columns, 1.0f / std::sqrt(float(columns)));
  std::fill_n(values.begin(), columns, Bf16(0.0f));  // A row of zeros is one, too.
  return values;
}

class HostMatrix {
 public:
  // As the host packs values.
  HostMatrix(std::vector<Bf16> values, int columns, WeightFormat format)
      : HostMatrix(static_cast<int>(values.size()) / columns, columns, format) {
    this->values = std::move(values);
    for (int row = 0; row < rows; ++row) {
      for (int from = 0; from < columns; from += span()) {
        pack(row, from, std::min(columns, from + span()));
      }
    }
  }

  // Any scales and zero points, and codes around these: weights of a plausible size.
  static HostMatrix random(int rows, int columns, WeightFormat format) {
    if (!kernels::has_zeros(format)) return {random_weights(rows, columns), columns, format};
    HostMatrix matrix(rows, columns, format);
    for (int i = 0; i < rows * matrix.groups(); ++i) {
      const float size = float(random_int(50, 150)) / (400.0f * std::sqrt(float(columns)));
      matrix.scales.push_back(Bf16(random_int(0, 9) == 0 ? -size : size));
      matrix.zeros.push_back(random_int(0, 15));
    }
    std::normal_distribution<float> normal(0.0f, 4.0f);
    for (std::size_t i = 0; i < matrix.codes.size(); ++i) {
      const int zero = matrix.zeros[matrix.group_at(int(i / columns), int(i % columns))];
      matrix.codes[i] = std::clamp(zero + int(std::lround(normal(generator()))), 0, 15);
    }
    return matrix;
  }

  double operator()(int row, int column) const {
    const int zero = zeros.empty() ? (format == kernels::kInt8 ? 0 : quantize::kInt4Zero)
                                   : zeros[group_at(row, column)];
    return double(codes[std::size_t(row) * columns + column] - zero) * scale(row, column);
  }
  float scale(int row, int column) const { return scales[group_at(row, column)]; }

  std::vector<std::uint8_t> bytes() const {
    std::vector<std::uint8_t> out;
    if (format == kernels::kInt8) {
      for (const int code : codes) out.push_back(static_cast<std::uint8_t>(code));
      return out;
    }
    out.assign(std::size_t(rows) * groups_of(columns) * kGroup / 2, 0x88);
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const std::size_t row = i / columns, column = i % columns;
      const std::size_t nibble = column % 8 / 2 + column % 2 * 4;
      auto& byte = out[(row * groups_of(columns) * kGroup + column / 8 * 8 + nibble) / 2];
      const int shift = nibble % 2 * 4;
      byte = static_cast<std::uint8_t>((byte & ~(15 << shift)) | codes[i] << shift);
    }
    return out;
  }

  std::vector<std::uint8_t> scale_bytes() const {
    std::vector<std::uint8_t> out;
    const auto put = [&](auto value) {
      const auto* const from = reinterpret_cast<const std::uint8_t*>(&value);
      out.insert(out.end(), from, from + sizeof value);
    };
    if (format == kernels::kInt8) {
      for (const float scale : scales) put(scale);
      return out;
    }
    const int whole = groups_of(columns) * kGroup / span();
    for (int group = 0; group < whole; ++group) {
      for (int row = 0; row < rows; ++row) {
        const bool exists = group < groups();
        const std::size_t at = std::size_t(row) * groups() + group;
        const std::uint32_t bits = exists ? Bf16(scales[at]).bits : 0;
        if (zeros.empty()) {
          put(static_cast<std::uint16_t>(bits));
        } else {
          put(bits << 16 | Bf16(128.0f + float(exists ? zeros[at] : 0)).bits);
        }
      }
    }
    return out;
  }

  std::vector<Bf16> values;  // What it was packed from.
  int columns;
  int rows;
  WeightFormat format;
  std::vector<int> codes;
  std::vector<float> scales;  // [rows, groups], and so are zeros, if there are any.
  std::vector<int> zeros;

 private:
  HostMatrix(int rows, int columns, WeightFormat format)
      : columns(columns), rows(rows), format(format), codes(std::size_t(rows) * columns) {}

  int span() const { return format == kernels::kInt8 ? columns : kernels::group_columns(format); }
  int groups() const { return (columns + span() - 1) / span(); }
  std::size_t group_at(int row, int column) const {
    return std::size_t(row) * groups() + column / span();
  }

  void pack(int row, int from, int to) {
    const auto first = values.begin() + long(std::size_t(row) * columns);
    const auto [smallest, largest] = std::minmax_element(first + from, first + to);
    const std::vector<float> group(first + from, first + to);
    const float scale = format == kernels::kInt8
                            ? quantize::int8_scale(std::max(float(*largest), -float(*smallest)))
                            : quantize::int4_scale_of(group);
    for (int i = from; i < to; ++i) {
      codes[std::size_t(row) * columns + i] = format == kernels::kInt8
                                                  ? quantize::int8_code(first[i], scale)
                                                  : quantize::int4_code(first[i], scale);
    }
    scales.push_back(scale);
  }
};

// The same on the device.
struct DeviceMatrix {
  explicit DeviceMatrix(const HostMatrix& matrix)
      : bytes(matrix.bytes()), scales(matrix.scale_bytes()) {}
  DeviceArray<std::uint8_t> bytes, scales;
};

}  // namespace spillway::gpu_test
