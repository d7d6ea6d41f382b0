// Routing cases as data: the state of the fleet, a request, and where it should go and why.
// README.md beside this file has the language. For tests; throws std::runtime_error with file and
// line when a file makes no sense.
#pragma once

#include "backends/contract/status.h"
#include "config/settings.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/plan.h"

#include <chrono>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

namespace spillway::routing {

// What the case says of one provider; the rest is as its catalogue says.
struct ProviderWords {
  std::string name;
  policy::Permission permission = policy::Permission::closed;
  std::optional<std::chrono::milliseconds> open_for, limited_for;
  int in_flight = 0;
  std::optional<double> ttft_p50, ttft_p90, tokens_per_second, in_time;
};

struct Case {
  std::string title;
  std::string place;  // "spill.case:12"
  std::shared_ptr<const config::Settings> settings;

  std::string model = "auto", service_tier, class_header, label, key;
  std::string endpoint = "/v1/chat/completions";
  policy::RequestFacts request;  // Its views are set when the case runs.
  std::optional<policy::WallClock> clock;
  bool has_engine = true;
  EngineStatus engine;
  double speed = 1.0;  // Of the engine, measured against its usual step times.
  double correction = 1.0;
  int typical = 0;
  double gpu_second_worth = 0.0;
  std::vector<std::string> spilling;    // Classes.
  std::chrono::milliseconds waited{0};  // Since it came.
  std::vector<ProviderWords> providers;

  policy::Turn turn = policy::Turn::unknown;

  std::vector<std::string> targets;  // Expected order; empty if an error or a wait is expected.
  std::optional<std::chrono::milliseconds> waits;  // Held, with this deadline.
  std::vector<std::string> models;  // Their own names for the model; empty: not looked at.
  std::string reason, rule, request_class, param;
  std::string error;
  std::optional<std::chrono::milliseconds> retry_after;
  std::vector<std::string> explained;  // Must occur in the explanation or the error's message.
};

std::ostream& operator<<(std::ostream& out, const Case& one);

// The cases of a file. `root` is what paths of policies in it are relative to.
std::vector<Case> read_cases(const std::string& path, const std::string& root);

}  // namespace spillway::routing
