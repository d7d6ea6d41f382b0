#include "gateway/admin/rollout_json.h"

#include "gateway/admin/json_answer.h"

#include <nlohmann/json.hpp>

#include <cmath>

namespace spillway::admin {
namespace {

using nlohmann::ordered_json;

double in_usd(std::int64_t nano_usd) { return static_cast<double>(nano_usd) / 1e9; }

ordered_json to_json(const std::vector<Move>& moves) {
  ordered_json list = ordered_json::array();
  for (const Move& move : moves) {
    list.push_back({{"class", text_or_null(move.request_class)},
                    {"from", move.from},
                    {"to", move.to},
                    {"requests", move.requests},
                    {"cost_change_usd", in_usd(move.cost_change)}});
  }
  return list;
}

ordered_json to_json(const ShadowState& shadow) {
  const auto all = static_cast<double>(shadow.agreed + shadow.differed);
  const double share = all > 0.0 ? static_cast<double>(shadow.differed) / all : 0.0;
  return {{"policy", shadow.policy},
          {"problem", text_or_null(shadow.problem)},
          {"sha256", text_or_null(shadow.sha256)},
          {"agreed", shadow.agreed},
          {"differed", shadow.differed},
          {"differing_share", share},
          {"skipped", shadow.skipped},
          {"cost_in_force_usd", in_usd(shadow.cost_in_force)},
          {"cost_of_shadow_usd", in_usd(shadow.cost_of_shadow)},
          {"moves", to_json(shadow.moves)}};
}

ordered_json to_json(const PolicySide& side) {
  const auto promised = static_cast<double>(side.attained + side.missed + side.failed);
  const ordered_json attainment = promised > 0.0
                                      ? ordered_json(static_cast<double>(side.attained) / promised)
                                      : ordered_json(nullptr);
  return {{"attainment", attainment},
          {"attained", side.attained},
          {"missed", side.missed},
          {"failed", side.failed},
          {"unpromised", side.unpromised}};
}

ordered_json to_json(const CanaryState& canary) {
  return {{"state", canary.end ? name_of(*canary.end) : "running"},
          {"why", text_or_null(canary.why)},
          {"sha256", canary.sha256},
          {"share", canary.share},
          {"seconds", std::round(canary.seconds * 10.0) / 10.0},
          {"stable", to_json(canary.sides.stable)},
          {"canary", to_json(canary.sides.canary)}};
}

ordered_json to_json(const WatchState& watch) {
  return {{"state", watch.end ? name_of(*watch.end) : "running"},
          {"why", text_or_null(watch.why)},
          {"sha256", watch.sha256},
          {"seconds", std::round(watch.seconds * 10.0) / 10.0},
          {"before", to_json(watch.before)},
          {"now", to_json(watch.now)},
          {"excused", watch.excused}};
}

}  // namespace

ordered_json to_json(const Rehearsed& rehearsed) {
  ordered_json json = {{"decisions", rehearsed.decisions},
                       {"moved", rehearsed.moved},
                       {"stranded", rehearsed.stranded},
                       {"unauthenticated", rehearsed.unauthenticated},
                       {"cost_before_usd", in_usd(rehearsed.cost_before)},
                       {"cost_after_usd", in_usd(rehearsed.cost_after)},
                       {"in_time_before", rehearsed.in_time_before},
                       {"in_time_after", rehearsed.in_time_after},
                       {"moves", to_json(rehearsed.moves)}};
  if (!rehearsed.example.empty()) json["example"] = rehearsed.example;
  return json;
}

Answer answer_of(const Tried& tried) {
  return in_json(
      tried.objections.empty() ? 200 : 409,
      {{"rehearsal", to_json(tried.rehearsal)}, {"objections", text_or_null(tried.objections)}});
}

ordered_json to_json(const RolloutState& state) {
  return {{"sha256", state.sha256},
          {"guarded_against", text_or_null(state.guarded)},
          {"shadow", state.shadow.policy.empty() ? ordered_json(nullptr) : to_json(state.shadow)},
          {"canary", state.canary.sha256.empty() ? ordered_json(nullptr) : to_json(state.canary)},
          {"watch", state.watch.sha256.empty() ? ordered_json(nullptr) : to_json(state.watch)}};
}

}  // namespace spillway::admin
