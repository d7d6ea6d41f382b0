// Numbers in fewer bits: codes at their ends and past them, what a row keeps, what a matrix takes.
#include "backends/local/quantize/integer_codes.h"
#include "backends/local/quantize/precision.h"
#include "backends/local/quantize/round_trip.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace spillway::local::quantize {
namespace {

TEST(Quantize, CodesStayBetweenTheirEnds) {
  EXPECT_EQ(int8_code(127.0f, 1.0f), 127);
  EXPECT_EQ(int8_code(128.0f, 1.0f), 127);
  EXPECT_EQ(int8_code(-200.0f, 1.0f), -127);
  EXPECT_EQ(int8_code(2.5f, 1.0f), 2);  // The even one.
  EXPECT_EQ(int8_code(1.0f, 0.0f), 0);
  EXPECT_EQ(int4_code(7.4f, 1.0f), 15);
  EXPECT_EQ(int4_code(8.0f, 1.0f), 15);
  EXPECT_EQ(int4_code(-8.0f, 1.0f), 0);
  EXPECT_EQ(int4_code(-9.0f, 1.0f), 0);
  EXPECT_EQ(int4_code(3.0f, 0.0f), kInt4Zero);
}

TEST(Quantize, WhatIsFarthestFromZeroIsKeptIn4Bits) {
  for (const auto& [smallest, largest] : {std::pair{-1.0f, 4.0f}, {-4.0f, 1.0f}, {-4.0f, 4.0f}}) {
    const float scale = int4_scale(smallest, largest);
    const float extreme = largest >= -smallest ? largest : smallest;
    EXPECT_EQ(static_cast<float>(int4_code(extreme, scale) - kInt4Zero) * scale, extreme);
  }
}

TEST(Quantize, ANegativeZeroAndARowOfZerosStayWhatTheyAre) {
  for (const Precision precision :
       {Precision::fp32, Precision::bf16, Precision::fp8, Precision::int8, Precision::int4}) {
    std::vector<float> zeros(200, 0.0f);
    round_trip(precision, zeros);
    for (const float value : zeros) EXPECT_EQ(value, 0.0f);
    round_trip(precision, {});
  }
}

// Relative to the row's size; the steps of each say how much it can be.
double error_of(Precision precision) {
  std::mt19937_64 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> row(1000);
  for (float& value : row) value = normal(random);
  const std::vector<float> before = row;
  round_trip(precision, row);
  double difference = 0.0, size = 0.0;
  for (std::size_t i = 0; i < row.size(); ++i) {
    difference += std::pow(row[i] - before[i], 2);
    size += std::pow(before[i], 2);
  }
  return std::sqrt(difference / size);
}

TEST(Quantize, EachPrecisionLosesWhatItsStepsSay) {
  EXPECT_EQ(error_of(Precision::fp32), 0.0);
  EXPECT_NEAR(error_of(Precision::bf16), 0.0017, 0.0003);
  EXPECT_NEAR(error_of(Precision::int8), 0.0075, 0.0025);
  EXPECT_NEAR(error_of(Precision::fp8), 0.026, 0.004);
  EXPECT_NEAR(error_of(Precision::int4), 0.105, 0.02);
}

TEST(Quantize, FourBitsOfAFileStayWhatTheyAre) {
  std::mt19937_64 random(11);
  // Grids whose extremes are at eight steps, and at fewer, on either side.
  for (const auto& [lowest, highest] : {std::pair{-8, 7}, {-7, 7}, {-4, 7}, {-6, 5}, {-3, 5}}) {
    std::uniform_int_distribution<int> code(lowest, highest);
    std::vector<float> group(kInt4Group);
    for (float& value : group) value = rounded_to_bf16(0.0123f * static_cast<float>(code(random)));
    group[0] = rounded_to_bf16(0.0123f * static_cast<float>(lowest));
    group[1] = rounded_to_bf16(0.0123f * static_cast<float>(highest));
    const std::vector<float> before = group;
    round_trip(Precision::int4, group);
    for (std::size_t i = 0; i < group.size(); ++i)
      EXPECT_NEAR(group[i], before[i], std::abs(before[i]) / 100.0f) << lowest << ", " << i;
  }
}

TEST(Quantize, MatricesTakeTheirScalesToo) {
  EXPECT_EQ(matrix_bytes(Precision::fp32, 10, 256), 10'240);
  EXPECT_EQ(matrix_bytes(Precision::bf16, 10, 256), 5'120);
  EXPECT_EQ(matrix_bytes(Precision::fp8, 10, 256), 2'600);
  EXPECT_EQ(matrix_bytes(Precision::int8, 10, 256), 2'600);
  EXPECT_EQ(matrix_bytes(Precision::int4, 10, 256), 10 * 2 * 66);
  EXPECT_EQ(matrix_bytes(Precision::int4, 10, 257), 10 * 3 * 66);  // A group of its own.
}

TEST(Quantize, NamesAreThoseOfTheConfiguration) {
  for (const char* name : {"fp32", "bf16", "fp8", "int8", "int4"}) {
    ASSERT_TRUE(precision_named(name)) << name;
    EXPECT_EQ(name_of(*precision_named(name)), name);
  }
  EXPECT_FALSE(precision_named("auto"));
}

}  // namespace
}  // namespace spillway::local::quantize
