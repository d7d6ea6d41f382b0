#include "backends/local/loader/safetensors.h"

#include "backends/local/loader/byte_reader.h"
#include "backends/local/loader/json_internal.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace spillway::loader {
namespace {

constexpr std::uint64_t kTableBytesMax = 16U << 20;
constexpr std::size_t kDimensionsMax = 8;
constexpr std::int64_t kElementsMax = std::int64_t{1} << 48;
constexpr std::size_t kNameBytesMax = 1'024;

constexpr std::array<std::pair<std::string_view, TensorType>, 9> kTypes = {{
    {"F32", TensorType::f32},
    {"F16", TensorType::f16},
    {"BF16", TensorType::bf16},
    {"F64", TensorType::f64},
    {"I64", TensorType::i64},
    {"I32", TensorType::i32},
    {"I16", TensorType::i16},
    {"I8", TensorType::i8},
    {"F8_E4M3", TensorType::f8_e4m3},
}};

struct Entry {
  Tensor tensor;
  std::uint64_t begin = 0;  // From the start of the data.
  std::uint64_t end = 0;
};

// A whole number that is not negative.
std::optional<std::uint64_t> whole(const Json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  return value.get<std::uint64_t>();
}

// What is wrong with a tensor's entry of the table, or nothing.
std::string read_type(const Json& entry, Tensor& tensor) {
  const Json& type = at_or_null(entry, "dtype");
  if (!type.is_string()) return "has no dtype";
  const auto& name = type.get_ref<const std::string&>();
  const auto known = std::ranges::find(kTypes, name, [](const auto& one) { return one.first; });
  if (known == kTypes.end()) {
    return "has dtype " + name.substr(0, 32) + ", which is not read: F32, F16 and BF16 are";
  }
  tensor.type = known->second;
  return {};
}

std::string read_shape(const Json& entry, Tensor& tensor) {
  const Json& shape = at_or_null(entry, "shape");
  if (!shape.is_array() || shape.size() > kDimensionsMax) {
    return "has no shape of at most " + std::to_string(kDimensionsMax) + " dimensions";
  }
  std::int64_t elements = 1;
  for (const Json& dimension : shape) {
    const auto size = whole(dimension);
    if (!size || *size == 0 || *size > static_cast<std::uint64_t>(kElementsMax / elements)) {
      return "has a dimension of " + dimension.dump().substr(0, 32) + " elements";
    }
    tensor.shape.push_back(static_cast<std::int64_t>(*size));
    elements *= tensor.shape.back();
  }
  return {};
}

std::string read_offsets(const Json& entry, std::uint64_t data_bytes, Entry& out) {
  const Json& offsets = at_or_null(entry, "data_offsets");
  if (!offsets.is_array() || offsets.size() != 2) return "has no data_offsets of two numbers";
  const auto begin = whole(offsets[0]);
  const auto end = whole(offsets[1]);
  if (!begin || !end || *begin > *end) return "has data_offsets that are no range of bytes";
  if (*end > data_bytes) {
    return "ends at byte " + std::to_string(*end) + " of the data, which has " +
           std::to_string(data_bytes) + ": is the file cut off?";
  }
  const auto needed = static_cast<std::uint64_t>(out.tensor.rows() * out.tensor.row_bytes());
  if (*end - *begin != needed) {
    return "has " + std::to_string(*end - *begin) + " bytes, and its shape needs " +
           std::to_string(needed);
  }
  out.begin = *begin;
  out.end = *end;
  return {};
}

std::string read_entry(const Json& json, std::uint64_t data_bytes, Entry& entry) {
  if (!json.is_object()) return "is described by something other than an object";
  for (const auto& read : {read_type, read_shape}) {
    if (std::string problem = read(json, entry.tensor); !problem.empty()) return problem;
  }
  return read_offsets(json, data_bytes, entry);
}

// Tensors lie one behind the other and fill the file.
std::string check_order(const std::vector<Entry>& entries, std::uint64_t data_bytes) {
  std::uint64_t at = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != at) {
      return "tensor \"" + entry.tensor.name + "\" begins at byte " + std::to_string(entry.begin) +
             " of the data, and the one before it ends at " + std::to_string(at);
    }
    at = entry.end;
  }
  if (at == data_bytes) return {};
  return "the data has " + std::to_string(data_bytes) + " bytes, and its tensors end at " +
         std::to_string(at);
}

}  // namespace

Result<std::vector<Tensor>> read_safetensors(std::span<const std::byte> file,
                                             const std::string& path) {
  const auto failed = [&](const std::string& why) {
    return Error{Errc::internal, path + ": " + why};
  };
  ByteReader in(file);
  const auto length = in.read<std::uint64_t>("the table's length");
  if (in.ok() && length > kTableBytesMax) {
    in.fail("the table's length is " + std::to_string(length) +
            " bytes: this is no safetensors file, or it is damaged");
  }
  const auto text = in.take(length, "the table");
  if (!in.ok()) return failed(in.failure());
  const auto table =
      parse_json({reinterpret_cast<const char*>(text.data()), text.size()}, path + ": its table");
  if (!table) return table.error();
  if (!table->is_object()) return failed("its table is not a JSON object");

  const auto data = file.subspan(in.position());
  std::vector<Entry> entries;
  for (const auto& [name, json] : table->items()) {
    if (name == "__metadata__") continue;
    if (name.empty() || name.size() > kNameBytesMax) {
      return failed("a tensor's name is empty or absurdly long");
    }
    Entry& entry = entries.emplace_back();
    entry.tensor.name = name;
    const std::string problem = read_entry(json, data.size(), entry);
    if (!problem.empty()) return failed("tensor \"" + name + "\" " + problem);
  }
  std::ranges::sort(entries, {}, &Entry::begin);
  if (const std::string problem = check_order(entries, data.size()); !problem.empty()) {
    return failed(problem);
  }
  std::vector<Tensor> tensors;
  for (Entry& entry : entries) {
    entry.tensor.pieces = {data.subspan(static_cast<std::size_t>(entry.begin),
                                        static_cast<std::size_t>(entry.end - entry.begin))};
    tensors.push_back(std::move(entry.tensor));
  }
  return tensors;
}

}  // namespace spillway::loader
