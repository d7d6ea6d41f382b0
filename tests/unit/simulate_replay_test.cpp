// The rules by which a trace is replayed, and the traces at hand.
#include "gateway/simulate/trace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

namespace spillway::simulate {
namespace {

const std::string kTraces = std::string(SPILLWAY_SOURCE_DIR) + "/tests/data/traces/";

// Computed with another program.
TEST(TraceRules, MixIsAsWritten) {
  EXPECT_DOUBLE_EQ(mix(0, 1), 0.8833108082136426);
  EXPECT_DOUBLE_EQ(mix(1, 1), 0.5665615751722809);
  EXPECT_DOUBLE_EQ(mix(2, 1), 0.5911897341980794);
  EXPECT_DOUBLE_EQ(mix(28'184, 1), 0.320215469148162);
  EXPECT_DOUBLE_EQ(mix(0, 2), 0.43152799704850997);
  EXPECT_DOUBLE_EQ(mix(5, 2), 0.7523070158382239);
}

RecordedTrace counted(int rows, double seconds_apart) {
  RecordedTrace trace;
  for (int k = 0; k < rows; ++k) {
    TraceRow row;
    row.id = static_cast<std::uint64_t>(k);
    row.at = k * seconds_apart;
    row.prompt_tokens = k + 1;
    row.completion_tokens = 1;
    trace.rows.push_back(row);
  }
  return trace;
}

TEST(TraceRules, AThirdIsBatch) {
  const Replay stream = replay(counted(28'185, 0.125), {});
  const auto batch = std::ranges::count_if(stream.requests, &TraceRequest::batch);
  EXPECT_EQ(batch, 9'895);
  for (std::size_t k = 0; k < 40; ++k) EXPECT_EQ(stream.requests[k].batch, mix(k, 1) < 0.35);
  ReplayRules none;
  none.batch_share = 0.0;
  EXPECT_EQ(std::ranges::count_if(replay(counted(100, 1.0), none).requests, &TraceRequest::batch),
            0);
}

TEST(TraceRules, LoadIsWholeCopiesAndAThinnedOne) {
  const RecordedTrace trace = counted(28'185, 0.125);
  ReplayRules rules;
  rules.scale = 2.3263;
  const Replay stream = replay(trace, rules);
  EXPECT_EQ(stream.requests.size(), 2 * 28'185u + 9'174);
  EXPECT_DOUBLE_EQ(stream.length, 28'184 * 0.125 + 1.0);
  std::set<std::uint64_t> ids;
  for (std::size_t i = 0; i < stream.requests.size(); ++i) {
    const TraceRequest& request = stream.requests[i];
    const std::uint64_t row = request.id % 28'185;
    const std::uint64_t copy = request.id / 28'185;
    ids.insert(request.id);
    ASSERT_EQ(request.prompt_tokens, static_cast<int>(row) + 1);
    ASSERT_EQ(request.batch, mix(row, 1) < 0.35) << "copies keep their classes";
    ASSERT_NEAR(request.at,
                std::fmod(static_cast<double>(row) * 0.125 + static_cast<double>(copy) * 97.0,
                          stream.length),
                1e-9);
    if (copy == 2) {
      ASSERT_LT(mix(row, 2), 0.3263 + 1e-9);
    }
    if (i > 0) {
      ASSERT_GE(request.at, stream.requests[i - 1].at);
    }
  }
  EXPECT_EQ(ids.size(), stream.requests.size());
}

TEST(TraceRules, BatchDeadlinesEndWithTheTraceAndAMinute) {
  const Replay stream = replay(counted(3'600, 1.0), {});
  for (const TraceRequest& request : stream.requests) {
    if (!request.batch) continue;
    ASSERT_DOUBLE_EQ(request.deadline, std::min(request.at + 900.0, 3'600.0 + 60.0));
  }
}

TEST(TraceRules, DaysAreReplayedEightTimesFaster) {
  const RecordedTrace day = counted(86'400, 1.0);
  ReplayRules rules;
  const Replay fast = replay(day, rules);
  EXPECT_DOUBLE_EQ(fast.length, 10'800.0);
  EXPECT_DOUBLE_EQ(fast.requests[8].at, 1.0);
  EXPECT_DOUBLE_EQ(rate_of(day, rules), 8.0);
  const auto batch = std::ranges::find_if(fast.requests, &TraceRequest::batch);
  EXPECT_DOUBLE_EQ(batch->deadline, std::min(batch->at + 10'800.0, 10'860.0));
  rules.speed = 1.0;
  rules.batch_window = 60.0;
  const Replay slow = replay(day, rules);
  EXPECT_DOUBLE_EQ(slow.length, 86'400.0);
  const auto first = std::ranges::find_if(slow.requests, &TraceRequest::batch);
  EXPECT_DOUBLE_EQ(first->deadline, first->at + 60.0);
}

TEST(TraceRules, SaturationTurnsAShareIntoAScale) {
  EXPECT_EQ(reference_saturation("azure1h"), 13.3);
  EXPECT_EQ(reference_saturation("servegen_day"), 25.5);
  EXPECT_EQ(reference_saturation("mooncake"), 1.49);
  EXPECT_EQ(reference_saturation("reason_day"), 1.80);
  EXPECT_FALSE(reference_saturation("monday"));
}

TEST(RealTraces, HaveTheirRowsAndRates) {
  struct Row {
    std::vector<std::string> files;
    std::size_t rows;
    double rate;  // After compression.
  };
  for (const Row& row :
       {Row{{"azure_llm_2023_conv.csv.gz", "azure_llm_2023_code.csv.gz"}, 28'185, 8.020},
        Row{{"mooncake_fast25_conversation.jsonl.gz"}, 12'031, 3.401},
        Row{{"servegen_mlarge_day1.csv.gz"}, 259'192, 24.0},
        Row{{"servegen_r1_day.csv.gz"}, 77'635, 7.188}}) {
    std::vector<std::string> paths;
    for (const std::string& file : row.files) paths.push_back(kTraces + file);
    const auto trace = read_trace(paths);
    ASSERT_TRUE(trace) << trace.error().message;
    EXPECT_EQ(trace->rows.size(), row.rows);
    EXPECT_NEAR(rate_of(*trace, {}), row.rate, 0.002) << paths[0];
  }
}

}  // namespace
}  // namespace spillway::simulate
