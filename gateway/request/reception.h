// Who comes in: by its key, within the key's scopes and models, and as often as key and tenant may.
//
// A request to a model is counted, with its tokens, by the pipeline (allowance.h). Here every other
// POST counts as a request: files, batches, counting. What reads is counted where its answer is
// large; what deletes or cancels is not. Any worker.
#pragma once

#include "backends/contract/error.h"
#include "gateway/account/limiter.h"
#include "gateway/fleet/edition.h"
#include "gateway/http/message.h"
#include "gateway/http/response_writer.h"
#include "gateway/policy/auth.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace spillway {

// On whose account a request is. Its place among the limits is given back with it.
struct Visitor {
  std::shared_ptr<const Edition> edition;
  policy::Caller caller;
  std::string tenant;
  std::string key_name;
  account::Pass pass;

  // forbidden: not with this key; model_not_found: with none.
  Result<void> check_model(std::string_view model) const;
};

// Whose key the request carries, if that may call its path; not counted.
Result<Visitor> visitor_of(const CurrentEdition& editions, const http::Request& raw);

class Reception {
 public:
  // Both outlive it.
  Reception(const CurrentEdition& editions, account::Limiter& limiter)
      : editions_(editions), limiter_(limiter) {}

  // That, and counted. rate_limited: not now; the limits are told in x-ratelimit-* headers.
  Result<Visitor> admit(const http::Request& raw, http::ResponseWriter& out) const;

  // For what reads, before its answer goes out: counts it too if that is large.
  Result<void> admit_answer(const http::Request& raw, Visitor& visitor, std::uint64_t bytes,
                            http::ResponseWriter& out) const;

  const CurrentEdition& editions() const { return editions_; }

 private:
  const CurrentEdition& editions_;
  account::Limiter& limiter_;
};

}  // namespace spillway
