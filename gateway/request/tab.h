// What one request may cost and what it did cost: a hold before its first target is asked, raised
// before each further one, and the post before the client has the end of its answer.
//
// A Tab belongs to its request's coroutine and never waits. Without an account (no ledger is kept)
// it only adds up. A hard budget is never spent past its end: the target is told a limit in any
// case, and an answer that does not end there is cut.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/error.h"
#include "config/settings.h"
#include "gateway/account/account.h"
#include "gateway/policy/plan.h"
#include "gateway/request/order.h"
#include "gateway/request/receipt.h"

#include <memory>
#include <optional>
#include <string>

namespace spillway {

// On whose account a request with that key is; null: there are no keys. The class is null where
// none has been chosen yet. Points into all of them.
account::Payer payer_of(const config::Settings& settings, const config::Key* key,
                        const config::RequestClass* request_class = nullptr);

class Tab {
 public:
  // `settings`, `key` and `request_class` outlive it; all but `settings` may be null.
  Tab(account::Account* account, const config::Settings& settings, const config::Key* key,
      const config::RequestClass* request_class = nullptr);

  // What is asked: from then on it can be paid for. `at_batch_rate`: providers' cheaper tiers may
  // answer it.
  void order(const ChatRequest& request, int prompt_tokens, bool at_batch_rate);

  int prompt_tokens() const { return order_.counted_tokens(); }

  // `candidate` is about to be asked, after all that `receipt` tells. over_budget, rate_limited:
  // see Account::hold; overloaded: the ledger cannot be written, so that nothing may cost money;
  // unsupported: nobody knows how much it would be, and the budget is hard.
  Result<void> cover(const policy::Candidate& candidate, const Begun& begun,
                     const Receipt& receipt);

  // What the candidate may cost at most, of which nothing is held here: it is asked what
  // `affordable` makes of the request. Fails as `cover` does.
  Result<config::NanoUsd> reckon(const policy::Candidate& candidate, const Receipt& receipt);

  // What is asked has been answered and is owed, whatever the budget says: from now on.
  void is_owed() { owed_ = true; }

  // `second` is about to be asked as well, while who was covered last is still silent: both are
  // held in full, or it fails and nothing changes. Who answers is then covered afresh.
  Result<void> cover_beside(const policy::Candidate& second, const Receipt& receipt);

  // What the candidate may ask for the prompt alone.
  config::NanoUsd cost_of_prompt(const policy::Candidate& candidate, const Receipt& receipt) const;

  // Before anybody is asked: fails where none of the plan's candidates can be paid.
  Result<void> afford(const policy::Plan& plan, const Receipt& receipt);

  // The request as that candidate may be asked it: with a limit, or a lower one, where a hard
  // budget needs it.
  std::shared_ptr<const ChatRequest> affordable(std::shared_ptr<const ChatRequest> request) const;

  // With that much of the candidate's answer: false where a hard budget has no more.
  bool may_go_on(const Part& part) const;

  // What somebody may bill who had the request and was left before a word of the answer was told:
  // the prompt, and what there was of an answer that came as a whole. A hard budget reckons with
  // the most in any case.
  void suppose(std::size_t bytes_written, Part& part) const;

  // A few words for a payer near the end of a budget; else empty.
  std::string warning();

  // No more comes: what it cost is in `receipt` and in the ledger. Later calls do nothing.
  void settle(Receipt& receipt);

 private:
  config::NanoUsd cost_of(const Part& part, const Receipt& receipt) const;
  config::NanoUsd spent(const Receipt& receipt) const;
  struct Quote {
    config::NanoUsd least = 0;
    config::NanoUsd wanted = 0;
    int tokens = 0;  // Of the answer…
    int beyond = 0;  // …and past its limit.
  };
  Result<Quote> quote(const policy::Candidate& candidate, const Begun& begun,
                      const Receipt& receipt);
  Result<void> put_aside(const std::string& id, config::NanoUsd least, config::NanoUsd wanted);
  void price(Part& part, const Receipt& receipt) const;  // Once it is settled.
  void price(Receipt& receipt) const;

  account::Account* const account_;
  const config::Settings& settings_;
  const account::Payer payer_;
  const bool hard_;
  Order order_;

  account::Hold hold_;
  config::Price price_;            // Of who is asked at present,
  config::NanoUsd before_ = 0;     // …and what is owed for all but its answer.
  std::optional<int> affordable_;  // Tokens of its answer; empty: as many as there are…
  int again_ = 0;                  // …beside those that it says again.
  bool owed_ = false;
  bool settled_ = false;
};

}  // namespace spillway
