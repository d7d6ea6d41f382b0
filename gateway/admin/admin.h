// What operators and their tools may ask the gateway: is it alive, is it ready, its metrics, its
// configuration, its last decisions, and to read the configuration again.
//
// Pure answers: no sockets (gateway/api/admin_routes.cpp puts them on the admin listener). Any
// thread, if the sources are; nothing here waits but `reload`, which takes as long as reading the
// file. Owns nothing but the sources.
#pragma once

#include "backends/contract/error.h"
#include "gateway/admin/decisions.h"
#include "gateway/reload/rehearsed.h"
#include "gateway/reload/rollout_state.h"

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::admin {

struct Answer {
  int status = 200;
  std::string content_type;
  std::string body;
  std::chrono::seconds retry_after{0};  // 0: that cannot help.
};

// Who knows. All are set.
struct Sources {
  std::function<std::vector<std::string>()>
      not_ready;  // Why no requests are wanted now; empty: ready.
  std::function<std::vector<std::string>()>
      impaired;                               // What has failed of what serves all the same.
  std::function<std::string()> metrics;       // Prometheus text 0.0.4
  std::function<std::string()> vllm_metrics;  // The same format.
  std::function<std::string()> config;        // Effective YAML, secrets masked.
  std::function<std::vector<Decision>(std::size_t)> decisions;
  std::function<std::optional<Decision>(std::string_view)> decision;
  std::function<Result<Reloaded>(bool force)> reload;
  std::function<Result<Tried>(std::string_view text)> rehearse;
  std::function<Result<void>()> promote;  // The canary; an error: there is none.
  std::function<Result<void>()> roll_back;
  std::function<RolloutState()> rollout;
  std::function<std::optional<ShadowChoice>(std::string_view)> shadow;  // Of that request.
};

class Admin {
 public:
  explicit Admin(Sources sources) : sources_(std::move(sources)) {}

  // 200 as long as the process can answer at all.
  Answer livez() const;

  // 200, or 503 with the reasons: starting, draining. Either with what has failed.
  Answer readyz() const;

  Answer metrics() const;
  Answer vllm_metrics() const;
  Answer config() const;

  // The last `n` decisions, newest first, as JSON. `query` is what came after '?': "n=20"; 400 if n
  // is no number from 1 to 1000. Without n: 50.
  Answer decisions(std::string_view query) const;

  // How the configuration in force stands, and what is tried beside it, as JSON.
  Answer rollout() const;

  // 200 and the same, or 409: there is none, nor a policy that is watched.
  Answer promote() const;
  Answer roll_back() const;

  // Why the request of that id went where it went, as text; 404 if it is not among the last.
  Answer explain(std::string_view id) const;

  // 200 with what the last decisions would have been under a configuration of this text, 409 with
  // what a reload has against it besides, or 422 with what is wrong with it. Nothing comes of it.
  Answer rehearse(std::string_view text) const;

  // 200 with what the last decisions would have been under the new policy, or 422 with what is
  // wrong with the file or what the guard has against it; the configuration in force stays then.
  // "force=true": whatever the guard says.
  Answer reload(std::string_view query) const;

 private:
  Answer ended(const Result<void>& outcome) const;

  const Sources sources_;
};

}  // namespace spillway::admin
