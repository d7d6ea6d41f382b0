// In how many bits weights are kept, what that is called, and what a matrix takes.
//
// Pure functions of plain values, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace spillway::local {

enum class Precision { fp32, bf16, fp8, int8, int4 };

std::string_view name_of(Precision precision);

// Nothing: there is none of that name.
std::optional<Precision> precision_named(std::string_view name);

// Of a matrix of weights with its scales: a float for each row in fp8 and int8; in int4, 16 bits
// for each 128 columns of a row, which are padded to such groups.
std::int64_t matrix_bytes(Precision precision, std::int64_t rows, std::int64_t columns);

}  // namespace spillway::local
