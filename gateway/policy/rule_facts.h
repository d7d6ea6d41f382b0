// The values of a policy's facts at one decision, in the units of config/language: what the rules'
// conditions are evaluated over. Looks up what is asked for, and only once what takes time. Pure;
// does not allocate.
#pragma once

#include "config/language/program.h"
#include "config/settings.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/judge.h"
#include "gateway/policy/route.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::policy {

class RuleFacts final : public language::FactSource {
 public:
  // What it looks at; all must outlive it.
  struct Sight {
    const config::Settings& settings;
    const config::RequestClass& request_class;
    const RequestFacts& request;
    const FleetFacts& fleet;
    const Route& route;
    const Work& work;
    const Judged& local;  // Judged only if the route has the local engine.
  };

  explicit RuleFacts(const Sight& sight) : sight_(sight) {}

  double number(const language::FactRef& fact) const override;
  std::string_view text(const language::FactRef& fact) const override;

 private:
  // A provider as it would take this request.
  struct Seen {
    Verdict verdict;
    double ttft, finish, price, ttft_p50, ttft_p99, tokens_per_second;
    int in_flight;
  };

  double deadline_left() const;
  double of_engine(language::Fact fact) const;
  double of_local(language::Fact fact) const;
  double of_provider(language::Fact fact, std::size_t provider) const;
  Seen look_at(std::size_t provider) const;
  const Seen& seen(std::size_t provider) const;

  static constexpr std::size_t kRemembered = 20;

  const Sight sight_;
  mutable std::array<Seen, kRemembered> seen_;  // Where `known_` has a bit.
  mutable std::uint32_t known_ = 0;
  mutable Seen further_;
  mutable double unread_ = -1.0;  // Prompt tokens, once they were summed.
};

// One fact with its value as people read it: "queue.tokens", "predicted_ttft(ai-hub)".
struct ToldFact {
  std::string name;
  std::string value;
};

struct ToldRule {
  std::string_view name;
  bool holds = false;
};

// What the rules ask for and say.
struct RuleReport {
  std::vector<ToldFact> facts;          // Each that any rule asks for.
  std::vector<ToldRule> rules;          // In their order.
  std::string_view decider;             // The rule that decides; empty: none.
  std::vector<Alternative> considered;  // Of a request that nobody takes: what Plan has of others.
};

// `decider` may be null.
RuleReport report_of(const config::Settings& settings, const RuleFacts& facts,
                     const config::Rule* decider);

}  // namespace spillway::policy
