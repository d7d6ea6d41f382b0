// What a request orders, as far as its price goes: how long its prompt may be, what is looked up
// for it, and what each target asks for that.
//
// Belongs to its request's coroutine. For a hard budget the prompt is taken for as many tokens as
// its body has bytes, or may come to in a form of Unicode's, and what nobody can say the price of
// is refused.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/error.h"
#include "config/settings.h"
#include "gateway/policy/plan.h"
#include "gateway/policy/price.h"
#include "gateway/request/receipt.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace spillway {

// What there is of an answer that somebody is asked to end.
struct Begun {
  int tokens = 0;
  std::size_t bytes_read = 0;  // As part of the prompt.
  int again = 0;               // Tokens of it that will be said again.
};

class Order {
 public:
  // Of nothing yet. `settings` outlive it.
  Order(const config::Settings& settings, bool hard) : settings_(&settings), hard_(hard) {}

  Order(const config::Settings& settings, bool hard, const ChatRequest& request, int prompt_tokens,
        bool at_batch_rate);

  Endpoint endpoint() const { return endpoint_; }
  int counted_tokens() const { return counted_; }  // Of the prompt.
  int answers() const { return answers_; }
  bool at_batch_rate() const { return at_batch_rate_; }

  // The tokens that all choices together may have; empty: the client does not say, and nobody
  // knows.
  std::optional<int> completion_tokens_max() const { return completion_tokens_max_; }

  // What the prompt may come to there, in tokens.
  int prompt_at(const policy::Candidate& candidate, const Begun& begun = {}) const;
  int prompt_at(std::string_view target, std::string_view model) const;

  // What the target asks, by its list.
  config::Price listed_at(std::string_view target, bool local,
                          const policy::LocalPrice& local_price) const;

  // The same for a prompt of that length, where what nothing of the order can be costs nothing.
  config::Price price_at(std::string_view target, bool local, const policy::LocalPrice& local_price,
                         int prompt) const;

  // What it looks up may cost there. unsupported: nobody knows, and the budget is hard.
  Result<config::NanoUsd> cost_of_lookups(const policy::Candidate& candidate,
                                          const config::Price& price) const;

  // With a hard budget, a part whose target did not tell what it bills is taken for the most that
  // this may be: the prompt as it was held, and, where the answer did not end, all that was
  // granted, which may have been thought unseen.
  void suppose_most(Part& part) const;

  // What that costs at most; 0 where the target told it, or the budget is not hard.
  config::NanoUsd most_of(const Part& part, const policy::LocalPrice& local_price) const;

  // Adds to a part's usage what nobody told of it: sound, searches, a ranking's units.
  void suppose_untold(Part& part) const;

 private:
  const config::Settings* settings_;
  bool hard_;
  Endpoint endpoint_ = Endpoint::chat;
  int counted_ = 0;        // Tokens of the prompt,
  int prompt_tokens_ = 0;  // …and as many as it may come to, if the budget is hard.
  std::optional<int> completion_tokens_max_;
  int answers_ = 1;
  bool has_tools_ = false;
  bool sounds_ = false;    // Prompt or answer may be sound.
  bool looks_up_ = false;  // In the web, once each time it is asked.
  std::optional<int> searches_ = 0;
  int search_units_ = 0;  // Of a ranking, at most.
  std::string unsent_;    // What a provider would fetch itself.
  bool at_batch_rate_ = false;
};

}  // namespace spillway
