// How often a provider's first tokens of late came within their request's promise, by the length of
// the prompt: long prompts take longer to read, and some are not read in time by anybody. Without
// news it falls back to "always", so that who was given up is tried again some day. A plain value.
#pragma once

#include "backends/contract/deadline.h"

#include <array>
#include <cstddef>

namespace spillway::policy {

// What the class of an attempt promises.
struct Promise {
  int prompt_tokens = 0;
  double ttft_max = 0.0;        // Seconds; 0: none.
  bool client_hurries = false;  // Its client asked for less time than that: when it ends says
                                // nothing of who is asked.
};

// Shares by the prompt's size, to be looked up at a decision.
class InTime {
 public:
  static constexpr std::size_t kSizes = 8;  // Prompts of up to 1,023 tokens; each next twice that.

  InTime() { shares_.fill(1.0F); }

  static std::size_t size_of(int prompt_tokens);
  float share(int prompt_tokens) const { return shares_[size_of(prompt_tokens)]; }
  void set(std::size_t size, float share) { shares_[size] = share; }

 private:
  std::array<float, kSizes> shares_{};
};

class Punctuality {
 public:
  // A first token came `seconds` after the request was sent. Says nothing without a promise, nor
  // of who is hurried.
  void observe(const Promise& promise, double seconds, TimePoint now);

  InTime in_time(TimePoint now) const;

 private:
  struct Cell {
    float share = 1.0F;
    int seen = 0;
    TimePoint news{};
  };

  static float faded(const Cell& cell, TimePoint now);

  std::array<Cell, InTime::kSizes> cells_{};
};

}  // namespace spillway::policy
