#include "backends/local/loader/quantized_folder_internal.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <numeric>
#include <thread>
#include <utility>

namespace spillway::loader {
namespace {

constexpr std::int64_t kGroupMax = 128;  // Of FourBitGroups.

constexpr std::array<std::string_view, 9> kFourBits = {
    "qweight",       "qzeros",       "scales",       "g_idx",
    "weight_packed", "weight_scale", "weight_shape", "weight_zero_point",
    "weight_g_idx"};
constexpr std::array<std::string_view, 3> kE4m3 = {"weight_scale", "weight_scale_inv",
                                                   "input_scale"};

bool is_zero(const Tensor& tensor) {
  return std::ranges::all_of(tensor.pieces.front(), [](std::byte b) { return b == std::byte{0}; });
}

// GPTQ writes biases for layers that have none.
bool is_empty_bias(std::string_view stem, std::string_view suffix, const Tensor& tensor) {
  const bool may_have =
      stem.ends_with("q_proj") || stem.ends_with("k_proj") || stem.ends_with("v_proj");
  return suffix == "bias" && !may_have && is_zero(tensor);
}

// How much it takes to hold what of a lesser one.
int rank_of(TensorType type) {
  return type == TensorType::q4_0 ? 0 : type == TensorType::q4_1 ? 1 : 2;
}

void make(const std::vector<QuantizedMatrix>& matrices, TensorType type,
          const std::vector<std::vector<std::byte>*>& out) {
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < matrices.size(); i = next++) *out[i] = matrices[i].bytes(type);
  };
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i)
    threads.emplace_back(work);
}

}  // namespace

bool QuantizedFolder::take(const Tensor& tensor) {
  if (how_.packing == Packing::none) return false;
  const std::size_t dot = tensor.name.rfind('.');
  if (dot == std::string::npos) return false;
  const std::string stem = tensor.name.substr(0, dot);
  const std::string_view suffix = std::string_view(tensor.name).substr(dot + 1);
  if (how_.packing == Packing::gptq && is_empty_bias(stem, suffix, tensor)) return true;
  const bool is_part =
      how_.packing == Packing::e4m3
          ? tensor.type == TensorType::f8_e4m3 || std::ranges::find(kE4m3, suffix) != kE4m3.end()
          : std::ranges::find(kFourBits, suffix) != kFourBits.end();
  if (is_part) parts_[stem].emplace(suffix, tensor);
  return is_part;
}

Result<std::vector<Tensor>> QuantizedFolder::matrices(bool with_bytes,
                                                      std::deque<std::vector<std::byte>>& made) {
  const auto read = how_.packing == Packing::e4m3 ? e4m3_matrix : four_bit_matrix;
  std::vector<QuantizedMatrix> matrices;
  TensorType type = TensorType::q4_0;
  for (const auto& [stem, parts] : parts_) {
    auto matrix = read(how_, stem, parts);
    if (!matrix) return matrix.error();
    if (rank_of(matrix->tensor.type) > rank_of(type)) type = matrix->tensor.type;
    matrices.push_back(std::move(*matrix));
  }
  if (!matrices.empty() && (type == TensorType::q4_0 || type == TensorType::q4_1)) {
    const std::int64_t columns = std::gcd(how_.group, kGroupMax);  // Of 0, a whole row: the most.
    const bool zeros = type == TensorType::q4_1 || columns < kGroupMax;
    four_bits_ = {static_cast<int>(columns), zeros};
  }
  std::vector<std::vector<std::byte>*> bytes;
  if (with_bytes) {
    for (std::size_t i = 0; i < matrices.size(); ++i) bytes.push_back(&made.emplace_back());
    make(matrices, type, bytes);
  }
  std::vector<Tensor> tensors;
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    Tensor& tensor = tensors.emplace_back(std::move(matrices[i].tensor));
    tensor.type = type;
    if (with_bytes) tensor.pieces = {*bytes[i]};
  }
  return tensors;
}

}  // namespace spillway::loader
