// The engine model against times and figures that another program has computed.
#include "tests/unit/simulate_all_local.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <string>
#include <vector>

namespace spillway::simulate {
namespace {

const std::string kSource = SPILLWAY_SOURCE_DIR;

// Within 2 % or 5 ms.
void expect_agrees(double seconds, double wanted_milliseconds, const std::string& what) {
  const double allowed = std::max(5.0, 0.02 * wanted_milliseconds);
  EXPECT_NEAR(1e3 * seconds, wanted_milliseconds, allowed) << what;
}

nlohmann::json reference_cases() {
  std::ifstream file(kSource + "/tests/golden/engine/reference_cases.json");
  return nlohmann::json::parse(file).at("cases");
}

RecordedTrace azure_hour() {
  const std::vector<std::string> paths{kSource + "/tests/data/traces/azure_llm_2023_conv.csv.gz",
                                       kSource + "/tests/data/traces/azure_llm_2023_code.csv.gz"};
  auto trace = read_trace(paths);
  EXPECT_TRUE(trace) << trace.error().message;
  return std::move(*trace);
}

Replay stream_of(const nlohmann::json& one) {
  Replay stream;
  for (std::size_t i = 0; i < one.at("t").size(); ++i) {
    TraceRequest request;
    request.at = one["t"][i];
    request.prompt_tokens = one["tin"][i];
    request.completion_tokens = one["tout"][i];
    stream.requests.push_back(request);
  }
  return stream;
}

ReferenceEngineParams params_of(const nlohmann::json& one) {
  ReferenceEngineParams params;
  params.kv_tokens = one.at("kv_tokens");
  params.step_budget = one.at("step_budget");
  return params;
}

TEST(ReferenceCases, AgreeRequestByRequest) {
  int requests = 0;
  for (const auto& one : reference_cases()) {
    if (!one.contains("t")) continue;
    const Replay stream = stream_of(one);
    const auto served = serve_all(stream, params_of(one));
    for (std::size_t i = 0; i < served.size(); ++i, ++requests) {
      const std::string what = one.at("name").get<std::string>() + ", " + std::to_string(i);
      const double at = stream.requests[i].at;
      expect_agrees(served[i].first_token - at, one["ttft_ms"][i], what);
      expect_agrees(served[i].finish, one["finish_ms"][i], what);
    }
  }
  EXPECT_EQ(requests, 40);
}

double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
}

TEST(ReferenceCases, AgreeInTheQuantilesOfTenMinutesOfAzure) {
  const auto one = reference_cases().back();
  ReplayRules rules;
  rules.batch_share = 0.0;
  Replay stream = replay(azure_hour(), rules);
  std::erase_if(stream.requests, [](const TraceRequest& request) { return request.at >= 600.0; });
  ASSERT_EQ(stream.requests.size(), one.at("requests"));
  const auto served = serve_all(stream, params_of(one));
  std::vector<double> ttft, response;
  for (std::size_t i = 0; i < served.size(); ++i) {
    ttft.push_back(served[i].first_token - stream.requests[i].at);
    response.push_back(served[i].finish - stream.requests[i].at);
  }
  for (const char* percent : {"50", "90", "99"}) {
    const double share = std::stod(percent) / 100.0;
    expect_agrees(quantile(ttft, share), one["ttft_ms"][percent], percent);
    expect_agrees(quantile(response, share), one["response_ms"][percent], percent);
  }
}

// The reference model's published table, all-local row, Azure's hour.
TEST(ReferenceTable, AllLocalOnAzuresHour) {
  struct Row {
    double load, attainment, usd_per_million;
  };
  const RecordedTrace trace = azure_hour();
  EXPECT_EQ(trace.rows.size(), 28'185u);
  for (const Row& row : {Row{0.4, 95.6, 0.029}, Row{0.8, 76.7, 0.015}, Row{1.5, 5.6, 0.012}}) {
    ReplayRules rules;
    rules.scale = row.load * *reference_saturation("azure1h") / rate_of(trace, rules);
    const Replay stream = replay(trace, rules);
    const AllLocalFigures figures = figures_of(stream, serve_all(stream, {}));
    EXPECT_NEAR(figures.attainment, row.attainment, 0.5) << row.load;
    // Published with three decimals.
    EXPECT_NEAR(figures.usd_per_million, row.usd_per_million, 0.0005) << row.load;
  }
}

}  // namespace
}  // namespace spillway::simulate
