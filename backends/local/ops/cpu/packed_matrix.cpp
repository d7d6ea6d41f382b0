#include "backends/local/ops/cpu/packed_matrix.h"

#include "backends/local/loader/dequantize.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstring>
#include <new>
#include <stdexcept>
#include <sys/mman.h>

namespace spillway::local::ops {

namespace {

constexpr int kLineBytes = 64;
constexpr std::uintptr_t kPage = 4'096;
constexpr std::align_val_t kLine{kLineBytes};

bool has_four_bits(const RowSource& source) {
  return source.tensor->type == loader::TensorType::q4_0 ||
         source.tensor->type == loader::TensorType::q4_1;
}

float from_half(std::uint16_t bits) {
  _Float16 half;
  std::memcpy(&half, &bits, sizeof half);
  return static_cast<float>(half);
}

std::uint16_t to_half(float value) {
  const auto half = static_cast<_Float16>(value);
  std::uint16_t bits;
  std::memcpy(&bits, &half, sizeof bits);
  return bits;
}

std::uint16_t half_at(const std::byte* at) {
  std::uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return bits;
}

}  // namespace

void AlignedDelete::operator()(std::byte* memory) const { ::operator delete[](memory, kLine); }

AlignedBytes allocate_aligned(std::size_t bytes) {
  AlignedBytes memory(static_cast<std::byte*>(::operator new[](bytes, kLine)));
  // Large pages where the system gives them: weights are read from end to end at each step.
  const auto begin = (reinterpret_cast<std::uintptr_t>(memory.get()) + kPage - 1) / kPage * kPage;
  const auto end = (reinterpret_cast<std::uintptr_t>(memory.get()) + bytes) / kPage * kPage;
  if (end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
  return memory;
}

// 32 weights of a row. Halves are kept as they are in the file.
struct PackedMatrix::Group {
  std::array<std::int8_t, kGroup> q{};
  std::uint16_t scale = 0;
  std::uint16_t offset = 0;  // Of four bits.
};

namespace {

// GGUF's blocks: a half, in Q4_1 a second one, then nibbles: value i is the low half of byte i,
// value i + 16 the high one.
template <class Group>
Group nibbles(const std::byte* block, bool has_offset) {
  Group group;
  group.scale = half_at(block);
  group.offset = has_offset ? half_at(block + 2) : to_half(-8.0f * from_half(group.scale));
  const std::byte* const bytes = block + (has_offset ? 4 : 2);
  for (std::size_t i = 0; i < kGroup / 2; ++i) {
    const auto byte = static_cast<std::uint8_t>(bytes[i]);
    group.q[i] = static_cast<std::int8_t>(byte & 15);
    group.q[i + kGroup / 2] = static_cast<std::int8_t>(byte >> 4);
  }
  return group;
}

template <class Group>
Group bytes_of_q8_0(const std::byte* block) {
  Group group;
  group.scale = half_at(block);
  std::memcpy(group.q.data(), block + 2, kGroup);
  return group;
}

// Rounds to 8 bits, by the scale as it will be read again.
template <class Group>
Group rounded(const float* values) {
  Group group;
  float largest = 0.0f;
  for (int i = 0; i < kGroup; ++i) largest = std::max(largest, std::abs(values[i]));
  group.scale = to_half(largest / 127.0f);
  const float scale = from_half(group.scale);
  if (scale == 0.0f) return group;
  for (std::size_t i = 0; i < kGroup; ++i) {
    const float q = std::clamp(std::nearbyint(values[i] / scale), -127.0f, 127.0f);
    group.q[i] = static_cast<std::int8_t>(q);
  }
  return group;
}

}  // namespace

PackedMatrix::PackedMatrix(const std::vector<RowSource>& rows)
    : rows_(static_cast<int>(rows.size())),
      columns_(static_cast<int>(rows.front().tensor->columns())),
      bits_(std::all_of(rows.begin(), rows.end(), has_four_bits) ? Bits::four : Bits::eight) {
  if (columns_ % kGroup != 0) throw std::runtime_error("columns are no multiple of 32");
  const auto all_groups = static_cast<std::size_t>(blocks()) * static_cast<std::size_t>(groups());
  const std::size_t scale_bytes = all_groups * group_scales() * sizeof(std::uint16_t);
  weights_ = allocate_aligned(all_groups * group_weight_bytes());
  scales_ = allocate_aligned(scale_bytes);
  // Rows past the last one of the last block are zero.
  std::memset(weights_.get(), 0, all_groups * group_weight_bytes());
  std::memset(scales_.get(), 0, scale_bytes);

  std::vector<float> values(static_cast<std::size_t>(columns_));
  for (int row = 0; row < rows_; ++row) {
    const auto& [tensor, source_row] = rows[static_cast<std::size_t>(row)];
    assert(tensor->columns() == columns_);
    const std::byte* const stored = tensor->row(source_row).data();
    const auto type = tensor->type;
    const bool raw = bits_ == Bits::four || type == loader::TensorType::q8_0;
    if (!raw) {
      const auto done = loader::dequantize(*tensor, source_row, 1, values);
      if (!done) throw std::runtime_error(done.error().message);
    }
    const int block_bytes = loader::layout_of(type).bytes;
    for (int group = 0; group < groups(); ++group) {
      const std::byte* const at = stored + std::ptrdiff_t{group} * block_bytes;
      put(row, group,
          bits_ == Bits::four ? nibbles<Group>(at, type == loader::TensorType::q4_1)
          : raw               ? bytes_of_q8_0<Group>(at)
                              : rounded<Group>(values.data() + group * kGroup));
    }
  }
}

const std::uint8_t* PackedMatrix::weights(int block) const {
  const std::size_t bytes = static_cast<std::size_t>(groups()) * group_weight_bytes();
  return reinterpret_cast<const std::uint8_t*>(weights_.get()) +
         static_cast<std::size_t>(block) * bytes;
}

const std::uint16_t* PackedMatrix::scales(int block) const {
  const std::size_t halves = static_cast<std::size_t>(groups()) * group_scales();
  return reinterpret_cast<const std::uint16_t*>(scales_.get()) +
         static_cast<std::size_t>(block) * halves;
}

void PackedMatrix::put(int row, int group, const Group& values) {
  const int block = row / kBlockRows;
  const auto lane = static_cast<std::size_t>(row % kBlockRows);
  const auto at_group = static_cast<std::size_t>(group);
  auto* const bytes =
      const_cast<std::uint8_t*>(weights(block)) + at_group * group_weight_bytes() + lane * 4;
  auto* const halves = const_cast<std::uint16_t*>(scales(block)) + at_group * group_scales() + lane;
  const int width = line_columns(bits_);
  for (int column = 0; column < kGroup; column += width) {
    std::uint32_t word = 0;
    for (int position = 0; position < width; ++position) {
      const int from = column + column_at(bits_, position);
      const auto q = static_cast<std::uint8_t>(values.q[static_cast<std::size_t>(from)]);
      word |= std::uint32_t{q} << (position * (32 / width));
    }
    std::memcpy(bytes + column / width * kLineBytes, &word, sizeof word);
  }
  halves[0] = values.scale;
  if (bits_ == Bits::four) halves[kBlockRows] = values.offset;
}

PackedMatrix::Group PackedMatrix::get(int row, int group) const {
  const int block = row / kBlockRows;
  const auto lane = static_cast<std::size_t>(row % kBlockRows);
  const auto at_group = static_cast<std::size_t>(group);
  const auto* const bytes = weights(block) + at_group * group_weight_bytes() + lane * 4;
  const auto* const halves = scales(block) + at_group * group_scales() + lane;
  Group values;
  const int width = line_columns(bits_);
  for (int column = 0; column < kGroup; column += width) {
    std::uint32_t word;
    std::memcpy(&word, bytes + column / width * kLineBytes, sizeof word);
    for (int position = 0; position < width; ++position) {
      const int to = column + column_at(bits_, position);
      const std::uint32_t field = word >> (position * (32 / width));
      const int q = bits_ == Bits::four ? static_cast<int>(field & 15)
                                        : static_cast<std::int8_t>(field & 255);
      values.q[static_cast<std::size_t>(to)] = static_cast<std::int8_t>(q);
    }
  }
  values.scale = halves[0];
  if (bits_ == Bits::four) values.offset = halves[kBlockRows];
  return values;
}

void PackedMatrix::read_row(int row, float* out) const {
  for (int group = 0; group < groups(); ++group) {
    const Group values = get(row, group);
    const float scale = from_half(values.scale);
    const float offset = from_half(values.offset);
    for (std::size_t i = 0; i < kGroup; ++i) {
      *out++ = scale * static_cast<float>(values.q[i]) + offset;
    }
  }
}

}  // namespace spillway::local::ops
