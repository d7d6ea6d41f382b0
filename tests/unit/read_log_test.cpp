// The gateway's log, read again: what was written of a request comes back.
#include "gateway/telemetry/read_log.h"

#include "gateway/telemetry/log.h"
#include "tests/unit/telemetry_receipts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>

namespace spillway::telemetry {
namespace {

using namespace std::chrono_literals;

class ReadLogTest : public testing::Test {
 protected:
  ~ReadLogTest() override { std::fclose(file_); }

  void write(const Receipt& receipt) {
    log_.request(receipt);
    ASSERT_TRUE(log_.flush(5s));
  }

  const std::string path_ = testing::TempDir() + "read_log_test.log";
  std::FILE* file_ = std::fopen(path_.c_str(), "w");
  Log log_{fileno(file_), Level::info};
};

Receipt judged_receipt() {
  Receipt receipt = example_receipt();
  receipt.label = "restricted";
  receipt.service_tier = "flex";
  receipt.tokens_max = 64;
  receipt.usage.cached_tokens = 5;
  receipt.considered = {
      {.target = "local", .verdict = "first token too late", .ttft = 0.9, .finish = 4.0},
      {.target = "ai-hub", .verdict = "breaker open", .available = false}};
  return receipt;
}

TEST_F(ReadLogTest, GivesBackWhatWasWritten) {
  write(judged_receipt());
  ASSERT_TRUE(is_log(path_));
  const auto log = read_log(path_);
  ASSERT_TRUE(log) << log.error().message;
  ASSERT_EQ(log->size(), 1u);
  const LoggedRequest& one = log->front();
  EXPECT_EQ(one.model, "auto");
  EXPECT_EQ(one.request_class, "interactive");
  EXPECT_EQ(one.key_name, "demo");
  EXPECT_EQ(one.tenant, judged_receipt().tenant);
  ASSERT_EQ(one.attempts.size(), judged_receipt().attempts.size());
  for (std::size_t i = 0; i < one.attempts.size(); ++i) {
    EXPECT_EQ(one.attempts[i].target, judged_receipt().attempts[i].target);
    EXPECT_EQ(one.attempts[i].failed, judged_receipt().attempts[i].failure.has_value());
    EXPECT_NEAR(one.attempts[i].seconds, judged_receipt().attempts[i].seconds, 1e-6);
  }
  EXPECT_EQ(one.label, "restricted");
  EXPECT_EQ(one.service_tier, "flex");
  EXPECT_EQ(one.endpoint, "/v1/chat/completions");
  EXPECT_EQ(one.reason, "local_meets_sla");
  EXPECT_TRUE(one.streaming);
  EXPECT_EQ(one.prompt_tokens, 12);
  EXPECT_EQ(one.completion_tokens, 21);
  EXPECT_EQ(one.cached_tokens, 5);
  EXPECT_EQ(one.tokens_max, 64);
  ASSERT_EQ(one.considered.size(), 2u);
  EXPECT_EQ(one.considered[0].name, "local");
  EXPECT_TRUE(one.considered[0].available);
  EXPECT_DOUBLE_EQ(one.considered[0].ttft, 0.9);
  EXPECT_DOUBLE_EQ(one.considered[0].finish, 4.0);
  EXPECT_FALSE(one.considered[1].available);
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  EXPECT_NEAR(one.arrived, now.count() - 0.303, 30.0);
}

TEST_F(ReadLogTest, KeepsTheLastAndPassesOverWhatIsNoRequest) {
  log_.event(Level::info, "listening", {});
  for (const int tokens : {1, 2, 3}) {
    Receipt receipt = judged_receipt();
    receipt.usage.prompt_tokens = tokens;
    write(receipt);
  }
  std::ofstream(path_, std::ios::app)
      << "a library's own words\n"
      << R"({"ts":"2026-01-31T09:05:00.1Z","msg":"request","stream":3})"
      << "\n"
      << R"({"ts":"2026-01-31T09:0)";
  const auto log = read_log(path_, 2);
  ASSERT_TRUE(log);
  ASSERT_EQ(log->size(), 2u);
  EXPECT_EQ(log->front().prompt_tokens, 2);
  EXPECT_EQ(log->back().prompt_tokens, 3);
}

TEST_F(ReadLogTest, SaysWhatIsNoLog) {
  EXPECT_FALSE(read_log(path_ + ".none"));
  log_.event(Level::info, "listening", {});
  ASSERT_TRUE(log_.flush(5s));
  const auto log = read_log(path_);
  ASSERT_FALSE(log);
  EXPECT_THAT(log.error().message, testing::HasSubstr("has no requests"));
  const std::string csv = testing::TempDir() + "read_log_test.csv";
  std::ofstream(csv) << "id,t_ms,in_tokens,out_tokens,class,deadline_ms\n";
  EXPECT_FALSE(is_log(csv));
}

}  // namespace
}  // namespace spillway::telemetry
