#include "backends/local/loader/quantization_internal.h"

#include <array>
#include <string>
#include <utility>

namespace spillway::loader {
namespace {

constexpr std::int64_t kGroupStep = 32;  // What GGUF's four bits share a scale in.
constexpr std::int64_t kBlockMax = 1 << 20;

Error unread(const std::string& key, const Json& value, const std::string& read) {
  return {Errc::internal,
          "quantization_config: " + key + " is " + value.dump().substr(0, 64) + ": " + read, "",
          std::nullopt};
}

// -1: a scale for a whole row.
Result<std::int64_t> group_of(const Json& config) {
  const Json& group = at_or_null(config, "group_size");
  if (group == -1) return 0;
  if (group.is_number_integer() && group >= kGroupStep && group <= kBlockMax &&
      group.get<std::int64_t>() % kGroupStep == 0) {
    return group.get<std::int64_t>();
  }
  return unread("group_size", group, "multiples of 32 are read, and -1");
}

Result<Quantization> of_four_bits(Packing packing, const Json& config) {
  const Json& bits = at_or_null(config, "bits");
  if (bits != 4) return unread("bits", bits, "4 are read");
  auto group = group_of(config);
  if (!group) return group.error();
  return Quantization{.packing = packing, .group = *group};
}

Result<Quantization> of_gptq(const Json& config) {
  auto read = of_four_bits(Packing::gptq, config);
  if (!read) return read;
  const Json& format = at_or_null(config, "checkpoint_format");
  read->zeros_less_one = format.is_null() || format == "gptq";
  if (read->zeros_less_one || format == "gptq_v2") return read;
  return unread("checkpoint_format", format, "gptq and gptq_v2 are read");
}

Result<Quantization> of_awq(const Json& config) {
  const Json& version = at_or_null(config, "version");
  if (!version.is_null() && version != "gemm" && version != "GEMM")
    return unread("version", version, "gemm is read");
  return of_four_bits(Packing::awq, config);
}

Result<Quantization> of_blocks(const Json& config) {
  Quantization read{.packing = Packing::e4m3};
  const Json& block = at_or_null(config, "weight_block_size");
  if (block.is_null()) return read;
  const auto is_size = [](const Json& size) {
    return size.is_number_integer() && size >= 1 && size <= kBlockMax;
  };
  if (!block.is_array() || block.size() != 2 || !is_size(block[0]) || !is_size(block[1]))
    return unread("weight_block_size", block, "two numbers are read");
  read.scale_rows = block[0].get<std::int64_t>();
  read.scale_columns = block[1].get<std::int64_t>();
  return read;
}

// All groups of modules must be quantized alike.
Result<Quantization> of_compressed_tensors(const Json& config) {
  const Json& groups = at_or_null(config, "config_groups");
  if (!groups.is_object() || groups.empty()) return unread("config_groups", groups, "one is read");
  const Json& weights = at_or_null(groups.front(), "weights");
  for (const Json& group : groups) {
    if (at_or_null(group, "weights") != weights)
      return unread("config_groups", groups, "groups with the same weights are read");
  }
  const Json& format = at_or_null(config, "format");
  const Json& bits = at_or_null(weights, "num_bits");
  if (format == "float-quantized" && bits == 8) return Quantization{.packing = Packing::e4m3};
  if (format != "pack-quantized" || bits != 4 || at_or_null(weights, "type") == "float") {
    return unread("format", format,
                  "pack-quantized of 4 bits and float-quantized of 8 bits are read");
  }
  Quantization read{.packing = Packing::rows};
  if (at_or_null(weights, "strategy") == "channel") return read;
  const auto group = group_of(weights);
  if (!group) return group.error();
  read.group = *group;
  return read;
}

using Reader = Result<Quantization> (*)(const Json& config);

constexpr std::array<std::pair<std::string_view, Reader>, 4> kMethods = {
    {{"gptq", of_gptq},
     {"awq", of_awq},
     {"compressed-tensors", of_compressed_tensors},
     {"fp8", of_blocks}}};

}  // namespace

Result<Quantization> quantization_of(const Json& config) {
  const Json& quantized = at_or_null(config, "quantization_config");
  if (quantized.is_null()) return Quantization{};
  const Json& method = at_or_null(quantized, "quant_method");
  for (const auto& [name, read] : kMethods) {
    if (method == name) return read(quantized);
  }
  return unread("quant_method", method, "gptq, awq, compressed-tensors and fp8 are read");
}

}  // namespace spillway::loader
