#include "gateway/reload/logged_decisions.h"

#include "backends/contract/name_hash.h"
#include "config/named.h"
#include "gateway/policy/classes.h"
#include "gateway/policy/plan.h"
#include "gateway/policy/situation.h"

#include <algorithm>
#include <ctime>
#include <optional>
#include <string_view>
#include <utility>

namespace spillway {
namespace {

using config::GivenFact;
using language::Fact;
using telemetry::LoggedRequest;
using telemetry::LoggedTarget;

policy::WallClock clock_at(double seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm local{};
  localtime_r(&time, &local);
  return {(local.tm_wday + 6) % 7,  // Theirs begins on Sunday.
          3'600.0 * local.tm_hour + 60.0 * local.tm_min + local.tm_sec};
}

Endpoint endpoint_of(std::string_view path) {
  for (const Endpoint one : {Endpoint::embeddings, Endpoint::moderations, Endpoint::rerank}) {
    if (path.ends_with(name_of(one))) return one;
  }
  const bool is_chat = path.find("chat") != path.npos;
  return path.ends_with(name_of(Endpoint::completions)) && !is_chat ? Endpoint::completions
                                                                    : Endpoint::chat;
}

// Its class is asked for by name only where it is not what the settings make of the rest.
void choose_class(const LoggedRequest& logged, const config::Settings& settings,
                  policy::RequestFacts& request) {
  const auto by_itself = policy::class_of(settings, request);
  if (by_itself && (*by_itself)->name == logged.request_class) return;
  const auto& classes = settings.policy.classes;
  const bool is_known = std::any_of(classes.begin(), classes.end(), [&](const auto& one) {
    return one.name == logged.request_class;
  });
  if (is_known) request.class_header = logged.request_class;
}

policy::RequestFacts facts_of(const LoggedRequest& logged, const config::Settings& settings) {
  policy::RequestFacts request;
  request.model = logged.model;
  request.service_tier = logged.service_tier;
  request.endpoint = logged.endpoint;
  request.label = logged.label;
  request.draw = hash_of_name(logged.id);
  request.key = config::named(settings.keys, logged.key_name);
  const bool by_key = request.key != nullptr && request.key->local_only;
  request.local_only = logged.reason == policy::name_of(policy::Reason::local_only) && !by_key;
  request.streaming = logged.streaming;
  request.prompt_tokens = logged.prompt_tokens;
  request.cached_tokens = logged.cached_tokens;
  request.completion_tokens_max = logged.tokens_max;
  request.asks = endpoint_of(logged.endpoint);
  if (!writes(request.asks)) request.completion_tokens_max = 0;
  choose_class(logged, settings, request);
  return request;
}

// As facts number them; empty: the settings have no such target.
std::optional<int> number_of(const std::string& target, const config::Settings& settings) {
  if (!settings.local.empty() && settings.local.front().name == target) return 0;
  for (std::size_t i = 0; i < settings.providers.size(); ++i) {
    if (settings.providers[i].name == target) return static_cast<int>(i) + 1;
  }
  return std::nullopt;
}

std::vector<GivenFact> given_by(const LoggedRequest& logged, const config::Settings& settings) {
  std::vector<GivenFact> given;
  for (const LoggedTarget& target : logged.considered) {
    const auto number = number_of(target.name, settings);
    if (!number) continue;
    const auto give = [&](Fact fact, double value) {
      given.push_back({.fact = {fact, *number}, .number = value, .text = {}, .at = {}});
    };
    if (!target.available) give(Fact::available, 0.0);
    if (target.ttft > 0.0) give(Fact::predicted_ttft, target.ttft);
    if (target.finish > target.ttft) give(Fact::predicted_finish, target.finish);
  }
  return given;
}

std::shared_ptr<const Recorded> recorded_of(
    const LoggedRequest& logged, const std::shared_ptr<const config::Settings>& in_force) {
  const policy::RequestFacts request = facts_of(logged, *in_force);
  const policy::Situation situation(in_force, request, given_by(logged, *in_force));
  policy::FleetFacts fleet = situation.fleet();
  fleet.clock = clock_at(logged.arrived);
  std::optional<EngineStatus> engine;
  if (fleet.local != nullptr) engine = *fleet.local;
  const auto moment = std::make_shared<const Moment>(std::move(engine), std::move(fleet));
  return std::make_shared<const Recorded>(situation.request(), moment, policy::Turn::unknown);
}

}  // namespace

std::vector<std::shared_ptr<const Recorded>> recorded_in(
    std::span<const LoggedRequest> log, const std::shared_ptr<const config::Settings>& in_force) {
  std::vector<std::shared_ptr<const Recorded>> newest_first;
  for (auto one = log.rbegin(); one != log.rend(); ++one)
    newest_first.push_back(recorded_of(*one, in_force));
  return newest_first;
}

}  // namespace spillway
