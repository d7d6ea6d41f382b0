// What is known of the targets as it changes: each provider's health, the local engine's
// punctuality, how long answers have been of late. Pure state: time is passed in. Not thread-safe:
// the gateway's Fleet guards it with a mutex and a clock; the simulation runs it on a virtual one.
#pragma once

#include "backends/contract/deadline.h"
#include "config/settings.h"
#include "gateway/policy/correction.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/feedback.h"
#include "gateway/policy/hedge_budget.h"
#include "gateway/policy/length.h"
#include "gateway/policy/plan.h"
#include "gateway/policy/predict.h"
#include "gateway/policy/retry_budget.h"
#include "gateway/policy/servers.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::policy {

// A whole answer, from wherever.
struct Answered {
  std::string_view request_class;
  std::string_view key;    // The name of the key,
  std::string_view model;  // …and of the model, as it was asked for.
  int prompt_tokens = 0;   // As the gateway counts them.
  int completion_tokens = 0;
  bool cut = false;  // Its limit of tokens ended it.
};

// An attempt that has begun at a provider, or why not.
struct Entered {
  std::shared_ptr<Servers> servers;
  std::optional<Visit> visit;    // Empty: breakers, rate limits or concurrency leave no room, …
  bool retries_used_up = false;  // …or no provider is asked again: see RetryBudget.
};

class FleetState {
 public:
  // Takes on the providers of `settings`; those whose settings stayed the same keep what is known
  // of them.
  void adopt(const config::Settings& settings, TimePoint now);

  // The facts at this moment; `engine` (null without a local target) must live as long as they do.
  // `prompt` is of whom they are told: what of it providers have in their caches.
  FleetFacts facts(const EngineStatus* engine, TimePoint now,
                   const PromptMarks* prompt = nullptr) const;

  // Null for a provider that the settings do not have. It may be kept over the next adopt().
  std::shared_ptr<Servers> servers(std::string_view provider) const;

  // Begins an attempt at one of the provider's servers, which its Visit is told to.
  Entered enter(std::string_view provider, const Call& call, TimePoint now);

  // The local engine's first token came `seconds` after a decision that predicted `predicted`;
  // `step` is what a step costs by now.
  void local_first_token(const Prediction& predicted, const StepModel& step, double seconds,
                         TimePoint now);

  void completed(const Answered& answer);

  // A request of the class is over.
  void settled(std::string_view request_class, const Settled& request, TimePoint now);

  // That was decided: with a hysteresis its class spills from the first that has to leave for its
  // first token on, until one may stay.
  void decided(const Plan& plan, const RequestFacts& request);

  // Of the classes with feedback.
  std::vector<ClassTerms> class_terms(TimePoint now) const;

  // What the class has spent; its own for good.
  HedgeBudget& hedges_of(std::string_view request_class);

  // Quantile of |predicted − observed| ÷ observed TTFT of the local engine over the last minutes.
  double prediction_error(double quantile) const { return correction_.relative_error(quantile); }

  template <class See>
  void each_provider(See see) const {
    for (const auto& [name, provider] : providers_) see(*provider.servers);
  }

 private:
  struct Provider {
    config::ProviderTarget settings;
    std::shared_ptr<Servers> servers;
  };

  struct Steered {
    config::RequestClass settings;
    Feedback feedback;
  };

  void adopt_feedback(const config::Settings& settings);

  std::map<std::string, Provider, std::less<>> providers_;
  std::map<std::string, HedgeBudget, std::less<>> hedges_;  // By class.
  std::map<std::string, Steered, std::less<>> steered_;     // The classes with feedback.
  std::set<std::string, std::less<>> spilling_;             // Classes.
  config::RetryBudget retry_terms_;
  RetryBudget retries_;
  Correction correction_;
  AnswerLength length_;
};

}  // namespace spillway::policy
