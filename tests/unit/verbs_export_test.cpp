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

TEST(ProviderExportTest, DaysAreThoseOfUtc) {
  const auto day_of = [](const std::string& time) {
    const auto read =
        read_provider_export("timestamp,model,input_tokens,output_tokens\n" + time + ",m,1,1\n");
    return read ? read->sums.begin()->first.first : "none";
  };
  EXPECT_EQ(day_of("2026-11-01T23:04:40-18:00"), "2026-11-02");
  EXPECT_EQ(day_of("2026-11-01T06:04:40.5+1400"), "2026-10-31");
  EXPECT_EQ(day_of("2026-11-01T05:20:00+0530"), "2026-10-31");
  EXPECT_EQ(day_of("2026-11-01 23:04:40+00"), "2026-11-01");
  EXPECT_EQ(day_of("2026-11-01T23:04:40Z"), "2026-11-01");
  EXPECT_EQ(day_of("2026-11-01T05"), "2026-11-01");
}

TEST(ProviderExportTest, ColumnsHaveTheNamesOfAnyProvider) {
  const auto read = read_provider_export(
      "start_time,snapshot_id,n_context_tokens_total,n_generated_tokens_total\n1762000000,m,3,4\n");
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->has_costs);
  EXPECT_EQ(read->sums.at({"2025-11-01", "m"}).output, 4);
}

TEST(ProviderExportTest, DeepSeeksLinesAreOfATypeEach) {
  const auto read = read_provider_export(
      "user_id,utc_date,model,api_key_name,api_key,type,price,amount\n"
      "u,20261101,m,k,sk,input_cache_hit_tokens,0.000000028,1000\n"
      "u,20261101,m,k,sk,input_cache_miss_tokens,0.00000028,500\n"
      "u,2026-11-01,m,k,sk,output_tokens,0.00000042,100\n"
      "u,2026-11-01,m,k,sk,request_count,,3\n");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_TRUE(read->has_tokens && read->has_costs);
  const ExportedSum sum = read->sums.at({"2026-11-01", "m"});
  EXPECT_EQ(sum.input, 1500);
  EXPECT_EQ(sum.output, 100);
  EXPECT_NEAR(sum.usd, 0.00021, 1e-12);
}

TEST(ProviderExportTest, AnthropicsCountsOfTheCacheAreInput) {
  const auto read = read_provider_export(
      "usage_date_utc,model_version,api_key,usage_input_tokens_no_cache,"
      "usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,"
      "usage_input_tokens_cache_read,usage_output_tokens\n2026-11-01,m,k,1,20,300,4000,5\n");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->sums.at({"2026-11-01", "m"}).input, 4321);
  EXPECT_EQ(read->sums.at({"2026-11-01", "m"}).output, 5);
}

TEST(ProviderExportTest, OpenRoutersLinesAreGenerations) {
  const auto read = read_provider_export(
      "generation_id,created_at,cost_total,tokens_prompt,tokens_completion,model_permaslug\n"
      "gen-1,2026-11-01 03:46:57.713,0.0123,10389,137,m\n");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->sums.at({"2026-11-01", "m"}).input, 10389);
  EXPECT_NEAR(read->sums.at({"2026-11-01", "m"}).usd, 0.0123, 1e-12);
}

TEST(ProviderExportTest, AnotherCurrencyIsNotComparedWithTheBook) {
  EXPECT_THAT(refused("utc_date,model,cost,currency\n2026-11-01,m,2.50,CNY\n"),
              HasSubstr("is in CNY"));
  EXPECT_EQ(refused("utc_date,model,cost,currency\n2026-11-01,m,2.50,USD\n"), "");
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
  for (const char* wrong :
       {"1,1,$0.01", "1,,nan", "1 000,1,0.01", "1,\"1,5\",0.01", "-1,1,0.01", "1,-1,0.01"})
    EXPECT_THAT(refused(header + "2026-11-01,m," + wrong + "\n"), HasSubstr("in line 2")) << wrong;
}

}  // namespace
}  // namespace spillway::verbs
