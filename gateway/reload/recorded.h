// One decision's facts, kept so that another policy can be asked what it would have decided.
// Immutable; any thread. Nothing of a prompt or a key's secret is in it.
#pragma once

#include "gateway/fleet/moment.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/plan.h"
#include "gateway/policy/router.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace spillway {

class Recorded {
 public:
  Recorded(const policy::RequestFacts& request, std::shared_ptr<const Moment> moment,
           policy::Turn turn);

  // What this policy makes of it. The key is that policy's own of the same name, if it has one.
  Result<policy::Plan> plan_by(const policy::Router& router) const;

  // Whether its key is one of the file's own. Those that were made while it runs are in no file.
  bool has_key_of(const config::Settings& settings) const;

  const std::string& model() const { return model_; }

 private:
  policy::RequestFacts request_for(const config::Settings& settings) const;

  policy::RequestFacts request_;  // Its views are old; those below take their place.
  std::string model_, service_tier_, endpoint_, class_header_, label_;
  std::optional<config::Key> key_;
  std::vector<FieldNeed> beyond_;
  std::shared_ptr<const Moment> moment_;
  policy::Turn turn_;
};

}  // namespace spillway
