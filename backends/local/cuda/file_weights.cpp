#include "backends/local/cuda/file_weights.h"

#include "backends/local/arch/model_tensor.h"
#include "backends/local/cuda/int4_rows.h"
#include "backends/local/cuda/weight_plan.h"
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

Error wrong(const std::string& tensor, const std::string& what) {
  return {Errc::invalid_request, "model file: tensor " + tensor + what, "", std::nullopt};
}

// A tensor that nobody asks for is a part of the model that would silently be left out.
Result<void> expect_no_other_tensors(const loader::ModelFile& file,
                                     const std::vector<PlannedRoom>& rooms) {
  std::set<std::string> known = {"rope_freqs.weight"};  // ArchSpec has read it.
  for (const PlannedRoom& room : rooms) {
    for (const WeightSource& source : room.sources) known.insert(source.tensor);
  }
  for (const loader::Tensor& tensor : file.tensors()) {
    if (known.count(tensor.name) != 0) continue;
    return wrong(tensor.name, " is none that executor: cuda reads: it does not run such a model");
  }
  return {};
}

// A vector stands in the file as one row; as a source of many rows it is a column.
Result<loader::Tensor> tensor_of(const loader::ModelFile& file, const WeightSource& source) {
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

constexpr std::int64_t kElementBytes = 2;  // Of a buffer.

// Rows of a source that fit a buffer, and where in the room they belong.
struct Part {
  std::string_view room;
  std::int64_t first = 0;
  const WeightSource* source = nullptr;
  loader::Tensor tensor;
  std::int64_t row = 0;
  std::int64_t rows = 0;
  FourBits four_bits = {};

  // Of the file, of the part's row i.
  std::int64_t row_at(std::int64_t i) const {
    const auto& order = source->row_order;
    return order.empty() ? source->first_row + row + i : order[static_cast<std::size_t>(row + i)];
  }
};

bool is_matrix_of_layer(const WeightSource& source) {
  return source.tensor.starts_with("blk.") && source.rows > 1 && source.columns > 1;
}

Result<std::vector<Part>> parts_of(const loader::ModelFile& file,
                                   const std::vector<PlannedRoom>& rooms, std::int64_t elements_max,
                                   const FourBits& four_bits) {
  std::vector<Part> parts;
  for (const PlannedRoom& room : rooms) {
    std::int64_t first = 0;
    for (const WeightSource& source : room.sources) {
      const auto tensor = tensor_of(file, source);
      if (!tensor) return tensor.error();
      const bool kept = four_bits && is_matrix_of_layer(source);
      const std::int64_t rows_max =
          kept ? elements_max * kElementBytes / int4_row(*four_bits, source.columns).bytes()
               : elements_max / source.tensor_columns();
      if (rows_max == 0) return wrong(source.tensor, " has rows too long for executor: cuda");
      for (std::int64_t row = 0; row < source.rows; row += rows_max) {
        const std::int64_t rows = std::min(rows_max, source.rows - row);
        parts.push_back(
            {room.name, first, &source, *tensor, row, rows, kept ? four_bits : FourBits()});
        first += rows * source.columns;
      }
    }
  }
  return parts;
}

// What one thread needs to turn rows into bf16, or into four bits in the kernels' order.
class Converter {
 public:
  Result<RoomPart> convert(const Part& part, std::span<std::uint16_t> buffer) {
    if (part.four_bits) return repack(part, buffer);
    const auto values = buffer.first(static_cast<std::size_t>(part.rows * part.source->columns));
    if (auto done = widen(part, values); !done) return done.error();
    return RoomPart{part.room, part.first, values};
  }

 private:
  Result<void> widen(const Part& part, std::span<std::uint16_t> out) {
    const WeightSource& source = *part.source;
    if (source.columns_in_all > 0) return some_columns(part, out);
    if (source.less_one) return one_more(part, out);
    if (source.row_order.empty()) return rows(part.tensor, part.row_at(0), part.rows, out);
    const auto columns = static_cast<std::size_t>(source.columns);
    for (std::size_t i = 0; i < static_cast<std::size_t>(part.rows); ++i) {
      const std::int64_t from = part.row_at(static_cast<std::int64_t>(i));
      if (auto read = rows(part.tensor, from, 1, out.subspan(i * columns, columns)); !read) {
        return read;
      }
    }
    return {};
  }

  static RoomPart repack(const Part& part, std::span<std::uint16_t> buffer) {
    const Int4Row row = int4_row(*part.four_bits, part.source->columns);
    const auto all = std::as_writable_bytes(buffer);
    const std::int64_t stride = part.rows * row.group_bytes;
    const auto code_bytes = static_cast<std::size_t>(part.rows * row.code_bytes);
    const auto groups = all.subspan(code_bytes, static_cast<std::size_t>(row.groups * stride));
    for (std::int64_t i = 0; i < part.rows; ++i) {
      const Int4Place to = {all.data() + i * row.code_bytes, groups.data() + i * row.group_bytes,
                            stride};
      pack_int4_row(part.tensor.row(part.row_at(i)), part.tensor.type, *part.four_bits, to);
    }
    return {part.room, part.first, buffer.first(code_bytes / kElementBytes), 0, groups};
  }

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
    return dequantized(tensor, first, count, out, 0.0f);
  }

  Result<void> one_more(const Part& part, std::span<std::uint16_t> out) {
    return dequantized(part.tensor, part.row, part.rows, out, 1.0f);
  }

  Result<void> dequantized(const loader::Tensor& tensor, std::int64_t first, std::int64_t count,
                           std::span<std::uint16_t> out, float more) {
    floats_.resize(out.size());
    if (auto read = loader::dequantize(tensor, first, count, floats_); !read) return read;
    const auto rounded = [more](float value) { return to_bf16(value + more); };
    std::transform(floats_.begin(), floats_.end(), out.begin(), rounded);
    return {};
  }

  Result<void> some_columns(const Part& part, std::span<std::uint16_t> out) {
    const WeightSource& source = *part.source;
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
      auto converted = converter.convert(part, buffer);
      if (converted) converted->buffer = index;
      const Result<void> done = converted ? sink_(*converted) : converted.error();
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

FourBits kept_four_bits(const loader::ModelFile& file, const ArchSpec& spec, int gpus) {
  return gpus == 1 && !spec.experts.used() ? file.four_bits() : std::nullopt;
}

Result<void> read_weights(const loader::ModelFile& file, const ArchSpec& spec,
                          std::span<const std::span<std::uint16_t>> buffers, const PartSink& sink,
                          const FourBits& four_bits) {
  const auto rooms = weight_plan(spec);
  if (auto known = expect_no_other_tensors(file, rooms); !known) return known;
  std::size_t elements_max = buffers.empty() ? 0 : buffers.front().size();
  for (const auto& buffer : buffers) elements_max = std::min(elements_max, buffer.size());
  auto parts = parts_of(file, rooms, static_cast<std::int64_t>(elements_max), four_bits);
  if (!parts) return parts.error();
  return Reading(std::move(*parts), sink).run(buffers);
}

std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (value != value) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

}  // namespace spillway::local::cuda
