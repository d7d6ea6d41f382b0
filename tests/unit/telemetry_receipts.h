// A finished request to count and log, and a way to read a page of metrics: what the telemetry
// tests share.
#pragma once

#include "gateway/telemetry/metrics.h"

#include <chrono>
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
  receipt.predicted_ttft = 0.125;
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

// The value of the line that begins with `series` and a space; empty if there is none.
inline std::string value_in(const std::string& page, const std::string& series) {
  const std::size_t at = ("\n" + page).find("\n" + series + " ");
  if (at == std::string::npos) return {};
  const std::size_t begin = at + series.size() + 1;
  return page.substr(begin, page.find('\n', begin) - begin);
}

}  // namespace spillway::telemetry
