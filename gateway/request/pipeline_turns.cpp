// The parts of Pipeline that decide, and that wait for a request's turn.
#include "gateway/reload/probation.h"
#include "gateway/request/call.h"
#include "gateway/request/course.h"
#include "gateway/request/exchange.h"
#include "gateway/request/measure.h"
#include "gateway/request/notes.h"
#include "gateway/request/pipeline.h"

#include <utility>

namespace spillway {
namespace {

bool is_to_come_again(const Result<Opened>& opened, const std::optional<policy::Wait>& wait) {
  const bool is_full = !opened && opened.error().code == Errc::overloaded;
  return is_full && wait && SteadyClock::now() < wait->deadline;
}

// Where the policies part first is what counts, if they do.
void keep(std::optional<PolicyBefore> told, Receipt& receipt) {
  if (!receipt.before || !receipt.before->parts_at) receipt.before = std::move(told);
}

}  // namespace

Result<policy::Plan> Pipeline::decide(Exchange& exchange, policy::RequestFacts& facts,
                                      policy::Turn turn) const {
  const Edition& edition = *exchange.edition;
  Receipt& receipt = exchange.receipt;
  if (doors_.account)
    facts.budget_left = doors_.account->left(payer_of(*edition.settings, facts.key));
  const auto moment = moment_of(doors_.local, doors_.fleet, doors_.waiting, exchange.prompt);
  const auto& [engine, fleet] = *moment;
  note_local_price(*edition.settings, engine, facts, receipt);
  policy::RuleReport rules;
  auto plan = edition.router.plan(facts, fleet, turn, &rules);
  receipt.decided = SteadyClock::now();
  doors_.rehearsal.record(facts, moment, turn);
  if (turn == policy::Turn::unknown)
    doors_.shadow.consider(receipt.request_id, facts, moment, plan);
  if (plan) doors_.fleet.decided(*plan, facts);
  if (plan) note(*plan, facts, fleet, receipt);
  if (!plan) note(plan.error(), rules, receipt);
  if (!plan && receipt.canary != 0)
    receipt.canary_refuses = doors_.editions.get()->router.plan(facts, fleet, turn).has_value();
  const auto before = receipt.canary == 0 ? doors_.editions.before() : nullptr;
  if (before && edition.policy > before->policy)
    keep(policy_before(*before, plan, facts, fleet, turn), receipt);
  note(rules, receipt);
  const bool keeps_engine_busy = plan && !plan->wait && plan->candidates.front().local;
  if (keeps_engine_busy && plan->candidates.front().lane == Lane::foreground)
    doors_.waiting.foreground(facts.prompt_tokens, plan->completion_tokens, engine);
  return plan;
}

// What was taken from a key while its request waited is gone for that one, too.
Result<void> Pipeline::know_key_again(Exchange& exchange, policy::RequestFacts& facts) const {
  const policy::Caller& caller = exchange.caller;
  if (caller.key == nullptr) return {};
  exchange.today = doors_.editions.enter_as(caller.name(), caller.tenant(), exchange.raw.id);
  if (!exchange.today->caller) return exchange.today->caller.error();
  facts.key = exchange.today->caller->key;
  return {};
}

// Where everybody is full there is time to wait for another turn.
Async<policy::Plan> Pipeline::wait_and_decide(Exchange& exchange, policy::RequestFacts& facts,
                                              policy::Wait& wait) const {
  Receipt& receipt = exchange.receipt;
  wait.tenant = receipt.tenant;
  const double before = receipt.held_seconds;
  const TimePoint since = SteadyClock::now();
  while (true) {
    const auto turn = co_await doors_.waiting.turn(wait);
    receipt.decided = SteadyClock::now();
    receipt.held_seconds = before + seconds_between(since, receipt.decided);
    if (!turn) co_return turn.error();
    const auto known = know_key_again(exchange, facts);
    if (!known) co_return known.error();
    auto plan = decide(exchange, facts, *turn);
    if (plan || plan.error().code != Errc::overloaded || receipt.decided >= wait.deadline)
      co_return plan;
    wait.again = true;
    wait.not_here = *turn == policy::Turn::local;
  }
}

// Work that may wait comes back where everybody is full after all.
Async<Opened> Pipeline::first_answer(Exchange& exchange, policy::RequestFacts& facts,
                                     policy::Plan& plan, std::optional<policy::Wait> wait,
                                     std::optional<Course>& course) {
  const Edition& edition = *exchange.edition;
  Receipt& receipt = exchange.receipt;
  Tab& tab = *exchange.tab;
  const Deadline deadline = receipt.arrived + time_for(plan);
  while (true) {
    course.emplace(dispatcher_, plan, edition, exchange.asked.chat, exchange.prompt, deadline, tab,
                   receipt);
    auto opened = co_await course->first();
    receipt.budget_warning = tab.warning();
    if (!is_to_come_again(opened, wait)) co_return opened;
    wait->again = true;
    wait->not_here = false;
    course.reset();
    auto next = co_await wait_and_decide(exchange, facts, *wait);
    if (!next) co_return next.error();
    plan = std::move(*next);
  }
}

}  // namespace spillway
