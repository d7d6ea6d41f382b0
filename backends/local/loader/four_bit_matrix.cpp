#include "backends/local/loader/dequantize.h"
#include "backends/local/loader/quantized_matrix_internal.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>

namespace spillway::loader {
namespace {

constexpr std::int64_t kFields = 8;  // Of four bits in a word.
constexpr std::int64_t kBlock = 32;  // Of Q4_0 and Q4_1.
constexpr int kMiddle = 8;           // The zero point of Q4_0.
constexpr float kHalfMin = 0x1p-14F;
constexpr float kHalfMax = 65'504.0F;

// Fields of four bits by row and column, eight neighbours of one or the other to a word.
struct Fields {
  std::span<const std::byte> words;
  bool share_rows = false;         // Eight rows share a word; else eight columns.
  bool interleaved = false;        // Of eight neighbours, first the even ones: AWQ.
  std::int64_t row_stride = 0;     // In words; of eight rows where they share one.
  std::int64_t column_stride = 0;  // Likewise.

  int at(std::int64_t row, std::int64_t column) const {
    const std::int64_t shared = share_rows ? row : column;
    const std::int64_t neighbour = shared % kFields;
    const std::int64_t word = (share_rows ? row / kFields : row) * row_stride +
                              (share_rows ? column : column / kFields) * column_stride;
    std::uint32_t bits;
    std::memcpy(&bits, words.data() + word * 4, sizeof bits);
    return bits >> 4 * (interleaved ? neighbour % 2 * 4 + neighbour / 2 : neighbour) & 15;
  }
};

// A matrix as its file has it.
struct FourBits {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t groups = 0;
  std::int64_t group = 0;  // Columns.
  Fields codes;
  Fields zeros;  // By row and group; no words: all are 8.
  bool zeros_less_one = false;
  std::vector<float> scales;                // [rows, groups]
  std::vector<std::int32_t> group_of = {};  // Of each column; empty: in their order.

  std::int64_t group_at(std::int64_t column) const {
    return group_of.empty() ? column / group : group_of[static_cast<std::size_t>(column)];
  }
  float scale(std::int64_t row, std::int64_t at_group) const {
    return scales[static_cast<std::size_t>(row * groups + at_group)];
  }
  int zero(std::int64_t row, std::int64_t at_group) const {
    if (zeros.words.empty()) return kMiddle;
    // One less than none wraps around, as it did for who stored it.
    return (zeros.at(row, at_group) + (zeros_less_one ? 1 : 0)) & 15;
  }

  TensorType smallest_type() const {
    for (std::int64_t column = 0; column < columns; ++column) {
      if (group_at(column) != group_at(column / kBlock * kBlock)) return TensorType::bf16;
    }
    const auto is_half = [](float scale) {
      const float size = std::abs(scale);
      return size == 0.0F || (size >= kHalfMin && size * kMiddle * 2 <= kHalfMax);
    };
    if (!std::ranges::all_of(scales, is_half)) return TensorType::bf16;
    for (std::int64_t at_group = 0; at_group < groups; ++at_group) {
      for (std::int64_t row = 0; row < rows; ++row) {
        if (zero(row, at_group) != kMiddle) return TensorType::q4_1;
      }
    }
    return TensorType::q4_0;
  }
};

void put_half(std::byte* to, float value) {
  const auto half = static_cast<_Float16>(value);
  std::memcpy(to, &half, sizeof half);
}

// See dequantize.cpp for the blocks. Rows inside, since they are neighbours in most files.
std::vector<std::byte> blocks_of(const FourBits& matrix, TensorType type) {
  const auto size = static_cast<std::size_t>(layout_of(type).bytes);
  const std::int64_t blocks = matrix.columns / kBlock;
  std::vector<std::byte> out(static_cast<std::size_t>(matrix.rows * blocks) * size);
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::int64_t column = block * kBlock;
    const std::int64_t group = matrix.group_at(column);
    for (std::int64_t row = 0; row < matrix.rows; ++row) {
      std::byte* to = out.data() + static_cast<std::size_t>(row * blocks + block) * size;
      const float scale = matrix.scale(row, group);
      put_half(to, scale);
      if (type == TensorType::q4_1)
        put_half(to + 2, -scale * static_cast<float>(matrix.zero(row, group)));
      to += size - kBlock / 2;
      for (std::int64_t i = 0; i < kBlock / 2; ++i) {
        const int low = matrix.codes.at(row, column + i);
        const int high = matrix.codes.at(row, column + i + kBlock / 2);
        to[i] = static_cast<std::byte>(low | high << 4);
      }
    }
  }
  return out;
}

std::vector<std::byte> values_of(const FourBits& matrix) {
  std::vector<std::byte> out(static_cast<std::size_t>(matrix.rows * matrix.columns) * 2);
  for (std::int64_t column = 0; column < matrix.columns; ++column) {
    const std::int64_t group = matrix.group_at(column);
    for (std::int64_t row = 0; row < matrix.rows; ++row) {
      const int code = matrix.codes.at(row, column) - matrix.zero(row, group);
      const auto value = bf16_bits(static_cast<float>(code) * matrix.scale(row, group));
      std::memcpy(out.data() + (row * matrix.columns + column) * 2, &value, sizeof value);
    }
  }
  return out;
}

// Finds the parts of one matrix.
class PartReader {
 public:
  PartReader(const Quantization& how, const std::string& stem, const MatrixParts& parts)
      : how_(how), stem_(stem), parts_(parts) {}

  Result<FourBits> read() {
    if (const auto sized = measure(); !sized) return sized.error();
    for (const auto step : {&PartReader::read_codes, &PartReader::read_zeros,
                            &PartReader::read_scales, &PartReader::read_order}) {
      if (const auto done = (this->*step)(); !done) return done.error();
    }
    return std::move(out_);
  }

 private:
  bool is_rows() const { return how_.packing == Packing::rows; }
  bool is_awq() const { return how_.packing == Packing::awq; }

  Error wrong(const std::string& what) const {
    return {Errc::internal, "tensor " + what, "", std::nullopt};
  }

  // The matrix's size, by its codes'.
  Result<void> measure() {
    const std::string name = stem_ + (is_rows() ? ".weight_packed" : ".qweight");
    const auto found = parts_.find(is_rows() ? "weight_packed" : "qweight");
    if (found == parts_.end()) return wrong(name + " is missing");
    const auto& shape = found->second.shape;
    if (shape.size() != 2) return wrong(name + " is no matrix");
    const bool is_gptq = how_.packing == Packing::gptq;
    out_.rows = is_rows() ? shape[0] : is_gptq ? shape[1] : shape[1] * kFields;
    out_.columns = is_rows() ? shape[1] * kFields : is_gptq ? shape[0] * kFields : shape[0];
    out_.group = how_.group > 0 ? how_.group : out_.columns;
    out_.groups = (out_.columns + out_.group - 1) / out_.group;
    if (out_.columns % kBlock == 0 && (is_rows() || out_.rows % kFields == 0)) return {};
    return wrong(name + " is of " + std::to_string(out_.rows) + " x " +
                 std::to_string(out_.columns) +
                 " weights, expected multiples of 8 rows and 32 columns");
  }

  Result<void> read_codes() {
    const std::int64_t words_a_row = out_.columns / kFields;
    const std::int64_t words_a_column = out_.rows / kFields;
    Result<Tensor> codes =
        is_rows()  ? part("weight_packed", {out_.rows, words_a_row}, {TensorType::i32})
        : is_awq() ? part("qweight", {out_.columns, words_a_column}, {TensorType::i32})
                   : part("qweight", {words_a_row, out_.rows}, {TensorType::i32});
    if (!codes) return codes.error();
    out_.codes = {.words = codes->pieces.front(),
                  .share_rows = is_awq(),
                  .interleaved = is_awq(),
                  .row_stride = is_rows() ? words_a_row : 1,
                  .column_stride = is_rows()  ? 1
                                   : is_awq() ? words_a_column
                                              : out_.rows};
    return {};
  }

  Result<void> read_zeros() {
    const std::int64_t words = (out_.rows + kFields - 1) / kFields;
    const bool none = is_rows() && !parts_.contains("weight_zero_point");
    if (none) return {};
    const auto zeros = is_rows()
                           ? part("weight_zero_point", {words, out_.groups}, {TensorType::i32})
                           : part("qzeros", {out_.groups, words}, {TensorType::i32});
    if (!zeros) return zeros.error();
    out_.zeros = {.words = zeros->pieces.front(),
                  .share_rows = true,
                  .interleaved = is_awq(),
                  .row_stride = is_rows() ? out_.groups : 1,
                  .column_stride = is_rows() ? 1 : words};
    out_.zeros_less_one = how_.zeros_less_one;
    return {};
  }

  Result<void> read_scales() {
    const auto types = {TensorType::f16, TensorType::bf16, TensorType::f32};
    const auto scales = is_rows() ? part("weight_scale", {out_.rows, out_.groups}, types)
                                  : part("scales", {out_.groups, out_.rows}, types);
    if (!scales) return scales.error();
    out_.scales.resize(static_cast<std::size_t>(out_.rows * out_.groups));
    if (const auto read = dequantize(*scales, out_.scales); !read) return read.error();
    if (is_rows()) return {};
    auto turned = out_.scales;
    for (std::int64_t group = 0; group < out_.groups; ++group) {
      for (std::int64_t row = 0; row < out_.rows; ++row) {
        turned[static_cast<std::size_t>(row * out_.groups + group)] =
            out_.scales[static_cast<std::size_t>(group * out_.rows + row)];
      }
    }
    out_.scales = std::move(turned);
    return {};
  }

  // Which group each column belongs to, where a file says.
  Result<void> read_order() {
    const std::string suffix = is_rows() ? "weight_g_idx" : "g_idx";
    if (!parts_.contains(suffix)) return {};
    const auto order = part(suffix, {out_.columns}, {TensorType::i32});
    if (!order) return order.error();
    std::vector<std::int32_t> group_of(static_cast<std::size_t>(out_.columns));
    std::memcpy(group_of.data(), order->pieces.front().data(), group_of.size() * 4);
    for (std::size_t i = 0; i < group_of.size(); ++i) {
      if (group_of[i] >= 0 && group_of[i] < out_.groups) continue;
      return wrong(stem_ + "." + suffix + " has " + std::to_string(group_of[i]) + " at " +
                   std::to_string(i) + ", expected one of " + std::to_string(out_.groups) +
                   " groups");
    }
    out_.group_of = std::move(group_of);
    return {};
  }

  Result<Tensor> part(std::string_view suffix, const std::vector<std::int64_t>& shape,
                      std::initializer_list<TensorType> types) const {
    return part_of(parts_, stem_, suffix, shape, types);
  }

  const Quantization& how_;
  const std::string& stem_;
  const MatrixParts& parts_;
  FourBits out_;
};

}  // namespace

Result<QuantizedMatrix> four_bit_matrix(const Quantization& how, const std::string& stem,
                                        const MatrixParts& parts) {
  auto read = PartReader(how, stem, parts).read();
  if (!read) return read.error();
  // Functions must be copyable.
  const auto matrix = std::make_shared<const FourBits>(std::move(*read));
  QuantizedMatrix out;
  out.tensor = {stem + ".weight", matrix->smallest_type(), {matrix->rows, matrix->columns}, {}};
  out.bytes = [matrix](TensorType type) {
    return type == TensorType::bf16 ? values_of(*matrix) : blocks_of(*matrix, type);
  };
  return out;
}

}  // namespace spillway::loader
