// A situation made of given facts: Monday noon, an idle engine and healthy providers as the
// configuration describes them, but for what is said. Whatever is given is put where it would come
// from (queue, step times, a provider's quantiles), so that the policy decides over it by its usual
// way. Pure.
#pragma once

#include "config/settings.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/judge.h"

#include <memory>
#include <vector>

namespace spillway::policy {

class Situation {
 public:
  // `request` is what is known of the request; what is given counts more. Both must outlive it.
  Situation(std::shared_ptr<const config::Settings> settings, const RequestFacts& request,
            const std::vector<config::GivenFact>& given);
  Situation(const Situation&) = delete;  // `fleet` points into it.
  Situation& operator=(const Situation&) = delete;

  const RequestFacts& request() const { return request_; }
  const FleetFacts& fleet() const { return fleet_; }

 private:
  void give(const config::GivenFact& given);
  void give_provider(const config::GivenFact& given, ProviderFacts& facts);
  void fill_queue();
  void pace_targets(const std::vector<config::GivenFact>& given);
  void pace_local(std::optional<double> ttft, std::optional<double> finish);
  void pace_steps(double ttft, double finish);
  Judged judged_local() const;

  std::shared_ptr<const config::Settings> settings_;
  RequestFacts request_;
  FleetFacts fleet_;
  EngineStatus engine_;
  std::optional<double> queue_requests_, queue_tokens_;
};

// A plain request: the first alias, else the first model; 100 prompt tokens.
RequestFacts usual_request(const config::Settings& settings);

}  // namespace spillway::policy
