// What a request that leaves in a provider's batch has to do with the pipeline: it is written down
// for that on its way out, and its answer is given and paid for on its way back.
//
// Both belong to the coroutine that asks, and outlive the asking.
#pragma once

#include "backends/contract/batch_desk.h"
#include "backends/contract/error.h"
#include "config/settings.h"

#include <memory>
#include <optional>
#include <string>

namespace spillway {

struct WrittenLine {
  std::string target;
  std::string model;  // The target's own name for it.
  BatchLine line;
  std::string request_class;
  std::optional<double> budget_share;  // Of that class.
  config::NanoUsd most = 0;            // That it may cost.
  bool engine_serves = false;          // The local engine may get to it, if it waits.
  int prompt_tokens = 0;
  double completion_tokens = 0.0;  // Expected.
};

// A request that is to be written down, and not asked.
struct Handing {
  std::string id;      // Of the line.
  std::string target;  // Which provider; empty: whichever is best.
  Result<WrittenLine> outcome = Error{};
};

// A request whose answer is there.
struct HandedBack {
  std::string tenant;
  std::string key_name;
  std::string target;
  std::string model;
  std::unique_ptr<Backend> answer;
};

}  // namespace spillway
