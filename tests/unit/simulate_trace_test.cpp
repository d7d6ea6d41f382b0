#include "gateway/simulate/trace.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
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

TEST_F(TraceFiles, TakesWhoAsksForWhatAndClassesOfAnyName) {
  const std::string header =
      "id,t_ms,in_tokens,out_tokens,class,deadline_ms,key,tenant,model,label,service_tier,"
      "max_tokens\n";
  write("a", header + "1,0,10,1,nightly,60000,payroll,acme,qwen,restricted,flex,64\n");
  write("b", header + "2,1,10,1,interactive,,web,,,restricted,,\n");
  const auto trace = read({"a", "b"});
  ASSERT_TRUE(trace) << trace.error().message;
  const Replay stream = replay(*trace, {});
  const auto word = [&](std::uint32_t place) { return stream.words.at(place); };
  const TraceRequest& one = stream.requests[0];
  EXPECT_EQ(word(one.told.request_class), "nightly");
  EXPECT_TRUE(one.named && one.own_deadline && !one.batch && !one.own_ttft);
  EXPECT_DOUBLE_EQ(one.deadline, 60.0);
  EXPECT_EQ(word(one.told.key) + word(one.told.tenant) + word(one.told.model), "payrollacmeqwen");
  EXPECT_EQ(word(one.told.label) + word(one.told.service_tier), "restrictedflex");
  EXPECT_EQ(one.told.tokens_max, 64);
  const TraceRequest& two = stream.requests[1];
  EXPECT_EQ(word(two.told.key), "web") << "the second file's words are its own";
  EXPECT_EQ(two.told.label, one.told.label);
  EXPECT_EQ(two.told.tenant + two.told.model + two.told.service_tier, 0u);
  EXPECT_TRUE(!two.named && !two.own_deadline);
}

TEST_F(TraceFiles, SaysWhatIsWrongWhereAndWhatToWrite) {
  const std::string header(kGenericHeader);
  EXPECT_EQ(error_of(header), "a: has no requests");
  EXPECT_EQ(error_of(""), "a: has no requests");
  EXPECT_EQ(error_of("time,in,out\n1,2,3\n"),
            "a:1: is not the first line of a known trace: write the header "
            "id,t_ms,in_tokens,out_tokens,class,deadline_ms (then ttft_slo_ms, prefix_ids, key, "
            "tenant, model, label, service_tier and max_tokens, if you like), "
            "t_ms,in_tokens,out_tokens,client, or "
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

}  // namespace
}  // namespace spillway::simulate
