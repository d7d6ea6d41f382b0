// What a shadow policy adds to a decision: nanoseconds of handing the request over, beside those of
// the decision itself and of the shadow's own, which no request waits for. At ten providers, for
// engines in several states. Prints a table; needs nothing.
#include "gateway/policy/router.h"
#include "gateway/reload/shadow.h"
#include "tests/bench/decision_scene.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace spillway {
namespace {

using std::chrono::milliseconds;

constexpr int kRounds = 40;
constexpr int kPerRound = 500;  // Fewer than its queue holds, so that none is skipped.

policy::FleetFacts fleet_of(const config::Settings& settings) {
  policy::FleetFacts fleet;
  fleet.now = TimePoint(std::chrono::hours(1));
  for (const config::ProviderTarget& provider : settings.providers) {
    policy::ProviderFacts facts;
    facts.name = provider.name;
    facts.ttft_p50 = 0.4;
    facts.ttft_p90 = 0.8;
    facts.tokens_per_second = 150.0;
    fleet.providers.push_back(facts);
  }
  return fleet;
}

double nanoseconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  const auto end = std::chrono::steady_clock::now();
  return std::chrono::duration<double, std::nano>(end - start).count();
}

double at(std::vector<double>& samples, double share) {
  std::sort(samples.begin(), samples.end());
  return samples[static_cast<std::size_t>(share * static_cast<double>(samples.size() - 1))];
}

void measure(const char* name, const std::shared_ptr<const config::Settings>& settings,
             const EngineStatus& engine) {
  const policy::Router router(settings);
  const auto moment = std::make_shared<const Moment>(engine, fleet_of(*settings));
  Shadow shadow;
  shadow.follow("next.yaml", settings);
  policy::RequestFacts request;
  request.model = "auto";
  request.endpoint = "/v1/chat/completions";
  request.key = &settings->keys.front();
  request.prompt_tokens = 500;
  request.completion_tokens_max = 256;
  std::vector<double> deciding, handing_over;
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < kPerRound; ++i) {
      std::optional<Result<policy::Plan>> made;
      deciding.push_back(nanoseconds([&] { made = router.plan(request, moment->fleet); }));
      handing_over.push_back(nanoseconds(
          [&] { shadow.consider("req_0123456789abcdef01234567", request, moment, *made); }));
    }
    std::this_thread::sleep_for(milliseconds(50));
  }
  if (shadow.state().skipped > 0) std::abort();
  std::printf("%-34s %10.0f %10.0f %12.0f %10.0f\n", name, at(deciding, 0.5), at(deciding, 0.99),
              at(handing_over, 0.5), at(handing_over, 0.99));
}

}  // namespace
}  // namespace spillway

int main() {
  using namespace spillway;
  const auto settings = settings_with_ten_providers();
  settings->keys.push_back({.name = "team", .tenant = "team"});
  settings->sha256 = "shadow";
  std::printf("%-34s %10s %10s %12s %10s\n", "engine", "decision", "p99 ns", "hand-over", "p99 ns");
  measure("idle", settings, gpu(0, 0));
  measure("GPU, 100 running", settings, gpu(100, 0));
  measure("GPU, 192 running, 1,000 waiting", settings, gpu(192, 1'000));
  return 0;
}
