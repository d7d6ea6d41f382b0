#include "gateway/simulate/trace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

namespace spillway::simulate {
namespace {

const std::string kTraces = std::string(SPILLWAY_SOURCE_DIR) + "/tests/data/traces/";
constexpr std::string_view kGenericHeader = "id,t_ms,in_tokens,out_tokens,class,deadline_ms\n";

// Files named a, b, … in a folder of their own.
class TraceFiles : public testing::Test {
 protected:
  TraceFiles() {
    std::string pattern = (std::filesystem::temp_directory_path() / "traceXXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    std::filesystem::current_path(folder_);
  }
  ~TraceFiles() override {
    std::filesystem::current_path(folder_.parent_path());
    std::filesystem::remove_all(folder_);
  }

  static void write(const std::string& name, std::string_view text) {
    std::ofstream(name, std::ios::binary) << text;
  }

  static Result<RecordedTrace> read(const std::vector<std::string>& names) {
    return read_trace(names);
  }

  // The error of a trace of this text in file "a".
  static std::string error_of(std::string_view text) {
    write("a", text);
    const auto trace = read({"a"});
    if (trace) return "no error";
    EXPECT_EQ(trace.error().code, Errc::invalid_request);
    return trace.error().message;
  }

 private:
  std::filesystem::path folder_;
};

TEST_F(TraceFiles, MergesAzuresFilesByTimeTheEarlierNamedFirst) {
  write("a",
        "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
        "2023-11-16 23:59:59.5000000,10,1\r\n"
        "2023-11-17 00:00:01.0000001,20,2");
  write("b",
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 23:59:59.5,30,0\n"
        "2023-11-17 00:00:00.25,40,4\n");
  const auto trace = read({"a", "b"});
  ASSERT_TRUE(trace) << trace.error().message;
  ASSERT_EQ(trace->rows.size(), 4u);
  const double at[] = {0.0, 0.0, 0.75, 1.5000001};
  const int prompt[] = {10, 30, 40, 20};
  for (std::size_t k = 0; k < 4; ++k) {
    EXPECT_DOUBLE_EQ(trace->rows[k].at, at[k]);
    EXPECT_EQ(trace->rows[k].prompt_tokens, prompt[k]);
    EXPECT_EQ(trace->rows[k].id, k);
    EXPECT_EQ(trace->rows[k].ttft_slo, 1.0);
  }
  EXPECT_EQ(trace->rows[1].completion_tokens, 1) << "0 is read as 1";
  EXPECT_DOUBLE_EQ(trace->length(), 2.5000001);
  EXPECT_EQ(read({"b", "a"})->rows[0].prompt_tokens, 30);
}

TEST_F(TraceFiles, ReadsMooncakesPrefixes) {
  write("a",
        "{\"timestamp\": 0, \"input_length\": 4000, \"output_length\": 500, \"hash_ids\": [0, 7]}\n"
        "{\"hash_ids\":[],\"timestamp\":1500,\"output_length\":0,\"input_length\":16000}\n"
        "{\"timestamp\": 3000, \"input_length\": 1, \"output_length\": 2, \"hash_ids\": [8]}\n");
  const auto trace = read({"a"});
  ASSERT_TRUE(trace) << trace.error().message;
  EXPECT_DOUBLE_EQ(trace->rows[0].ttft_slo, 1.5);
  EXPECT_DOUBLE_EQ(trace->rows[1].ttft_slo, 3.0);
  EXPECT_DOUBLE_EQ(trace->rows[1].at, 1.5);
  EXPECT_EQ(trace->rows[1].completion_tokens, 1);
  const Replay stream = replay(*trace, {});
  EXPECT_EQ(stream.prefix_of(stream.requests[0]).size(), 2u);
  EXPECT_EQ(stream.prefix_of(stream.requests[1]).size(), 0u);
  EXPECT_EQ(stream.prefix_of(stream.requests[2])[0], 8u);
}

TEST_F(TraceFiles, KeepsServegensMidnight) {
  write("a", "t_ms,in_tokens,out_tokens,client\n443,223,38,56\n522,1718,575,12\n");
  const auto trace = read({"a"});
  ASSERT_TRUE(trace) << trace.error().message;
  EXPECT_DOUBLE_EQ(trace->rows[0].at, 0.443);
  EXPECT_EQ(trace->rows[1].completion_tokens, 575);
}

TEST_F(TraceFiles, TakesClassesAndLimitsFromTheGenericFormat) {
  write("a",
        "id,t_ms,in_tokens,out_tokens,class,deadline_ms,prefix_ids,ttft_slo_ms\n"
        "70,1000,10,1,batch,5000,1 2 3,\n"
        "5,0.5,20,2,interactive,,,250\n"
        "\n"
        "6,2000,30,3,batch,,4,\n");
  const auto trace = read({"a"});
  ASSERT_TRUE(trace) << trace.error().message;
  const Replay stream = replay(*trace, {});
  ASSERT_EQ(stream.requests.size(), 3u);
  EXPECT_EQ(stream.requests[0].id, 5u);
  EXPECT_FALSE(stream.requests[0].batch);
  EXPECT_DOUBLE_EQ(stream.requests[0].at, 0.0005);
  EXPECT_DOUBLE_EQ(stream.requests[0].ttft_slo, 0.25);
  EXPECT_EQ(stream.requests[0].deadline, std::numeric_limits<double>::infinity());
  EXPECT_TRUE(stream.requests[1].batch);
  EXPECT_DOUBLE_EQ(stream.requests[1].deadline, 6.0);
  EXPECT_EQ(stream.prefix_of(stream.requests[1])[2], 3u);
  EXPECT_DOUBLE_EQ(stream.requests[2].deadline, stream.length + 60.0) << "the rule's 900 s, cut";
  EXPECT_EQ(stream.prefix_of(stream.requests[2])[0], 4u);
}

TEST_F(TraceFiles, SaysWhatIsWrongWhereAndWhatToWrite) {
  const std::string header(kGenericHeader);
  EXPECT_EQ(error_of(header), "a: has no requests");
  EXPECT_EQ(error_of(""), "a: has no requests");
  EXPECT_EQ(error_of("time,in,out\n1,2,3\n"),
            "a:1: is not the first line of a known trace: write the header "
            "id,t_ms,in_tokens,out_tokens,class,deadline_ms (then ttft_slo_ms and prefix_ids, if "
            "you like), t_ms,in_tokens,out_tokens,client, or "
            "TIMESTAMP,ContextTokens,GeneratedTokens, or one JSON object a line with timestamp, "
            "input_length, output_length and hash_ids");
  EXPECT_EQ(error_of(header + "1,0,5,5,batch,\n2,0,five,5,,\n"),
            "a:3: in_tokens is 'five': write a whole number of tokens from 0 to 100000000");
  EXPECT_EQ(error_of(header + "1,0,5,-5,batch,\n"),
            "a:2: out_tokens is '-5': write a whole number of tokens from 0 to 100000000");
  EXPECT_EQ(error_of(header + "1,0,5,100000001,batch,\n"),
            "a:2: out_tokens is '100000001': write a whole number of tokens from 0 to 100000000");
  EXPECT_EQ(error_of(header + "1,nan,5,5,batch,\n"),
            "a:2: t_ms is 'nan': write milliseconds from 0 to 9999999999, such as 1500 or 0.5");
  EXPECT_EQ(error_of(header + "1,0,5,5,later,\n"),
            "a:2: class is 'later': write interactive or batch, or nothing");
  EXPECT_EQ(error_of(header + "1,0,5,5,batch,0\n"),
            "a:2: deadline_ms is '0': write milliseconds above 0 from the arrival, or nothing");
  EXPECT_EQ(error_of(header + "x,0,5,5,batch,\n"),
            "a:2: id is 'x': write a whole number below 2^50");
  EXPECT_EQ(error_of(header + "1,0,5,5,batch\n"),
            "a:2: has too few fields: write the 6 that the header names");
  EXPECT_EQ(error_of(header + "1,0,5,5,batch,1,2\n"),
            "a:2: has too many fields: write the 6 that the header names");
  EXPECT_EQ(error_of(header + "1,0,5,5,,\n2,1,5,5,,\n1,2,5,5,,\n"),
            "a:4: id 1 stands at a:2 already: give each request an id of its own");
  EXPECT_EQ(error_of("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17,1,1\n"),
            "a:2: TIMESTAMP is '2023-11-16 18:17': write a time such as "
            "2023-11-16 18:17:03.9799600");
  EXPECT_EQ(error_of("{\"timestamp\": 0, \"input_length\": 1}\n"),
            "a:1: is not a request: write {\"timestamp\": 0, \"input_length\": 6758, "
            "\"output_length\": 500, \"hash_ids\": [0, 1]} with a time in ms and whole numbers");
}

TEST_F(TraceFiles, RefusesBrokenMooncakeLines) {
  const std::string good = R"("timestamp": 0, "input_length": 1, "output_length": 1)";
  EXPECT_EQ(error_of("{" + good + "}"), "no error");
  for (const std::string& line :
       {"{" + good, "{" + good + "} x", "{" + good + ", \"hash_ids\": [1, ]}",
        "{" + good + ", \"hash_ids\": [-1]}", "{" + good + ", \"hash_ids\": [1]",
        "{" + good + ", \"hash_ids\": 1}", "{" + good + ", \"other\": 1}",
        "{" + good + ", \"timestamp\": \"0\"}", "{" + good + ",}", std::string("{"),
        std::string("{\"timestamp\"")}) {
    EXPECT_TRUE(error_of(line).starts_with("a:1: is not a request")) << line;
  }
}

TEST_F(TraceFiles, RefusesFilesThatCannotBeRead) {
  EXPECT_EQ(read({}).error().message, "no trace: name at least one file");
  EXPECT_EQ(read({"nowhere"}).error().message,
            "nowhere: cannot be opened: No such file or directory");
  write("a", std::string(kGenericHeader) + "1,0,1,1,,\n");
  write("b", "t_ms,in_tokens,out_tokens,client\n443,223,38,56\n");
  EXPECT_EQ(read({"a", "b"}).error().message,
            "b: has another format than a: name only files of one format");
  std::ifstream whole(kTraces + "azure_llm_2023_code.csv.gz", std::ios::binary);
  std::string half(30'000, '\0');
  whole.read(half.data(), static_cast<std::streamsize>(half.size()));
  write("cut.gz", half);
  const auto cut = read({"cut.gz"});
  ASSERT_FALSE(cut);
  EXPECT_TRUE(cut.error().message.starts_with("cut.gz: cannot be read to its end: "))
      << cut.error().message;
}

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
