#include "backends/local/cuda/file_weights.h"

#include "backends/local/arch/model_tensor.h"
#include "backends/local/loader/dequantize.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace spillway::local::cuda {

namespace {

// Rows of one tensor. A bias is rows of one element, so that its order can be undone as well.
struct Source {
  std::string tensor;
  std::int64_t rows = 1;
  std::int64_t columns = 0;
  std::vector<std::int64_t> row_order = {};  // Row i is row row_order[i] of the file; empty: i.
  // Of a larger tensor only these: its rows from here on, or columns of all its rows.
  std::int64_t first_row = 0;
  std::int64_t rows_in_all = 0;  // 0: rows
  std::int64_t first_column = 0;
  std::int64_t columns_in_all = 0;  // 0: columns

  std::int64_t tensor_rows() const { return rows_in_all > 0 ? rows_in_all : rows; }
  std::int64_t tensor_columns() const { return columns_in_all > 0 ? columns_in_all : columns; }
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
        index_(index),
        theirs_("blk." + std::to_string(index) + "."),
        ours_("layers." + std::to_string(index) + ".") {}

  std::vector<Room> rooms() const {
    std::vector<Room> rooms;
    add_attention(rooms);
    rooms.push_back({ours_ + "feed_forward_norm", {whole("ffn_norm.weight", 1, spec_.width)}});
    if (spec_.experts.used() && index_ >= spec_.experts.dense_layers) {
      add_experts(rooms);
    } else {
      add_dense(rooms);
    }
    return rooms;
  }

 private:
  Source whole(const std::string& tensor, std::int64_t rows, std::int64_t columns) const {
    return {theirs_ + tensor, rows, columns};
  }

  void add_attention(std::vector<Room>& rooms) const {
    const std::int64_t width = spec_.width;
    const std::int64_t query_width = std::int64_t{spec_.query_heads} * spec_.head_width;
    rooms.push_back({ours_ + "attention_norm", {whole("attn_norm.weight", 1, width)}});
    if (spec_.latent.used()) {
      add_latent(rooms);
    } else {
      rooms.push_back({ours_ + "qkv", qkv(".weight", width)});
    }
    if (spec_.qkv_bias) rooms.push_back({ours_ + "qkv_bias", qkv(".bias", 1)});
    if (spec_.head_norms) {
      rooms.push_back({ours_ + "q_norm", {heads("attn_q_norm.weight", 1, 1)}});
      rooms.push_back({ours_ + "k_norm", {heads("attn_k_norm.weight", 1, 1)}});
    }
    rooms.push_back({ours_ + "attention_out", {whole("attn_output.weight", width, query_width)}});
  }

  void add_latent(std::vector<Room>& rooms) const {
    const LatentAttention& latent = spec_.latent;
    const std::int64_t heads = spec_.query_heads;
    rooms.push_back(
        {ours_ + "qkv",
         {whole("attn_q.weight", heads * (latent.key_width + latent.rope_width), spec_.width),
          whole("attn_kv_a_mqa.weight", latent.line_width(), spec_.width)}});
    rooms.push_back({ours_ + "latent_norm", {whole("attn_kv_a_norm.weight", 1, latent.width)}});
    rooms.push_back(
        {ours_ + "key_up", {whole("attn_k_b.weight", heads * latent.width, latent.key_width)}});
    rooms.push_back(
        {ours_ + "value_up", {whole("attn_v_b.weight", heads * latent.value_width, latent.width)}});
  }

  void add_dense(std::vector<Room>& rooms) const {
    const std::int64_t width = spec_.width;
    const std::int64_t inner = spec_.feed_forward_width;
    rooms.push_back(
        {ours_ + "gate_up",
         {whole("ffn_gate.weight", inner, width), whole("ffn_up.weight", inner, width)}});
    rooms.push_back({ours_ + "down", {whole("ffn_down.weight", width, inner)}});
  }

  // Of each expert its gate, then its up. Those that are shared are one feed forward in the file,
  // which is cut up.
  void add_experts(std::vector<Room>& rooms) const {
    const Experts& experts = spec_.experts;
    const std::int64_t width = spec_.width;
    const std::int64_t inner = experts.width;
    Room gate_up{ours_ + "expert_gate_up", {}};
    Room down{ours_ + "expert_down", {}};
    const auto add_rows = [&](const std::string& tensor, int expert, int of) {
      Source rows = whole(tensor, inner, width);
      rows.first_row = expert * inner;
      rows.rows_in_all = of * inner;
      gate_up.sources.push_back(std::move(rows));
    };
    for (int i = 0; i < experts.count; ++i) {
      add_rows("ffn_gate_exps.weight", i, experts.count);
      add_rows("ffn_up_exps.weight", i, experts.count);
    }
    down.sources.push_back(whole("ffn_down_exps.weight", experts.count * width, inner));
    for (int i = 0; i < experts.shared; ++i) {
      add_rows("ffn_gate_shexp.weight", i, experts.shared);
      add_rows("ffn_up_shexp.weight", i, experts.shared);
      Source columns = whole("ffn_down_shexp.weight", width, inner);
      columns.first_column = i * inner;
      columns.columns_in_all = experts.shared * inner;
      down.sources.push_back(std::move(columns));
    }
    rooms.push_back({ours_ + "router", {whole("ffn_gate_inp.weight", experts.count, width)}});
    if (experts.biased) {
      rooms.push_back({ours_ + "router_bias", {whole("exp_probs_b.bias", experts.count, 1)}});
    }
    rooms.push_back(std::move(gate_up));
    rooms.push_back(std::move(down));
  }

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
  const int index_;
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
Result<void> expect_no_other_tensors(const loader::ModelFile& file,
                                     const std::vector<Room>& rooms) {
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
Result<loader::Tensor> tensor_of(const loader::ModelFile& file, const Source& source) {
  const bool is_column = source.columns == 1;
  const auto found =
      is_column ? model_tensor(file, source.tensor, 1, source.rows)
                : model_tensor(file, source.tensor, source.tensor_rows(), source.tensor_columns());
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

// Rows of a source that fit a buffer, and where in the room they belong.
struct Part {
  std::string_view room;
  std::int64_t first = 0;
  const Source* source = nullptr;
  loader::Tensor tensor;
  std::int64_t row = 0;
  std::int64_t rows = 0;
};

Result<std::vector<Part>> parts_of(const loader::ModelFile& file, const std::vector<Room>& rooms,
                                   std::int64_t elements_max) {
  std::vector<Part> parts;
  for (const Room& room : rooms) {
    std::int64_t first = 0;
    for (const Source& source : room.sources) {
      const auto tensor = tensor_of(file, source);
      if (!tensor) return tensor.error();
      const std::int64_t rows_max = elements_max / source.tensor_columns();
      if (rows_max == 0) return wrong(source.tensor, " has rows too long for executor: cuda");
      for (std::int64_t row = 0; row < source.rows; row += rows_max) {
        const std::int64_t rows = std::min(rows_max, source.rows - row);
        parts.push_back({room.name, first, &source, *tensor, row, rows});
        first += rows * source.columns;
      }
    }
  }
  return parts;
}

// What one thread needs to turn rows into bf16.
class Converter {
 public:
  Result<void> convert(const Part& part, std::span<std::uint16_t> out) {
    const Source& source = *part.source;
    const auto& order = source.row_order;
    if (source.columns_in_all > 0) return some_columns(part, out);
    if (order.empty()) return rows(part.tensor, source.first_row + part.row, part.rows, out);
    const auto columns = static_cast<std::size_t>(source.columns);
    for (std::size_t i = 0; i < static_cast<std::size_t>(part.rows); ++i) {
      const std::int64_t from = order[static_cast<std::size_t>(part.row) + i];
      if (auto read = rows(part.tensor, from, 1, out.subspan(i * columns, columns)); !read) {
        return read;
      }
    }
    return {};
  }

 private:
  Result<void> rows(const loader::Tensor& tensor, std::int64_t first, std::int64_t count,
                    std::span<std::uint16_t> out) {
    if (tensor.type == loader::TensorType::bf16) {
      auto* to = reinterpret_cast<std::byte*>(out.data());
      for (std::int64_t row = first; row < first + count;) {
        const auto run = tensor.run(row, first + count - row);
        std::memcpy(to, run.data(), run.size());
        to += run.size();
        row += std::ssize(run) / tensor.row_bytes();
      }
      return {};
    }
    floats_.resize(out.size());
    if (auto read = loader::dequantize(tensor, first, count, floats_); !read) return read;
    std::transform(floats_.begin(), floats_.end(), out.begin(), to_bf16);
    return {};
  }

  Result<void> some_columns(const Part& part, std::span<std::uint16_t> out) {
    const Source& source = *part.source;
    const auto columns = static_cast<std::size_t>(source.columns);
    row_.resize(static_cast<std::size_t>(source.columns_in_all));
    for (std::size_t i = 0; i < static_cast<std::size_t>(part.rows); ++i) {
      const std::int64_t from = source.first_row + part.row + static_cast<std::int64_t>(i);
      if (auto read = rows(part.tensor, from, 1, row_); !read) return read;
      const auto begin = row_.begin() + source.first_column;
      std::copy(begin, begin + source.columns,
                out.begin() + static_cast<std::ptrdiff_t>(i * columns));
    }
    return {};
  }

  std::vector<float> floats_;
  std::vector<std::uint16_t> row_;
};

// The threads take one part after the other, until there is none left or one has failed.
class Reading {
 public:
  Reading(std::vector<Part> parts, const PartSink& sink) : parts_(std::move(parts)), sink_(sink) {}

  Result<void> run(std::span<const std::span<std::uint16_t>> buffers) {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      threads.emplace_back([this, i, buffer = buffers[i]] { work(i, buffer); });
    }
    threads.clear();
    if (problem_) return *problem_;
    return {};
  }

 private:
  void work(std::size_t index, std::span<std::uint16_t> buffer) {
    Converter converter;
    for (std::size_t next = next_++; next < parts_.size() && !failed_; next = next_++) {
      const Part& part = parts_[next];
      const auto values = buffer.first(static_cast<std::size_t>(part.rows * part.source->columns));
      auto done = converter.convert(part, values);
      if (done) done = sink_({part.room, part.first, values, index});
      if (!done) fail(done.error());
    }
  }

  void fail(const Error& error) {
    const std::lock_guard lock(mutex_);
    if (!problem_) problem_ = error;
    failed_ = true;
  }

  const std::vector<Part> parts_;
  const PartSink& sink_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::optional<Error> problem_;
};

}  // namespace

Result<void> read_weights(const loader::ModelFile& file, const ArchSpec& spec,
                          std::span<const std::span<std::uint16_t>> buffers, const PartSink& sink) {
  const auto rooms = plan(spec);
  if (auto known = expect_no_other_tensors(file, rooms); !known) return known;
  std::size_t elements_max = buffers.empty() ? 0 : buffers.front().size();
  for (const auto& buffer : buffers) elements_max = std::min(elements_max, buffer.size());
  auto parts = parts_of(file, rooms, static_cast<std::int64_t>(elements_max));
  if (!parts) return parts.error();
  return Reading(std::move(*parts), sink).run(buffers);
}

std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (value != value) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

}  // namespace spillway::local::cuda
