// What a routing decision costs: nanoseconds and allocations of Router::plan at ten providers, for
// engines in several states, without rules and with ten. Prints a table; needs nothing.
#include "gateway/policy/router.h"
#include "tests/bench/decision_scene.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

namespace {

std::atomic<long> allocations{0};

}  // namespace

void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace spillway::policy {
namespace {

constexpr int kRules = 10;
constexpr int kRuns = 20'000;

// Ten rules, of which the last one holds, that look at texts, the queue and every provider.
std::shared_ptr<const config::Settings> settings_with_ten_rules() {
  const auto settings = settings_with_ten_providers();
  language::Targets targets{"local", {}};
  for (const config::ProviderTarget& provider : settings->providers)
    targets.providers.push_back(provider.name);
  for (int i = 0; i < kRules; ++i) {
    const std::string provider = "provider-" + std::to_string(i);
    const bool last = i == kRules - 1;
    std::string condition = "class == 'interactive' and queue.tokens >= 0 and price(" + provider +
                            ") < 1usd and predicted_finish(" + provider + ") < 1h and label ";
    condition += last ? "== ''" : "in ['a', 'b']";
    config::Rule rule{.name = "rule-" + std::to_string(i + 1), .condition = condition};
    rule.program = std::get<language::Program>(language::compile(condition, targets));
    rule.kind = config::RouteKind::cheapest_meeting_sla;
    rule.among = {"local", "provider-2", "provider-7"};
    settings->policy.rules.push_back(std::move(rule));
  }
  return settings;
}

// SmolLM2 on two cores: 8 sequences, steps of 64 tokens.
EngineStatus cpu(int running, int waiting) {
  EngineStatus engine = gpu(running, waiting);
  engine.sequences_max = 8;
  engine.budget.tokens_max = 64;
  engine.kv_tokens_total = 32'768;
  engine.kv_tokens_free = engine.kv_tokens_total - running * 800;
  engine.context_max = 8'192;
  engine.step = {0.008, 0.002, 1e-6, 0.001, 1'000};
  return engine;
}

void measure(const char* name, const Router& router, const EngineStatus& engine) {
  FleetFacts fleet;
  fleet.now = TimePoint(std::chrono::hours(1));
  fleet.local = &engine;
  for (int i = 0; i < 100; ++i) fleet.answer_length.observe({0, 500}, 50 + 2 * i);
  for (const config::ProviderTarget& provider : router.settings()->providers) {
    ProviderFacts facts;
    facts.name = provider.name;
    facts.ttft_p50 = 0.4;
    facts.ttft_p90 = 0.8;
    facts.ttft_p99 = 1.2;
    facts.tokens_per_second = 150.0;
    fleet.providers.push_back(facts);
  }
  RequestFacts request;
  request.model = "auto";
  request.prompt_tokens = 500;
  request.completion_tokens_max = 256;

  const Reason reason = router.plan(request, fleet)->reason;
  std::vector<double> nanoseconds;
  nanoseconds.reserve(kRuns);
  const long before = allocations.load();
  for (int i = 0; i < kRuns; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const auto plan = router.plan(request, fleet);
    const auto end = std::chrono::steady_clock::now();
    if (!plan) std::abort();
    nanoseconds.push_back(std::chrono::duration<double, std::nano>(end - start).count());
  }
  const double each = static_cast<double>(allocations.load() - before) / kRuns;
  std::sort(nanoseconds.begin(), nanoseconds.end());
  std::printf("%-34s %10.0f %10.0f %8.2f  %s\n", name, nanoseconds[kRuns / 2],
              nanoseconds[kRuns * 99 / 100], each, std::string(name_of(reason)).c_str());
}

}  // namespace
}  // namespace spillway::policy

namespace {

void measure_all(const spillway::policy::Router& router) {
  using namespace spillway;
  using namespace spillway::policy;
  std::printf("%-34s %10s %10s %8s  %s\n", "engine", "median ns", "p99 ns", "allocs", "decision");
  measure("idle", router, gpu(0, 0));
  measure("GPU, 100 running", router, gpu(100, 0));
  measure("GPU, 190 running, 10 waiting", router, gpu(190, 10));
  measure("GPU, 192 running, 1,000 waiting", router, gpu(192, 1'000));
  measure("GPU, 0 running, 1,000 waiting", router, gpu(0, 1'000));
  measure("CPU, 8 running, 1,000 waiting", router, cpu(8, 1'000));
}

}  // namespace

int main() {
  using namespace spillway;
  using namespace spillway::policy;
  std::printf("without rules\n");
  measure_all(Router(settings_with_ten_providers()));
  std::printf("\nten rules, the last one holds\n");
  measure_all(Router(settings_with_ten_rules()));
  return 0;
}
