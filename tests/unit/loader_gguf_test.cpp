// The GGUF reader on a file that gguf-py wrote, and on thousands of damaged copies of it.
#include "backends/local/loader/dequantize.h"
#include "backends/local/loader/model_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <unistd.h>

namespace spillway::loader {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kBlocks = SPILLWAY_SOURCE_DIR "/tests/golden/gguf/blocks.gguf";

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class DamagedFile : public testing::Test {
 protected:
  Result<ModelFile> open(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary) << bytes;
    return ModelFile::open(path_);
  }
  std::string error_of(const std::string& bytes) {
    const auto file = open(bytes);
    return file ? "no error" : file.error().message;
  }
  void TearDown() override { std::filesystem::remove(path_); }

  template <class T>
  static void put(std::string& bytes, std::size_t at, T value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
  }

  std::string path_ = testing::TempDir() + "damaged-" + std::to_string(::getpid()) + ".gguf";
  std::string good_ = read_file(kBlocks);
};

TEST(Gguf, ReadsEveryValueType) {
  const auto file = ModelFile::open(kBlocks);
  ASSERT_TRUE(file) << file.error().message;
  const Metadata& metadata = file->metadata();
  EXPECT_EQ(*metadata.integer("test.uint8"), 200);
  EXPECT_EQ(*metadata.integer("test.int8"), -100);
  EXPECT_EQ(*metadata.integer("test.uint16"), 60'000);
  EXPECT_EQ(*metadata.integer("test.int16"), -30'000);
  EXPECT_EQ(*metadata.integer("test.uint32"), 4'000'000'000);
  EXPECT_EQ(*metadata.integer("test.int32"), -2'000'000'000);
  EXPECT_EQ(*metadata.integer("test.uint64"), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(*metadata.integer("test.int64"), -(std::int64_t{1} << 62));
  EXPECT_EQ(*metadata.number("test.float32"), 0.5);
  EXPECT_EQ(*metadata.number("test.float64"), 0.1);
  EXPECT_EQ(*metadata.number("test.uint8"), 200.0);
  EXPECT_TRUE(*metadata.flag("test.bool"));
  EXPECT_EQ(*metadata.text("test.string"), "grüß");
  EXPECT_THAT(*metadata.texts("test.strings"), ElementsAre("a", "", "zwei drei"));
  EXPECT_THAT(*metadata.integers("test.integers"), ElementsAre(1, -2, 3));
  EXPECT_THAT(*metadata.numbers("test.floats"), ElementsAre(0.25, -1.5));
}

TEST(Gguf, AbsentAndMistypedKeysDiffer) {
  const auto file = ModelFile::open(kBlocks);
  ASSERT_TRUE(file);
  const Metadata& metadata = file->metadata();
  EXPECT_EQ(*metadata.integer("no.such", 5), 5);
  EXPECT_THAT(metadata.integer("no.such").error().message, HasSubstr("\"no.such\" is missing"));
  EXPECT_FALSE(metadata.integer("test.string", 5));
  EXPECT_FALSE(metadata.integer("test.huge"));
  EXPECT_FALSE(metadata.text("test.strings"));
  EXPECT_FALSE(metadata.integers("test.strings"));
  EXPECT_FALSE(metadata.texts("test.integers"));
  EXPECT_FALSE(metadata.integers("test.floats"));
  EXPECT_FALSE(metadata.flag("test.uint8"));
}

TEST(Gguf, EveryTypeDequantisesBitForBit) {
  const auto file = ModelFile::open(kBlocks);
  ASSERT_TRUE(file);
  int types = 0;
  for (const Tensor& tensor : file->tensors()) {
    const Tensor* expected = file->find(tensor.name + ".f32");
    if (!expected) continue;
    ++types;
    SCOPED_TRACE(tensor.name);
    ASSERT_EQ(tensor.shape, expected->shape);
    std::vector<float> got(tensor.rows() * tensor.columns());
    ASSERT_TRUE(dequantize(tensor, got));
    const auto* want = reinterpret_cast<const float*>(expected->row(0).data());
    for (std::size_t i = 0; i < got.size(); ++i) {
      const bool same = std::isnan(want[i]) ? std::isnan(got[i])
                                            : std::bit_cast<std::uint32_t>(got[i]) ==
                                                  std::bit_cast<std::uint32_t>(want[i]);
      ASSERT_TRUE(same) << i << ": " << got[i] << " instead of " << want[i];
    }
    std::vector<float> middle(tensor.columns());
    ASSERT_TRUE(dequantize(tensor, 1, 1, middle));
    EXPECT_EQ(std::memcmp(middle.data(), got.data() + tensor.columns(), middle.size() * 4), 0);
  }
  EXPECT_EQ(types, 10);
}

TEST(Gguf, ShapesAreOutermostFirstAndRowsAreReachable) {
  const auto file = ModelFile::open(kBlocks);
  ASSERT_TRUE(file);
  const Tensor* tensor = *file->require("Q4_1");
  EXPECT_THAT(tensor->shape, ElementsAre(3, 96));
  EXPECT_EQ(tensor->row_bytes(), 60);
  EXPECT_EQ(tensor->row(2).data(), tensor->row(0).data() + 120);
  EXPECT_EQ(tensor->run(0, tensor->rows()).size(), 180U);
  EXPECT_THAT(file->require("nothing").error().message, HasSubstr("nothing"));
}

TEST_F(DamagedFile, SaysWhatIsWrongAndWhere) {
  std::string bytes = good_;
  bytes[0] = 'X';
  EXPECT_THAT(error_of(bytes), HasSubstr("not a GGUF file"));
  bytes = good_;
  put<std::uint32_t>(bytes, 4, 9);
  EXPECT_THAT(error_of(bytes), HasSubstr("version 9"));
  put<std::uint32_t>(bytes, 4, 0x03000000);
  EXPECT_THAT(error_of(bytes), HasSubstr("big-endian"));
  bytes = good_;
  put<std::uint64_t>(bytes, 8, std::uint64_t{1} << 60);
  EXPECT_THAT(error_of(bytes), HasSubstr("tensors cannot fit"));
  bytes = good_;
  put<std::uint64_t>(bytes, 16, std::uint64_t{1} << 60);
  EXPECT_THAT(error_of(bytes), HasSubstr("keys cannot fit"));
  EXPECT_THAT(error_of(good_.substr(0, 100)), HasSubstr("at byte"));
  EXPECT_THAT(error_of(good_.substr(0, good_.size() - 40)), HasSubstr("past the end"));
  EXPECT_THAT(error_of(""), HasSubstr("is empty"));
  EXPECT_THAT(ModelFile::open("/no/such/file").error().message, HasSubstr("/no/such/file"));
}

TEST_F(DamagedFile, LyingTensorEntriesAreErrors) {
  const std::size_t name = good_.find("Q4_1") + 4;  // Then: dimensions, two sizes, type, offset.
  std::string bytes = good_;
  put<std::uint32_t>(bytes, name, 5);
  EXPECT_THAT(error_of(bytes), HasSubstr("5 dimensions"));
  bytes = good_;
  put<std::uint64_t>(bytes, name + 4, 97);
  EXPECT_THAT(error_of(bytes), HasSubstr("rows of 97 values"));
  put<std::uint64_t>(bytes, name + 4, std::uint64_t{1} << 62);
  EXPECT_THAT(error_of(bytes), HasSubstr("a dimension of"));
  put<std::uint64_t>(bytes, name + 4, 0);
  EXPECT_THAT(error_of(bytes), HasSubstr("a dimension of 0"));
  bytes = good_;
  put<std::uint32_t>(bytes, name + 20, 77);
  EXPECT_THAT(error_of(bytes), HasSubstr("type 77"));
  bytes = good_;
  put<std::uint64_t>(bytes, name + 24, std::uint64_t{1} << 40);
  EXPECT_THAT(error_of(bytes), HasSubstr("past the end"));
  put<std::uint64_t>(bytes, name + 24, 7);
  EXPECT_THAT(error_of(bytes), HasSubstr("not aligned"));
}

TEST_F(DamagedFile, AnyDamageIsAnErrorOrAReadableFile) {
  std::mt19937 random(11);
  const std::size_t tables = good_.find("Q6_K.f32") + 60;
  int errors = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = good_;
    for (unsigned i = 0; i < 1 + random() % 4; ++i) {
      bytes[random() % tables] = static_cast<char>(random() % 3 ? random() : 0xFF);
    }
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    const auto file = open(bytes);
    errors += !file;
    if (!file) continue;
    for (const Tensor& tensor : file->tensors()) {
      std::vector<float> out(tensor.columns());
      if (!can_dequantize(tensor.type)) continue;
      EXPECT_TRUE(dequantize(tensor, tensor.rows() - 1, 1, out));
    }
  }
  EXPECT_GT(errors, 500);
}

// CRC-32 as zlib computes it.
std::uint32_t crc32(std::span<const std::byte> bytes) {
  std::uint32_t crc = 0xFFFFFFFF;
  for (const std::byte byte : bytes) {
    crc ^= static_cast<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
  }
  return ~crc;
}

TEST(Gguf, RealModelMatchesTheReference) {
  const char* given = std::getenv("SPILLWAY_TEST_MODEL");
  const std::string path =
      given ? given : SPILLWAY_SOURCE_DIR "/models/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no model at " << path;
  const auto file = ModelFile::open(path);
  ASSERT_TRUE(file) << file.error().message;

  constexpr std::int64_t kRows = 8;
  std::ifstream sums(SPILLWAY_SOURCE_DIR "/tests/golden/gguf/smollm2_sums.txt");
  std::string name;
  std::uint32_t expected = 0;
  int tensors = 0;
  while (sums >> name >> expected) {
    const auto tensor = file->require(name);
    ASSERT_TRUE(tensor) << name;
    const std::int64_t rows = (*tensor)->rows();
    const std::int64_t columns = (*tensor)->columns();
    std::vector<float> values(std::min(rows, 2 * kRows) * columns);
    const std::int64_t first = std::min(rows, kRows);
    const std::int64_t last = rows > kRows ? kRows : 0;
    ASSERT_TRUE(dequantize(**tensor, 0, first, std::span(values).first(first * columns)));
    ASSERT_TRUE(dequantize(**tensor, rows - last, last, std::span(values).last(last * columns)));
    EXPECT_EQ(crc32(std::as_bytes(std::span(values))), expected) << name;
    ++tensors;
  }
  EXPECT_EQ(tensors, static_cast<int>(file->tensors().size()));
}

}  // namespace
}  // namespace spillway::loader
