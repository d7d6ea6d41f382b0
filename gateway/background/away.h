// Lines of a batch that are at a provider, and what is held for them. On the thread of the batches.
#pragma once

#include "gateway/account/account.h"
#include "gateway/background/handovers.h"
#include "gateway/batch/handover.h"

#include <optional>
#include <string>

namespace spillway {

struct Handovers::Away {
  batch::Handover about;
  std::string tenant, key, project;
  std::optional<config::Budget> tenant_budget, key_budget;
  std::string request_class;  // Of all its lines; empty after a restart.
  std::optional<double> budget_share;
  account::Hold hold;
  std::int64_t end_asked = 0;  // When its provider was asked to end it; 0: never.
  bool lost = false;           // Nobody waits for it any more.

  account::Payer payer() const {
    return {tenant,
            key,
            project,
            tenant_budget ? &*tenant_budget : nullptr,
            key_budget ? &*key_budget : nullptr,
            {request_class, budget_share}};
  }
};

}  // namespace spillway
