// A finished request to count and log, and a way to read a page of metrics: what the telemetry
// tests share.
#pragma once

#include "gateway/telemetry/metrics.h"

#include <chrono>
#include <set>
#include <sstream>
#include <string>

namespace spillway::telemetry {

inline ClosedSets example_sets() {
  return {.classes = {"interactive", "batch"},
          .targets = {"local", "cloudbrain", "ai-hub"},
          .models = {"smollm2", "auto", "brain-large"},
          .tenants = {"anonymous", "acme"},
          .reasons = {"local_meets_sla", "spill_ttft", "class_always_cloud"},
          .spill_reasons = {"spill_ttft"}};
}

// Served by the local engine: plan after 2 ms, hand-over after 3, first token after 103, 21 tokens,
// done after 303.
inline Receipt example_receipt() {
  using std::chrono::milliseconds;
  const TimePoint arrived = TimePoint{} + std::chrono::hours(1);
  Receipt receipt;
  receipt.request_id = "req_0123456789abcdef01234567";
  receipt.endpoint = "/v1/chat/completions";
  receipt.tenant = "acme";
  receipt.key_name = "demo";
  receipt.model_requested = "auto";
  receipt.stream = true;
  receipt.request_class = "interactive";
  receipt.target = "local";
  receipt.model_served = "smollm2";
  receipt.served_locally = true;
  receipt.reason = "local_meets_sla";
  receipt.explanation = "interactive: local 100 ms of 500 ms";
  receipt.predicted = policy::Prediction{.ttft = 0.125};
  receipt.sla_ttft = 0.5;
  receipt.sla_per_token = 0.05;
  receipt.attempts = {{"local", std::nullopt, "", 0.1}};
  receipt.usage = {.prompt_tokens = 12, .completion_tokens = 21};
  receipt.avoided_nano_usd = 2'000'000'000;
  receipt.arrived = arrived;
  receipt.decided = arrived + milliseconds(2);
  receipt.dispatched = arrived + milliseconds(3);
  receipt.first_token = arrived + milliseconds(103);
  receipt.ended = arrived + milliseconds(303);
  receipt.http_status = 200;
  return receipt;
}

// "name{b="2",a="1"}" with its labels in alphabetical order. Label values here have no commas.
inline std::string in_order(const std::string& series) {
  const std::size_t brace = series.find('{');
  if (brace == std::string::npos) return series;
  std::istringstream labels(series.substr(brace + 1, series.size() - brace - 2));
  std::set<std::string> sorted;
  for (std::string label; std::getline(labels, label, ',');) sorted.insert(label);
  std::string text = series.substr(0, brace);
  for (const std::string& label : sorted) text += ',' + label;
  return text;
}

// The value of that series on a page of metrics, whatever the order of its labels; empty if there
// is none.
inline std::string value_in(const std::string& page, const std::string& series) {
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t space = line.rfind(' ');
    if (line[0] != '#' && in_order(line.substr(0, space)) == in_order(series))
      return line.substr(space + 1);
  }
  return {};
}

}  // namespace spillway::telemetry
