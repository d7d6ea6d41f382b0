// The log: one valid JSON object a line whatever the values hold, and never a caller who waits.
#include "gateway/telemetry/log.h"
#include "tests/unit/telemetry_receipts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <fcntl.h>
#include <limits>
#include <sstream>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace spillway::telemetry {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

// A log that is written to a temporary file.
class LogToFile : public testing::Test {
 protected:
  ~LogToFile() override { std::fclose(file_); }

  std::vector<json> lines() {
    EXPECT_TRUE(log_.flush(5s));
    std::string text(std::size_t(1) << 20, '\0');
    text.resize(static_cast<std::size_t>(pread(fileno(file_), text.data(), text.size(), 0)));
    std::vector<json> parsed;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) parsed.push_back(json::parse(line));
    return parsed;
  }

  std::FILE* file_ = std::tmpfile();
  Log log_{fileno(file_), Level::info};
};

TEST_F(LogToFile, ARequestIsOneLineWithItsWholeStory) {
  log_.request(example_receipt());
  const auto all = lines();
  ASSERT_EQ(all.size(), 1u);
  const json& line = all[0];
  EXPECT_EQ(line["level"], "info");
  EXPECT_EQ(line["msg"], "request");
  EXPECT_EQ(line["request_id"], "req_0123456789abcdef01234567");
  EXPECT_EQ(line["tenant"], "acme");
  EXPECT_EQ(line["key_name"], "demo");
  EXPECT_EQ(line["endpoint"], "/v1/chat/completions");
  EXPECT_EQ(line["model_requested"], "auto");
  EXPECT_EQ(line["model_served"], "smollm2");
  EXPECT_EQ(line["class"], "interactive");
  EXPECT_EQ(line["target"], "local");
  EXPECT_EQ(line["reason"], "local_meets_sla");
  EXPECT_EQ(line["explanation"], "interactive: local 100 ms of 500 ms");
  EXPECT_EQ(line["attempts"], json::parse(R"([{"target": "local", "ms": 100.0}])"));
  EXPECT_EQ(line["stream"], true);
  EXPECT_EQ(line["prompt_tokens"], 12);
  EXPECT_EQ(line["completion_tokens"], 21);
  EXPECT_EQ(line["avoided_nano_usd"], 2'000'000'000);
  EXPECT_EQ(line["predicted_ttft_ms"], 125.0);
  EXPECT_EQ(line["ttft_ms"], 103.0);
  EXPECT_EQ(line["per_token_ms"], 10.0);
  EXPECT_EQ(line["total_ms"], 303.0);
  EXPECT_EQ(line["overhead_us"], 3'000.0);
  EXPECT_EQ(line["status"], 200);
  EXPECT_FALSE(line.contains("error_type"));
  EXPECT_THAT(line["ts"].get<std::string>(), testing::MatchesRegex("20[0-9-]*T[0-9:]*\\.[0-9]*Z"));
}

TEST_F(LogToFile, LevelsSayWhoMustAct) {
  Receipt failed = example_receipt();
  failed.error = Error{Errc::backend_unavailable, "said something", "", {}};
  failed.http_status = 502;
  log_.request(failed);
  Receipt ours = example_receipt();
  ours.error = Error{Errc::internal, "", "", {}};
  ours.http_status = 500;
  log_.request(ours);
  Receipt recovered = example_receipt();
  recovered.attempts = {
      {"ai-hub", Errc::backend_unavailable, "ai-hub: it answered 503: their words", 0.01},
      {"ai-hub", Errc::unsupported, "ai-hub: their words", 0.01},
      {"local", {}, "", 0.1}};
  log_.request(recovered);
  Receipt gone = example_receipt();
  gone.error = Error{Errc::cancelled, "", "", {}};
  gone.http_status = 499;
  log_.request(gone);
  const auto all = lines();
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0]["level"], "warn");
  EXPECT_EQ(all[0]["error_type"], "backend_unavailable");
  EXPECT_EQ(all[1]["level"], "error");
  EXPECT_EQ(all[2]["level"], "warn");
  EXPECT_EQ(all[2]["attempts"][0]["failure"], "backend_unavailable");
  EXPECT_EQ(all[2]["attempts"][0]["cause"], "ai-hub: it answered 503");
  EXPECT_FALSE(all[2]["attempts"][1].contains("cause"));  // A provider may have quoted the prompt.
  EXPECT_EQ(all[3]["level"], "info");
}

TEST_F(LogToFile, AnyBytesBecomeValidJson) {
  const std::string controls("\x01\x1F\x7F\0\n\"\\", 7);
  log_.event(Level::warn, "odd",
             {{"controls", controls},
              {"valid", std::string("grüß 水 🌊")},
              {"cut", std::string("a\xE6\xB0")},
              {"overlong", std::string("\xC0\xAF|\xE0\x80\xAF|\xED\xA0\x80|\xF4\x90\x80\x80|\xFF")},
              {"number", std::int64_t(-5)},
              {"small", -0.0456},
              {"nothing", -0.0001},
              {"large", 123456789.9996},
              {"nan", std::numeric_limits<double>::quiet_NaN()}});
  const auto all = lines();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0]["controls"].get<std::string>(), controls);
  EXPECT_EQ(all[0]["valid"], "grüß 水 🌊");
  EXPECT_EQ(all[0]["cut"], "a\uFFFD\uFFFD");
  EXPECT_EQ(all[0]["overlong"],
            "\uFFFD\uFFFD|\uFFFD\uFFFD\uFFFD|\uFFFD\uFFFD\uFFFD|\uFFFD\uFFFD\uFFFD\uFFFD|\uFFFD");
  EXPECT_EQ(all[0]["number"], -5);
  EXPECT_EQ(all[0]["small"], -0.046);
  EXPECT_EQ(all[0]["nothing"], 0.0);
  EXPECT_EQ(all[0]["large"], 123456790.0);
  EXPECT_TRUE(all[0]["nan"].is_null());
}

TEST_F(LogToFile, LongTextsAreCutBetweenCharacters) {
  std::string water;
  while (water.size() < 5'000) water += "水";
  log_.event(Level::info, "long", {{"text", water}});
  const auto all = lines();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0]["text"].get<std::string>(), water.substr(0, 2'046));
}

TEST_F(LogToFile, LinesBelowTheLevelAreLeftOut) {
  log_.event(Level::debug, "quiet");
  log_.set_level(Level::error);
  log_.request(example_receipt());
  log_.event(Level::error, "loud");
  const auto all = lines();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0]["msg"], "loud");
}

TEST_F(LogToFile, LinesOfManyThreadsStayWhole) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this] {
      for (int n = 0; n < 200; ++n) log_.request(example_receipt());
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(lines().size(), 800u);
  EXPECT_EQ(log_.dropped(), 0u);
}

TEST(LogToPipe, AReaderWhoStopsCostsLinesAndNobodysTime) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const auto began = std::chrono::steady_clock::now();
  {
    Log log(ends[1], Level::info, 256 << 10);                        // More than the pipe holds.
    for (int i = 0; i < 2'000; ++i) log.request(example_receipt());  // About 1.2 MB; nobody reads.
    EXPECT_GT(log.dropped(), 500u);
    EXPECT_LT(log.dropped(), 2'000u);
    EXPECT_LT(std::chrono::steady_clock::now() - began, 2s);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, 5s);  // The destructor gives up.
  close(ends[0]);
  close(ends[1]);
}

TEST(LogToPipe, WhatWasLoggedBeforeTheEndIsWritten) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  {
    Log log(ends[1], Level::info);
    log.event(Level::info, "stopped");
  }
  close(ends[1]);
  std::string text(4'096, '\0');
  text.resize(static_cast<std::size_t>(read(ends[0], text.data(), text.size())));
  EXPECT_EQ(json::parse(text)["msg"], "stopped");
  close(ends[0]);
}

}  // namespace
}  // namespace spillway::telemetry
