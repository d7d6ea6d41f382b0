// What the benches of decisions decide about: ten providers, and engines in given states.
#pragma once

#include "gateway/policy/router.h"

#include <chrono>
#include <memory>
#include <string>

namespace spillway {

inline std::shared_ptr<config::Settings> settings_with_ten_providers() {
  using std::chrono::milliseconds;
  auto settings = std::make_shared<config::Settings>();
  settings->local.push_back({.name = "local", .serves = {{"small", "small"}}});
  for (int i = 0; i < 10; ++i) {
    config::ProviderTarget provider;
    provider.name = "provider-" + std::to_string(i);
    provider.serves = {{"model-" + std::to_string(i), "model"}};
    provider.price = {1'000'000'000 + i, 2'000'000'000 - i, 500'000'000};
    settings->providers.push_back(provider);
  }
  settings->policy.aliases.push_back({.name = "auto"});
  settings->policy.classes.push_back(
      {.name = "interactive", .sla = {.ttft = milliseconds(1'000), .per_token = milliseconds(50)}});
  settings->policy.default_class = "interactive";
  return settings;
}

// An 8-billion-parameter model on an H100, after the reference model of the design notes: 7 ms a
// step, 0.035 ms a sequence, 30,000 prompt tokens a second.
inline EngineStatus gpu(int running, int waiting) {
  EngineStatus engine;
  engine.ready = true;
  engine.sequences_max = 192;
  engine.budget.tokens_max = 1'140;
  engine.waiting_max = 4'096;
  engine.kv_tokens_total = 430'000;
  engine.context_max = 32'768;
  engine.step = {0.007, 0.000035, 5e-8, 1.0 / 30'000.0, 1'000};
  for (int i = 0; i < running; ++i) {
    engine.running.push_back({0, 400 + 7 * (i % 100), 1 + i % 150, 160 + i % 40});
  }
  for (int i = 0; i < waiting; ++i) engine.waiting.push_back({100 + 37 * (i % 50), 0, 0, 200});
  engine.kv_tokens_free = engine.kv_tokens_total - running * 800;
  return engine;
}

}  // namespace spillway
