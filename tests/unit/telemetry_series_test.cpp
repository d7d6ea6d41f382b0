// The set of series: exactly the listed ones, well named, and no traffic can make them grow.
#include "gateway/telemetry/catalogue.h"
#include "gateway/telemetry/metrics.h"
#include "gateway/telemetry/series_store.h"
#include "tests/unit/telemetry_receipts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace spillway::telemetry {
namespace {

std::size_t lines_of(const std::string& page) {
  std::istringstream in(page);
  std::size_t lines = 0;
  for (std::string line; std::getline(in, line);) lines += !line.empty() && line[0] != '#';
  return lines;
}

std::string listing() {
  std::ostringstream out;
  for (const SeriesRow& its_row : catalogue()) {
    out << its_row.name << ' ' << name_of(its_row.kind);
    for (const Label& label : its_row.labels) out << ' ' << label.name;
    if (!its_row.buckets.empty()) out << " |";
    for (const double bound : its_row.buckets) out << ' ' << bound;
    out << '\n';
  }
  return out.str();
}

std::string file_text(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Catalogue, IsTheListThatDashboardsRelyOn) {
  const std::string golden = std::string(SPILLWAY_SOURCE_DIR) + "/tests/golden/series.txt";
  if (std::getenv("SPILLWAY_UPDATE_GOLDEN") != nullptr) std::ofstream(golden) << listing();
  EXPECT_EQ(listing(), file_text(golden))
      << "After a deliberate change: SPILLWAY_UPDATE_GOLDEN=1, and read the diff.";
}

TEST(Catalogue, NamesAndLabelsAreUniqueAndFit) {
  std::set<std::string_view> names;
  for (const SeriesRow& its_row : catalogue()) {
    EXPECT_TRUE(names.insert(its_row.name).second) << its_row.name;
    EXPECT_LE(its_row.labels.size(), kLabelsMax) << its_row.name;
    EXPECT_TRUE(std::is_sorted(its_row.buckets.begin(), its_row.buckets.end())) << its_row.name;
    EXPECT_EQ(its_row.help.back(), '.') << its_row.name;
    for (const Label& label : its_row.labels) {
      const bool is_closed = label.words != Words::given;
      EXPECT_EQ(is_closed, its_row.source == Source::receipts) << its_row.name << ' ' << label.name;
    }
  }
}

TEST(Catalogue, PromtoolFindsNothing) {
  if (std::system("command -v promtool >/dev/null") != 0)
    GTEST_SKIP() << "promtool is not installed";
  Metrics metrics(example_sets(), "1.2.3");
  metrics.config_loaded(example_sets(), "abc");
  metrics.watch([] {
    LiveState state;
    state.targets = {{"local", 0, 0, true, Circuit::closed, 0}};
    state.engines = {{"local", "smollm2", {}, {}}};
    state.listeners = {{"api", 0, 0, 0, {{"bad_host", 0}}}};
    return state;
  });
  Receipt receipt = example_receipt();
  receipt.cost_nano_usd = 1;
  receipt.parts = {{.target = "ai-hub", .cost_nano_usd = 1}};
  receipt.attempts = {{"ai-hub", Errc::backend_unavailable, "", 0.0}, {"local", {}, "", 0.0}};
  metrics.count(receipt);
  metrics.count(example_receipt());
  std::FILE* promtool = popen("promtool check metrics 2>&1 >/dev/null", "w");
  ASSERT_NE(promtool, nullptr);
  const std::string page = metrics.text();
  std::fwrite(page.data(), 1, page.size(), promtool);
  EXPECT_EQ(pclose(promtool), 0);
}

// A request in which every name comes from the client's imagination.
Receipt strange_receipt(int number) {
  const std::string name = "name-" + std::to_string(number);
  Receipt receipt = example_receipt();
  receipt.model_requested = name;
  receipt.model_served = name;
  receipt.tenant = name;
  receipt.target = name;
  receipt.request_class = name;
  receipt.reason = name;
  receipt.endpoint = "/v1/" + name;
  receipt.cost_nano_usd = 2;
  receipt.parts = {{.target = name, .model = name, .cost_nano_usd = 1},
                   {.target = name + "b", .model = name, .cost_nano_usd = 1}};
  receipt.attempts = {{name, Errc::backend_unavailable, name, 0.0}, {name + "b", {}, "", 0.0}};
  receipt.http_status = 100 + number % 900;
  return receipt;
}

TEST(ClosedSets, AHundredThousandNamesAddNoSeries) {
  Metrics metrics(example_sets(), "1.2.3");
  metrics.count(example_receipt());
  for (int i = 0; i < 1'000; ++i) metrics.count(strange_receipt(i));
  const std::size_t series = lines_of(metrics.text());
  const double resident = std::stod(value_in(metrics.text(), "process_resident_memory_bytes"));
  for (int i = 1'000; i < 101'000; ++i) metrics.count(strange_receipt(i));
  const std::string page = metrics.text();
  EXPECT_EQ(lines_of(page), series);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(std::stod(value_in(page, "process_resident_memory_bytes")) - resident, 1 << 20);
#else
  (void)resident;
#endif
  EXPECT_EQ(page.find("name-"), std::string::npos);
  EXPECT_EQ(value_in(page, "spillway_metrics_folded_total{label=\"tenant\"}"), "101000");
  EXPECT_EQ(value_in(page, "spillway_metrics_folded_total{label=\"model\"}"), "202000");
}

TEST(ClosedSets, AReloadAddsNamesAndKeepsTheOldOnes) {
  Metrics metrics(example_sets(), "1.2.3");
  metrics.count(example_receipt());
  ClosedSets sets;
  sets.classes = {"urgent"};
  metrics.config_loaded(sets, "abc");
  Receipt urgent = example_receipt();
  urgent.request_class = "urgent";
  metrics.count(urgent);
  metrics.count(example_receipt());
  const std::string page = metrics.text();
  const auto requests = [&](const std::string& name) {
    return value_in(page, "spillway_requests_total{cls=\"" + name +
                              "\",code=\"2xx\",m=\"auto\",stream=\"true\",be=\"local\"}");
  };
  EXPECT_EQ(requests("interactive"), "2");
  EXPECT_EQ(requests("urgent"), "1");
}

TEST(SeriesMax, PastItSamplesFoldAndNothingIsLost) {
  ClosedSets sets = example_sets();
  for (int i = 0; i < 500; ++i) sets.models.push_back("model-" + std::to_string(i));
  Metrics metrics(sets, "1.2.3", 1'000);
  for (int i = 0; i < 500; ++i) {
    Receipt receipt = example_receipt();
    receipt.model_requested = "model-" + std::to_string(i);
    metrics.count(receipt);
  }
  const std::string page = metrics.text();
  EXPECT_LT(lines_of(page), 1'000u + 300u);  // And one `_other` a family, and the live ones.
  double requests = 0.0;
  std::istringstream in(page);
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("spillway_requests_total{", 0) == 0)
      requests += std::stod(line.substr(line.rfind(' ')));
  }
  EXPECT_EQ(requests, 500.0);
  EXPECT_GT(std::stod(value_in(page, "spillway_metrics_folded_total{label=\"series_max\"}")), 0.0);
}

TEST(Threads, WorkersCountAtOnceAndScrapesSeeWholePages) {
  Metrics metrics(example_sets(), "1.2.3");
  constexpr int kEach = 2'000;
  std::vector<std::thread> workers;
  std::atomic<int> running{4};
  for (int i = 0; i < 4; ++i) {
    workers.emplace_back([&metrics, &running, i] {
      Receipt receipt = example_receipt();
      for (int n = 0; n < kEach; ++n) {
        receipt.request_class = n % 2 == i % 2 ? "interactive" : "batch";
        metrics.count(receipt);
      }
      --running;
    });
  }
  int reloads = 0;
  while (running > 0) {
    ClosedSets sets;
    sets.models = {"model-" + std::to_string(reloads++ % 50)};
    metrics.config_loaded(sets, "abc");
    EXPECT_FALSE(metrics.text().empty());
  }
  for (auto& worker : workers) worker.join();
  const std::string page = metrics.text();
  const auto requests = [&](const std::string& name) {
    return std::stoi(
        value_in(page, "spillway_requests_total{cls=\"" + name +
                           "\",code=\"2xx\",m=\"auto\",stream=\"true\",be=\"local\"}"));
  };
  EXPECT_EQ(requests("interactive") + requests("batch"), 4 * kEach);
}

TEST(Cost, OneRequestIsCountedInMicroseconds) {
  Metrics metrics(example_sets(), "1.2.3");
  const Receipt receipt = example_receipt();
  constexpr int kRounds = 20'000;
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < kRounds; ++i) metrics.count(receipt);
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - began;
  std::cout << "count(): " << took.count() / kRounds << " us a request\n";
  EXPECT_LT(took.count() / kRounds,
            100.0);  // A lock or a rendering on the way would show; sanitizers do not.
}

}  // namespace
}  // namespace spillway::telemetry
