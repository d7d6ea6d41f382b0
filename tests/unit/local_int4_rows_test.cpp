// What the GPU decoder gets from a folder of four bits: the codes, zero points and scales of the
// file, in the kernels' order.
#include "backends/local/cuda/decoder_shape.h"
#include "backends/local/cuda/file_weights.h"
#include "tests/unit/four_bit_folder.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <mutex>

namespace spillway::local::cuda {
namespace {

float from_bf16(std::uint32_t bits) { return std::bit_cast<float>(bits << 16); }

// Words of eight codes and of groups, as kernels.h says of the formats with zero points.
class Rooms {
 public:
  // `kept`: in four bits; else all is bf16.
  Rooms(const loader::ModelFile& file, const ArchSpec& spec, const DecoderShape& shape, bool kept) {
    if (kept) four_bits_ = file.four_bits();
    for (const RoomShape& room : rooms_of(shape)) shapes_[room.name] = room;
    std::vector<std::vector<std::uint16_t>> memory(3, std::vector<std::uint16_t>(4'000));
    const std::vector<std::span<std::uint16_t>> buffers(memory.begin(), memory.end());
    std::mutex mutex;
    const auto take = [&](const RoomPart& part) {
      const std::lock_guard lock(mutex);
      put(part);
      return Result<void>();
    };
    const auto done = read_weights(file, spec, buffers, take, four_bits_);
    EXPECT_TRUE(done) << done.error().message;
  }

  std::map<std::string, std::vector<float>> values;
  std::map<std::string, bool> in_four_bits;

 private:
  void put(const RoomPart& part) {
    const RoomShape& room = shapes_.at(std::string(part.room));
    in_four_bits[room.name] = !part.groups.empty();
    auto& all = values[room.name];
    all.resize(static_cast<std::size_t>(room.rows * room.columns), std::nanf(""));
    const auto to = std::span(all).subspan(static_cast<std::size_t>(part.first));
    if (part.groups.empty()) {
      std::ranges::transform(part.values, to.begin(), from_bf16);
      return;
    }
    const auto columns = static_cast<std::size_t>(room.columns);
    const std::size_t row_bytes = (columns + 127) / 128 * 64;
    const std::size_t rows = part.values.size_bytes() / row_bytes;
    const auto whole_groups = row_bytes * 2 / static_cast<std::size_t>(four_bits_->columns);
    EXPECT_EQ(part.groups.size(), rows * whole_groups * 4);
    for (std::size_t i = 0; i < rows * columns; ++i) to[i] = value(part, i / columns, i % columns);
  }

  float value(const RoomPart& part, std::size_t row, std::size_t column) const {
    const auto columns = static_cast<std::size_t>(shapes_.at(std::string(part.room)).columns);
    const std::size_t row_bytes = (columns + 127) / 128 * 64;
    const std::size_t rows = part.values.size_bytes() / row_bytes;
    const auto word_at = [](std::span<const std::byte> bytes, std::size_t at) {
      std::uint32_t word = 0;
      std::memcpy(&word, bytes.subspan(at, sizeof word).data(), sizeof word);
      return word;
    };
    const auto word = word_at(std::as_bytes(part.values), row * row_bytes + column / 8 * 4);
    const std::size_t group = column / static_cast<std::size_t>(four_bits_->columns);
    const auto scale_and_zero = word_at(part.groups, (group * rows + row) * 4);
    const auto code = word >> 4 * (column % 8 / 2 + column % 2 * 4) & 15;
    const float zero = from_bf16(scale_and_zero & 0xffffU) - 128.0F;
    return (static_cast<float>(code) - zero) * from_bf16(scale_and_zero >> 16);
  }

  FourBits four_bits_;
  std::map<std::string, RoomShape> shapes_;
};

constexpr float kStep = loader::FourBitFolder::kStepMin;

// But for the scale, which is rounded, and for Q4_1's offset.
void expect_same(const Rooms& kept, const Rooms& plain, const RoomShape& room) {
  const auto& values = kept.values.at(room.name);
  const auto& expected = plain.values.at(room.name);
  ASSERT_EQ(values.size(), expected.size()) << room.name;
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_NEAR(values[i], expected[i], std::abs(expected[i]) / 128 + kStep / 64)
        << room.name << " at " << i;
  }
}

TEST(Int4Rows, HaveTheFilesCodesAndZeroPoints) {
  for (const char* method : {"awq", "gptq"}) {
    for (const int group : {32, 64, 128}) {
      SCOPED_TRACE(std::string(method) + " by " + std::to_string(group));
      const loader::FourBitFolder folder(method, group, 7);
      const auto file = loader::ModelFile::open(folder.path());
      ASSERT_TRUE(file) << file.error().message;
      ASSERT_TRUE(file->four_bits());
      const auto spec = read_arch_spec(*file);
      ASSERT_TRUE(spec) << spec.error().message;
      const auto shape = shape_of(*spec, 64);
      ASSERT_TRUE(shape) << shape.error().message;
      const Rooms kept(*file, *spec, *shape, true);
      const Rooms plain(*file, *spec, *shape, false);
      for (const RoomShape& room : rooms_of(*shape)) {
        EXPECT_EQ(kept.in_four_bits.at(room.name), is_matrix_of_layer(room)) << room.name;
        EXPECT_FALSE(plain.in_four_bits.at(room.name));
        expect_same(kept, plain, room);
      }
    }
  }
}

}  // namespace
}  // namespace spillway::local::cuda
