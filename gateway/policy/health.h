// The health of one server of a provider as it changes: its breaker, its rate limit, its work in
// flight and its pace. Pure state: time is passed in. Not thread-safe: whoever shares it between
// workers guards it.
#pragma once

#include "backends/contract/deadline.h"
#include "backends/contract/error.h"
#include "config/settings.h"
#include "gateway/policy/backlog.h"
#include "gateway/policy/breaker.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/prompt_pace.h"
#include "gateway/policy/punctuality.h"
#include "gateway/policy/rate_room.h"
#include "gateway/policy/tracker.h"

#include <optional>
#include <string>

namespace spillway::policy {

class PromptMarks;

// How it is asked.
struct Asking {
  bool streamed = true;  // Its first token is a moment of its own.
  bool at_batch_rate = false;
  Promise promise;
  int prompt_tokens = 0;
  Lane lane = Lane::foreground;
};

// One attempt at the provider, from just before it is sent until its stream is over or dropped.
// Told to the Health that gave it, in the order: answered, then finished or failed, each at most
// once; `leave` comes last, always.
struct Visit {
  Breaker::Pass pass;
  TimePoint sent{};
  std::optional<TimePoint> first_token;
  Asking asking;
  bool told = false;                    // The breaker knows how it went.
  bool was_read = false;                // The backlog does.
  std::size_t server = 0;               // Of the target's, which one it is at.
  double known_share = 0.0;             // Of the prompt, what that one has been sent before.
  const PromptMarks* prompt = nullptr;  // It is known there once it has answered.
  double requests = 0.0;                // RateRoom::take, of the account's requests
  double tokens = 0.0;                  // …and tokens.
};

class Health {
 public:
  Health(const config::ProviderTarget& provider, TimePoint now);

  ProviderFacts facts(TimePoint now) const;

  // Whether `enter` would let an attempt through now.
  bool admits(TimePoint now, Asking asking) const;

  // Begins an attempt; empty if breaker, rate limit or concurrency leave no room for it: take the
  // next candidate.
  std::optional<Visit> enter(TimePoint now, Asking asking = {});

  // The first token came: the attempt counts as a success. An answer that came whole, or from the
  // cheaper tier, tells nothing of TTFT and token rate.
  void answered(Visit& visit, TimePoint now);

  // What the answer says is left of the account's limits: who would be past them is not asked.
  void told(const Visit& visit, const RateLeft& left);

  // The stream is complete, with `completion_tokens` as reported.
  void finished(Visit& visit, int completion_tokens, TimePoint now);

  // It failed, before or in the middle of its stream. account_refused keeps everybody from it for
  // the breaker's account_pause. backend_unavailable counts against the provider; so does a
  // deadline that passed when a stream's first token was overdue by what 99 of 100 behind such
  // prompts took, unless its client asked for less time than its class promises.
  // rate_limited closes it until its retry_after (one second if it gave none), or its cheaper tier
  // alone, if that was asked (ten). So does overloaded with a retry_after, or at the cheaper tier;
  // without, it counts like backend_unavailable: what is down for good may say no more. What is the
  // client's fault or wish counts for nothing; but who was still silent when it was left took at
  // least so long, where that is long for it.
  void failed(Visit& visit, const Error& error, TimePoint now);

  // Gives the place back, and the probe if it told nothing.
  void leave(Visit& visit);

  int in_flight() const { return in_flight_; }
  int times_opened() const { return breaker_.times_opened(); }

 private:
  // When the account's limits, as they were told, leave room for such a request.
  TimePoint room_at(int prompt_tokens, TimePoint now) const;

  double overdue_after(const Promise& promise, TimePoint now) const;

  std::string name_;
  int concurrency_max_;
  bool is_here_;  // On this machine: what it does is told by its backlog.
  Backlog backlog_;
  Breaker breaker_;
  Tracker tracker_;
  Punctuality punctuality_;
  PromptPace pace_;
  std::optional<TimePoint> limited_until_;
  std::optional<TimePoint> batch_tier_full_until_;
  RateRoom requests_;
  RateRoom tokens_;
  int in_flight_ = 0;
};

}  // namespace spillway::policy
