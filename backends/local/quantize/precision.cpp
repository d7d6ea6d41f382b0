#include "backends/local/quantize/precision.h"

#include "backends/local/quantize/integer_codes.h"

#include <array>
#include <utility>

namespace spillway::local {

namespace {

constexpr std::array<std::pair<Precision, std::string_view>, 5> kNames = {
    {{Precision::fp32, "fp32"},
     {Precision::bf16, "bf16"},
     {Precision::fp8, "fp8"},
     {Precision::int8, "int8"},
     {Precision::int4, "int4"}}};

std::int64_t groups_of(std::int64_t columns) {
  return (columns + quantize::kInt4Group - 1) / quantize::kInt4Group;
}

std::int64_t scale_bytes(Precision precision, std::int64_t rows, std::int64_t columns) {
  if (precision == Precision::fp8 || precision == Precision::int8) return 4 * rows;
  return precision == Precision::int4 ? 2 * rows * groups_of(columns) : 0;
}

}  // namespace

std::string_view name_of(Precision precision) {
  return kNames[static_cast<std::size_t>(precision)].second;
}

std::optional<Precision> precision_named(std::string_view name) {
  for (const auto& [precision, its_name] : kNames) {
    if (its_name == name) return precision;
  }
  return std::nullopt;
}

std::int64_t matrix_bytes(Precision precision, std::int64_t rows, std::int64_t columns) {
  const std::int64_t scales = scale_bytes(precision, rows, columns);
  switch (precision) {
    case Precision::fp32: return 4 * rows * columns;
    case Precision::bf16: return 2 * rows * columns;
    case Precision::fp8:
    case Precision::int8: return rows * columns + scales;
    case Precision::int4: break;
  }
  return rows * groups_of(columns) * (quantize::kInt4Group / 2) + scales;
}

}  // namespace spillway::local
