#include "backends/local/cuda/file_weights.h"

#include "backends/local/arch/model_tensor.h"
#include "backends/local/loader/dequantize.h"

#include <algorithm>
#include <bit>
#include <set>
#include <string>
#include <vector>

namespace spillway::local::cuda {

namespace {

// Rows of one tensor. A bias is rows of one element, so that its order can be undone as well.
struct Source {
  std::string tensor;
  std::int64_t rows = 1;
  std::int64_t columns = 0;
  std::vector<std::int64_t> row_order = {};  // Row i is row row_order[i] of the file; empty: i.
};

struct Room {
  std::string name;
  std::vector<Source> sources;  // One below the other.
};

// Where each room of a layer comes from.
class LayerPlan {
 public:
  LayerPlan(const ArchSpec& spec, int index)
      : spec_(spec),
        theirs_("blk." + std::to_string(index) + "."),
        ours_("layers." + std::to_string(index) + ".") {}

  std::vector<Room> rooms() const {
    const std::int64_t width = spec_.width;
    const std::int64_t inner = spec_.feed_forward_width;
    const std::int64_t query_width = std::int64_t{spec_.query_heads} * spec_.head_width;
    std::vector<Room> rooms;
    rooms.push_back({ours_ + "attention_norm", {{theirs_ + "attn_norm.weight", 1, width}}});
    rooms.push_back({ours_ + "qkv", qkv(".weight", width)});
    if (spec_.qkv_bias) rooms.push_back({ours_ + "qkv_bias", qkv(".bias", 1)});
    if (spec_.head_norms) {
      rooms.push_back({ours_ + "q_norm", {heads("attn_q_norm.weight", 1, 1)}});
      rooms.push_back({ours_ + "k_norm", {heads("attn_k_norm.weight", 1, 1)}});
    }
    rooms.push_back(
        {ours_ + "attention_out", {{theirs_ + "attn_output.weight", width, query_width}}});
    rooms.push_back({ours_ + "feed_forward_norm", {{theirs_ + "ffn_norm.weight", 1, width}}});
    rooms.push_back(
        {ours_ + "gate_up",
         {{theirs_ + "ffn_gate.weight", inner, width}, {theirs_ + "ffn_up.weight", inner, width}}});
    rooms.push_back({ours_ + "down", {{theirs_ + "ffn_down.weight", width, inner}}});
    return rooms;
  }

 private:
  std::vector<Source> qkv(const std::string& kind, std::int64_t columns) const {
    Source values{theirs_ + "attn_v" + kind, std::int64_t{spec_.kv_heads} * spec_.head_width,
                  columns};
    return {heads("attn_q" + kind, spec_.query_heads, columns),
            heads("attn_k" + kind, spec_.kv_heads, columns), std::move(values)};
  }

  // Rows that are rotated.
  Source heads(const std::string& tensor, int count, std::int64_t columns) const {
    Source source{theirs_ + tensor, std::int64_t{count} * spec_.head_width, columns};
    if (spec_.interleaved_rope_rows) source.row_order = halves_from_pairs(count, spec_.head_width);
    return source;
  }

  const ArchSpec& spec_;
  const std::string theirs_;
  const std::string ours_;
};

std::vector<Room> plan(const ArchSpec& spec) {
  std::vector<Room> rooms;
  rooms.push_back({"embedding", {{"token_embd.weight", spec.vocabulary, spec.width}}});
  for (int i = 0; i < spec.layers; ++i) {
    for (Room& room : LayerPlan(spec, i).rooms()) rooms.push_back(std::move(room));
  }
  rooms.push_back({"last_norm", {{"output_norm.weight", 1, spec.width}}});
  if (!spec.head_is_embedding) {
    rooms.push_back({"head", {{"output.weight", spec.vocabulary, spec.width}}});
  }
  return rooms;
}

Error wrong(const std::string& tensor, const std::string& what) {
  return {Errc::invalid_request, "model file: tensor " + tensor + what, "", std::nullopt};
}

// A tensor that nobody asks for is a part of the model that would silently be left out.
Result<void> expect_no_other_tensors(const loader::GgufFile& file, const std::vector<Room>& rooms) {
  std::set<std::string> known = {"rope_freqs.weight"};  // ArchSpec has read it.
  for (const Room& room : rooms) {
    for (const Source& source : room.sources) known.insert(source.tensor);
  }
  for (const loader::Tensor& tensor : file.tensors()) {
    if (known.count(tensor.name) != 0) continue;
    return wrong(tensor.name, " is none that executor: cuda reads: it does not run such a model");
  }
  return {};
}

// A vector stands in the file as one row; as a source of many rows it is a column.
Result<loader::Tensor> tensor_of(const loader::GgufFile& file, const Source& source) {
  const bool is_column = source.columns == 1;
  const auto found = is_column ? model_tensor(file, source.tensor, 1, source.rows)
                               : model_tensor(file, source.tensor, source.rows, source.columns);
  if (!found) return found.error();
  loader::Tensor tensor = **found;
  if (!is_column) return tensor;
  const loader::BlockLayout layout = loader::layout_of(tensor.type);
  if (layout.elements != 1) {
    return wrong(source.tensor, " has type " + std::string(layout.name) + ", expected F32 or F16");
  }
  tensor.shape = {source.rows, 1};
  return tensor;
}

class Reader {
 public:
  Reader(const loader::GgufFile& file, std::int64_t part_elements_max, const PartSink& sink)
      : file_(file), part_elements_max_(part_elements_max), sink_(sink) {}

  Result<void> read(const Room& room) {
    std::int64_t first = 0;
    for (const Source& source : room.sources) {
      const auto tensor = tensor_of(file_, source);
      if (!tensor) return tensor.error();
      const std::int64_t rows_max = std::max<std::int64_t>(1, part_elements_max_ / source.columns);
      for (std::int64_t row = 0; row < source.rows; row += rows_max) {
        const std::int64_t rows = std::min(rows_max, source.rows - row);
        if (auto read = read_rows(*tensor, source, row, rows); !read) return read;
        if (auto taken = sink_({room.name, first, rounded()}); !taken) return taken;
        first += rows * source.columns;
      }
    }
    return {};
  }

 private:
  Result<void> read_rows(const loader::Tensor& tensor, const Source& source, std::int64_t row,
                         std::int64_t rows) {
    floats_.resize(static_cast<std::size_t>(rows * source.columns));
    if (source.row_order.empty()) return loader::dequantize(tensor, row, rows, floats_);
    const auto columns = static_cast<std::size_t>(source.columns);
    for (std::size_t i = 0; i < static_cast<std::size_t>(rows); ++i) {
      const std::int64_t from = source.row_order[static_cast<std::size_t>(row) + i];
      const auto to = std::span(floats_).subspan(i * columns, columns);
      if (auto read = loader::dequantize(tensor, from, 1, to); !read) return read;
    }
    return {};
  }

  std::span<const std::uint16_t> rounded() {
    rounded_.resize(floats_.size());
    std::transform(floats_.begin(), floats_.end(), rounded_.begin(), to_bf16);
    return rounded_;
  }

  const loader::GgufFile& file_;
  const std::int64_t part_elements_max_;
  const PartSink& sink_;
  std::vector<float> floats_;
  std::vector<std::uint16_t> rounded_;
};

}  // namespace

Result<void> read_weights(const loader::GgufFile& file, const ArchSpec& spec,
                          std::int64_t part_elements_max, const PartSink& sink) {
  const auto rooms = plan(spec);
  if (auto known = expect_no_other_tensors(file, rooms); !known) return known;
  Reader reader(file, part_elements_max, sink);
  for (const Room& room : rooms) {
    if (auto read = reader.read(room); !read) return read;
  }
  return {};
}

std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (value != value) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

}  // namespace spillway::local::cuda
