// What is asked of an engine, wherever it runs: in this process (Engine) or in one of its own
// (backends/isolated).
//
// Any thread may call anything.
#pragma once

#include "backends/contract/bridge.h"
#include "backends/contract/engine_counters.h"
#include "backends/contract/form.h"
#include "backends/contract/status.h"

#include <boost/asio/any_io_executor.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::local {

// Token ids, one prompt or several; shared by all who read them.
using Prompts = std::shared_ptr<const std::vector<std::vector<std::int32_t>>>;

struct Ask {
  Prompts prompts;
  Sampling sampling;
  int tokens_max = 0;
  Lane lane = Lane::foreground;
  std::string owner;  // The tenant: prompts of one are not compared with those of another.
  std::shared_ptr<const Form> form;  // What the answer is held to; null: anything.
  std::string begun;                 // What of the answer the prompt ends with.
  int choices = 1;  // So many answers to each prompt, of seeds that follow each other.

  int answers() const { return choices * static_cast<int>(prompts->size()); }
};

class EngineDoor {
 public:
  virtual ~EngineDoor() = default;

  // Hands in a sequence for each answer; its text comes out of the Bridge, whose consumer runs on
  // `consumer`. overloaded: the waiting room is full. backend_unavailable: stopped or failed. What
  // is wrong with its form comes out of the Bridge, too, before anything else. Requires: a prompt
  // at least, and 1 ≤ each, each + tokens_max ≤ context_max().
  virtual Result<std::shared_ptr<Bridge>> submit(Ask ask,
                                                 boost::asio::any_io_executor consumer) = 0;

  // Longest prompt + completion it takes: the model's context or the whole KV memory, if that is
  // less.
  virtual int context_max() const = 0;

  // What of the prompt would not have to be read again if it came now.
  virtual int cached_tokens(std::string_view owner, std::span<const std::int32_t> prompt) const = 0;

  virtual EngineStatus status() const = 0;
  virtual EngineCounters counters() const = 0;

  // See LocalBackend::stop.
  virtual void stop(Deadline drain_until) = 0;
};

}  // namespace spillway::local
