#include "backends/local/loader/gguf.h"

#include "backends/local/loader/byte_reader.h"

#include <bit>
#include <limits>

static_assert(std::endian::native == std::endian::little, "GGUF files are read in place");

namespace spillway::loader {
namespace {

constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr std::uint64_t kKeyBytesMax = 65'535;
constexpr std::uint64_t kTensorNameBytesMax = 1'024;
constexpr std::uint32_t kDimensionsMax = 4;
constexpr std::uint64_t kSmallestEntry = 8 + 4 + 1;  // A key's length, a type, one byte of value.
constexpr std::uint64_t kSmallestTensor =
    8 + 4 + 4 + 8;  // A name's length, dimensions, type, offset.
constexpr std::int64_t kElementsMax = std::int64_t{1} << 48;

struct Header {
  std::uint64_t tensors = 0;
  std::uint64_t entries = 0;
};

Header read_header(ByteReader& in) {
  Header header;
  if (in.read<std::uint32_t>("the magic") != kMagic) {
    in.fail("this is not a GGUF file: it does not begin with \"GGUF\"");
    return header;
  }
  const auto version = in.read<std::uint32_t>("the version");
  if (version != 2 && version != 3) {
    const bool swapped = version != 0 && (version & 0xFFFF) == 0;
    in.fail(swapped
                ? "big-endian GGUF files are not supported"
                : "GGUF version " + std::to_string(version) + " is not supported (2 and 3 are)");
    return header;
  }
  header.tensors = in.read<std::uint64_t>("the number of tensors");
  header.entries = in.read<std::uint64_t>("the number of metadata keys");
  if (header.tensors > in.remaining() / kSmallestTensor) {
    in.fail(std::to_string(header.tensors) + " tensors cannot fit in this file");
  }
  if (header.entries > in.remaining() / kSmallestEntry) {
    in.fail(std::to_string(header.entries) + " metadata keys cannot fit in this file");
  }
  return header;
}

// Bytes of one element; 0 for strings and arrays, and for numbers that are no type.
std::size_t width_of(ValueType type) {
  switch (type) {
    case ValueType::uint8:
    case ValueType::int8:
    case ValueType::boolean: return 1;
    case ValueType::uint16:
    case ValueType::int16: return 2;
    case ValueType::uint32:
    case ValueType::int32:
    case ValueType::float32: return 4;
    case ValueType::uint64:
    case ValueType::int64:
    case ValueType::float64: return 8;
    default: return 0;
  }
}

// The payload of an array, walked once so that later reads need no checks.
void read_array(ByteReader& in, std::span<const std::byte> all, MetadataValue& value) {
  value.element = static_cast<ValueType>(in.read<std::uint32_t>("an array's element type"));
  value.count = in.read<std::uint64_t>("an array's length");
  const std::size_t begin = in.position();
  if (value.element == ValueType::string) {
    for (std::uint64_t i = 0; i < value.count && in.ok(); ++i) in.read_text("a string in an array");
    value.payload = all.subspan(begin, in.position() - begin);
    return;
  }
  const std::size_t width = width_of(value.element);
  if (width == 0) {
    in.fail("arrays of value type " + std::to_string(static_cast<std::uint32_t>(value.element)) +
            " are not supported");
    return;
  }
  if (value.count > in.remaining() / width) {
    in.fail("an array of " + std::to_string(value.count) + " elements cannot fit in this file");
    return;
  }
  value.payload = in.take(value.count * width, "an array");
}

MetadataValue read_value(ByteReader& in, std::span<const std::byte> all) {
  MetadataValue value;
  const auto type = in.read<std::uint32_t>("a value's type");
  value.type = value.element = static_cast<ValueType>(type);
  if (value.type == ValueType::array) {
    read_array(in, all, value);
  } else if (value.type == ValueType::string) {
    const std::string_view text = in.read_text("a string value");
    value.payload = std::as_bytes(std::span(text));
  } else if (const std::size_t width = width_of(value.type)) {
    value.payload = in.take(width, "a value");
  } else {
    in.fail("value type " + std::to_string(type) + " does not exist");
  }
  return value;
}

void read_metadata(ByteReader& in, std::span<const std::byte> all, std::uint64_t count,
                   Metadata& metadata) {
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    const std::string_view key = in.read_text("a metadata key");
    if (key.empty() || key.size() > kKeyBytesMax)
      in.fail("a metadata key is empty or absurdly long");
    const MetadataValue value = read_value(in, all);
    if (in.ok() && !metadata.add(key, value))
      in.fail("metadata key \"" + std::string(key) + "\" appears twice");
  }
}

// Shape, outermost first; empty after a failure.
std::vector<std::int64_t> read_shape(ByteReader& in, const std::string& name) {
  const auto dimensions = in.read<std::uint32_t>("a tensor's number of dimensions");
  if (dimensions > kDimensionsMax) {
    in.fail("tensor \"" + name + "\" has " + std::to_string(dimensions) +
            " dimensions (at most 4)");
    return {};
  }
  std::vector<std::int64_t> shape(dimensions);
  std::int64_t elements = 1;
  for (std::size_t i = dimensions; i-- > 0;) {
    const auto size = in.read<std::uint64_t>("a tensor's dimension");
    if (!in.ok()) return {};
    if (size == 0 || size > static_cast<std::uint64_t>(kElementsMax / elements)) {
      in.fail("tensor \"" + name + "\" has a dimension of " + std::to_string(size) + " elements");
      return {};
    }
    shape[i] = static_cast<std::int64_t>(size);
    elements *= shape[i];
  }
  return shape;
}

struct TensorEntry {
  Tensor tensor;
  std::uint64_t offset = 0;  // From the start of the data.
  std::uint64_t size = 0;
};

TensorEntry read_tensor_entry(ByteReader& in) {
  TensorEntry entry;
  Tensor& tensor = entry.tensor;
  const std::string_view name = in.read_text("a tensor's name");
  if (name.empty() || name.size() > kTensorNameBytesMax) {
    in.fail("a tensor's name is empty or absurdly long");
    return entry;
  }
  tensor.name = name;
  tensor.shape = read_shape(in, tensor.name);
  const auto type = in.read<std::uint32_t>("a tensor's type");
  entry.offset = in.read<std::uint64_t>("a tensor's offset");
  if (!in.ok()) return entry;

  const auto layout = layout_of(type);
  if (!layout) {
    in.fail("tensor \"" + tensor.name + "\" has type " + std::to_string(type) +
            ", which is not supported");
    return entry;
  }
  tensor.type = layout->type;
  if (tensor.columns() % layout->elements != 0) {
    in.fail("tensor \"" + tensor.name + "\" has rows of " + std::to_string(tensor.columns()) +
            " values, which " + std::string(layout->name) + " cannot store");
    return entry;
  }
  entry.size =
      static_cast<std::uint64_t>(tensor.rows()) * static_cast<std::uint64_t>(tensor.row_bytes());
  return entry;
}

// Points the tensor at its bytes, or says why they cannot be where the file claims.
std::string place(TensorEntry& entry, std::span<const std::byte> data, std::uint64_t alignment) {
  const std::string name = "tensor \"" + entry.tensor.name + "\"";
  if (entry.offset % alignment != 0)
    return name + ": offset " + std::to_string(entry.offset) + " is not aligned";
  if (entry.offset > data.size() || entry.size > data.size() - entry.offset) {
    return name + ": its " + std::to_string(entry.size) + " bytes at offset " +
           std::to_string(entry.offset) + " go past the end of the data (" +
           std::to_string(data.size()) + " bytes): is the file cut off?";
  }
  entry.tensor.pieces = {
      data.subspan(static_cast<std::size_t>(entry.offset), static_cast<std::size_t>(entry.size))};
  return {};
}

Result<std::uint64_t> alignment_of(const Metadata& metadata) {
  const auto alignment = metadata.integer("general.alignment", 32);
  if (!alignment) return alignment.error();
  if (*alignment <= 0 || *alignment > (1 << 20) ||
      !std::has_single_bit(static_cast<std::uint64_t>(*alignment))) {
    return Error{Errc::internal,
                 "general.alignment is " + std::to_string(*alignment) + ", not a power of two"};
  }
  return static_cast<std::uint64_t>(*alignment);
}

// Rows of a head's queries and keys in files of this architecture.
RopeRows rope_rows_of(const Metadata& metadata) {
  const auto architecture = metadata.text("general.architecture", "");
  return architecture && *architecture == "llama" ? RopeRows::pairs : RopeRows::halves;
}

Result<void> parse(std::span<const std::byte> all, ModelContents& contents) {
  ByteReader in(all);
  const Header header = read_header(in);
  if (in.ok()) read_metadata(in, all, header.entries, contents.metadata);
  std::vector<TensorEntry> entries;
  for (std::uint64_t i = 0; i < header.tensors && in.ok(); ++i)
    entries.push_back(read_tensor_entry(in));
  if (!in.ok()) return Error{Errc::internal, in.failure()};

  const auto alignment = alignment_of(contents.metadata);
  if (!alignment) return alignment.error();
  const std::uint64_t begin = (in.position() + *alignment - 1) / *alignment * *alignment;
  const auto data = begin < all.size() ? all.subspan(static_cast<std::size_t>(begin))
                                       : std::span<const std::byte>{};

  contents.tensors.reserve(entries.size());
  for (TensorEntry& entry : entries) {
    const std::string problem = place(entry, data, *alignment);
    if (!problem.empty()) return Error{Errc::internal, problem};
    contents.tensors.push_back(std::move(entry.tensor));
  }
  contents.rope_rows = rope_rows_of(contents.metadata);
  return {};
}

}  // namespace

Result<ModelContents> read_gguf(const std::string& path) {
  auto mapped = MappedFile::open(path);
  if (!mapped) return mapped.error();
  ModelContents contents;
  contents.files.push_back(std::move(*mapped));
  const auto parsed = parse(contents.files.front().bytes(), contents);
  if (!parsed) return Error{Errc::internal, path + ": " + parsed.error().message};
  return contents;
}

}  // namespace spillway::loader
