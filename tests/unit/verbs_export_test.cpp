// A provider's export: its columns by any name, its amounts as exact as they are written.
#include "gateway/verbs/provider_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace spillway::verbs {
namespace {

using testing::HasSubstr;

ExportedSum costing(const std::string& amounts) {
  const auto read =
      read_provider_export("date,model,input_tokens,output_tokens,cost_usd\n" + amounts);
  EXPECT_TRUE(read) << read.error().message;
  return read ? read->sums.at({"2026-11-01", "m"}) : ExportedSum{};
}

std::string refused(const std::string& csv) {
  const auto read = read_provider_export(csv);
  return read ? "" : read.error().message;
}

TEST(ProviderExportTest, AnAmountIsAsExactAsItsLastDecimal) {
  const std::pair<const char*, double> kAmounts[] = {
      {"0.0099", 0.00005}, {"12.34", 0.005}, {"0.10", 0.005},  {"12", 0.0}, {"12.", 0.0},
      {"9.9e-05", 5e-7},   {"1E-4", 5e-5},   {"1.25e1", 0.05}, {"3e2", 0.0}};
  for (const auto& [amount, rounding] : kAmounts)
    EXPECT_NEAR(costing("2026-11-01,m,1,1," + std::string(amount) + "\n").rounding, rounding, 1e-12)
        << amount;
}

TEST(ProviderExportTest, LinesOfADayAndModelAreAddedUp) {
  const ExportedSum sum =
      costing("2026-11-01,m,1,2,0.01\n2026-11-01T05:00:00Z,\"m\",10,20,0.002\r\n");
  EXPECT_EQ(sum.input, 11);
  EXPECT_EQ(sum.output, 22);
  EXPECT_NEAR(sum.usd, 0.012, 1e-12);
  EXPECT_NEAR(sum.rounding, 0.0055, 1e-12);
}

TEST(ProviderExportTest, ColumnsHaveTheNamesOfAnyProvider) {
  const auto read = read_provider_export(
      "start_time,snapshot_id,n_context_tokens_total,n_generated_tokens_total\n1762000000,m,3,4\n");
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->has_costs);
  EXPECT_EQ(read->sums.at({"2025-11-01", "m"}).output, 4);
}

TEST(ProviderExportTest, NothingWrittenIsNone) {
  const ExportedSum sum = costing("2026-11-01,m,7,,\n");
  EXPECT_EQ(sum.input, 7);
  EXPECT_EQ(sum.output, 0);
  EXPECT_EQ(sum.usd, 0.0);
}

TEST(ProviderExportTest, WhatIsWrongIsNamed) {
  EXPECT_THAT(refused("model\n"), HasSubstr("date, day or start_time"));
  EXPECT_THAT(refused("date,model\n"), HasSubstr("input_tokens"));
  const std::string header = "date,model,input_tokens,output_tokens,cost\n";
  EXPECT_THAT(refused(header + "2026-11-01,m,1,1\n"), HasSubstr("cut off in line 2"));
  for (const char* wrong : {"1,1,$0.01", "1,,nan", "1 000,1,0.01", "1,\"1,5\",0.01"})
    EXPECT_THAT(refused(header + "2026-11-01,m," + wrong + "\n"), HasSubstr("in line 2")) << wrong;
}

}  // namespace
}  // namespace spillway::verbs
