// One quantized matrix of a folder: its parts checked against each other, and the same weights as a
// type that every executor reads.
//
// Four bits become GGUF's blocks without loss: Q4_0 where every zero point is 8, else Q4_1, whose
// offset, a half, rounds by less than a 200th of a step. Where columns of a block have different
// scales (GPTQ's desc_act), or a scale is none of a half's normal numbers, and in eight bits, they
// become bf16. Start-up only; any thread, once made.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/loader/quantization_internal.h"
#include "backends/local/loader/tensor.h"

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace spillway::loader {

// What lies under a matrix's name, by the last word of each: "qweight", "scales".
using MatrixParts = std::map<std::string, Tensor, std::less<>>;

struct QuantizedMatrix {
  Tensor tensor;  // Without its bytes; the type is the smallest that holds it.
  // The bytes, as that type or, of four bits, a later one of Q4_0, Q4_1, BF16. Slow; the parts'
  // file must still be there.
  std::function<std::vector<std::byte>(TensorType type)> bytes;
};

// Errors name the part that is missing or wrong, and what was expected. `stem`: what the parts'
// names begin with, less the dot.
Result<QuantizedMatrix> four_bit_matrix(const Quantization& how, const std::string& stem,
                                        const MatrixParts& parts);
Result<QuantizedMatrix> e4m3_matrix(const Quantization& how, const std::string& stem,
                                    const MatrixParts& parts);

// The part, of this shape and one of these types.
Result<Tensor> part_of(const MatrixParts& parts, const std::string& stem, std::string_view suffix,
                       const std::vector<std::int64_t>& shape,
                       std::initializer_list<TensorType> types);

// The nearest, even among equals.
std::uint16_t bf16_bits(float value);

}  // namespace spillway::loader
