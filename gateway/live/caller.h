// A client of a running gateway: asks for one streamed chat completion, and notes what came when.
//
// Blocks until the answer ends; as many threads at once as there are questions.
#pragma once

#include "backends/contract/deadline.h"
#include "config/settings.h"

#include <chrono>
#include <optional>
#include <string>

namespace spillway::live {

struct Question {
  std::string model;
  std::string prompt;
  int completion_tokens = 1;  // Asked for as min_tokens: nobody is told when the answer will end.
  std::string request_class;  // Empty: the gateway's own choice, as for the two limits.
  std::string label;          // Empty: none is given, as for the tier.
  std::string service_tier;
  std::optional<std::chrono::milliseconds> ttft_max;
  std::optional<std::chrono::milliseconds> deadline;
};

struct Heard {
  std::string trouble;      // Why there is no whole answer; empty: there is.
  std::string target;       // Who gave it, as the gateway's headers say.
  TimePoint first_token{};  // When the first piece of text came,
  TimePoint last_token{};   // …and the last.
  int completion_tokens = 0;
};

Heard ask(const config::Endpoint& gateway, const Question& question);

}  // namespace spillway::live
