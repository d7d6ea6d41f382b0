#include "gateway/admin/admin.h"

#include "gateway/admin/decision_text.h"
#include "gateway/admin/json_answer.h"
#include "gateway/admin/rollout_json.h"

#include <nlohmann/json.hpp>

#include <charconv>
#include <cmath>
#include <ctime>
#include <optional>
#include <utility>

namespace spillway::admin {
namespace {

using nlohmann::ordered_json;

constexpr const char* kExposition = "text/plain; version=0.0.4; charset=utf-8";
constexpr const char* kPlain = "text/plain; charset=utf-8";
constexpr std::size_t kDecisionsByDefault = 50;
constexpr std::size_t kDecisionsMax = 1'000;

// "n=20" → 20; the default without n; empty if n is no number in range.
std::optional<std::size_t> asked_for(std::string_view query) {
  constexpr std::string_view kName = "n=";
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    if (!pair.starts_with(kName)) continue;
    const std::string_view digits = pair.substr(kName.size());
    std::size_t count = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
    const bool is_number = error == std::errc() && end == digits.data() + digits.size();
    if (!is_number || count < 1 || count > kDecisionsMax) return std::nullopt;
    return count;
  }
  return kDecisionsByDefault;
}

std::string rfc3339(std::chrono::system_clock::time_point at) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(at);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[24];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc)};
}

ordered_json milliseconds(std::optional<double> seconds) {
  if (!seconds) return nullptr;
  return std::round(*seconds * 1e6) / 1e3;
}

ordered_json to_json(const std::vector<DecisionAttempt>& attempts) {
  ordered_json list = ordered_json::array();
  for (const DecisionAttempt& attempt : attempts) {
    ordered_json one = {{"target", attempt.target}};
    if (!attempt.server.empty()) one["server"] = attempt.server;
    if (attempt.failure) one["failure"] = name_of(*attempt.failure);
    if (!attempt.cause.empty()) one["cause"] = attempt.cause;
    list.push_back(std::move(one));
  }
  return list;
}

ordered_json to_json(const std::vector<ConsideredTarget>& considered) {
  ordered_json list = ordered_json::array();
  for (const ConsideredTarget& one : considered) {
    list.push_back({{"target", one.target},
                    {"verdict", one.verdict},
                    {"ttft_ms", milliseconds(one.ttft)},
                    {"finish_ms", milliseconds(one.finish)},
                    {"cost_nano_usd", one.cost_nano_usd}});
  }
  return list;
}

ordered_json to_json(const Decision& decision) {
  return {{"at", rfc3339(decision.at)},
          {"id", decision.id},
          {"model", decision.model},
          {"class", decision.request_class},
          {"target", decision.target},
          {"reason", decision.reason},
          {"rule", decision.rule.empty() ? ordered_json(nullptr) : ordered_json(decision.rule)},
          {"canary", decision.canary},
          {"rule_facts", decision.rule_facts},
          {"explanation", decision.explanation},
          {"considered", to_json(decision.considered)},
          {"attempts", to_json(decision.attempts)},
          {"retry_budget_exhausted", decision.retries_used_up},
          {"predicted_ttft_ms", milliseconds(decision.predicted_ttft)},
          {"ttft_ms", milliseconds(decision.ttft)},
          {"cost_nano_usd", decision.cost_nano_usd},
          {"avoided_nano_usd", decision.avoided_nano_usd},
          {"total_ms", milliseconds(decision.total)},
          {"status", decision.status}};
}

}  // namespace

Answer Admin::livez() const { return {200, kPlain, "ok\n"}; }

Answer Admin::readyz() const {
  const std::vector<std::string> reasons = sources_.not_ready();
  return in_json(
      reasons.empty() ? 200 : 503,
      {{"ready", reasons.empty()}, {"reasons", reasons}, {"impaired", sources_.impaired()}});
}

Answer Admin::metrics() const { return {200, kExposition, sources_.metrics()}; }

Answer Admin::vllm_metrics() const { return {200, kExposition, sources_.vllm_metrics()}; }

Answer Admin::config() const { return {200, "application/yaml", sources_.config()}; }

Answer Admin::decisions(std::string_view query) const {
  const auto count = asked_for(query);
  if (!count)
    return in_json(400,
                   {{"error", "n must be a number from 1 to " + std::to_string(kDecisionsMax)}});
  ordered_json list = ordered_json::array();
  for (const Decision& decision : sources_.decisions(*count)) list.push_back(to_json(decision));
  return in_json(200, {{"decisions", std::move(list)}});
}

Answer Admin::explain(std::string_view id) const {
  const auto decision = sources_.decision(id);
  if (decision) return {200, kPlain, told(*decision, sources_.shadow(id))};
  return {404, kPlain, "that request is not among the last that were decided\n"};
}

Answer Admin::rollout() const { return in_json(200, to_json(sources_.rollout())); }

Answer Admin::promote() const { return ended(sources_.promote()); }

Answer Admin::roll_back() const { return ended(sources_.roll_back()); }

Answer Admin::ended(const Result<void>& outcome) const {
  return outcome ? rollout() : in_json(409, {{"error", outcome.error().message}});
}

Answer Admin::rehearse(std::string_view text) const {
  const Result<Tried> tried = sources_.rehearse(text);
  if (!tried) return in_json(422, {{"error", tried.error().message}});
  return answer_of(*tried);
}

Answer Admin::reload(std::string_view query) const {
  if (!query.empty() && query != "force=true")
    return in_json(400, {{"error", "only force=true may be asked for"}});
  const Result<Reloaded> outcome = sources_.reload(!query.empty());
  if (outcome)
    return in_json(200, {{"reloaded", true},
                         {"share_of_keys", outcome->share},
                         {"rehearsal", to_json(outcome->rehearsal)}});
  return in_json(422, {{"reloaded", false}, {"error", outcome.error().message}});
}

}  // namespace spillway::admin
