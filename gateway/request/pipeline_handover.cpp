// The parts of Pipeline for what leaves in a provider's batch: out, without being asked, and back,
// with its answer.
#include "gateway/policy/handover.h"
#include "gateway/request/allowance.h"
#include "gateway/request/call.h"
#include "gateway/request/course.h"
#include "gateway/request/exchange.h"
#include "gateway/request/handover.h"
#include "gateway/request/measure.h"
#include "gateway/request/notes.h"
#include "gateway/request/pipeline.h"
#include "gateway/request/relay.h"

#include <algorithm>
#include <exception>
#include <utility>

namespace spillway {
namespace {

// Its key may be gone by now: who had it owes all the same.
policy::Caller ower_of(const Result<policy::Caller>& caller, const HandedBack& back,
                       config::Key& stand_in) {
  if (caller) return *caller;
  stand_in.name = back.key_name;
  stand_in.tenant = back.tenant;
  return {&stand_in, nullptr};
}

// As if nobody had anything to do, but for the engine: how things are now says nothing of then.
policy::FleetFacts facts_of_idle_fleet(const policy::FleetFacts& fleet) {
  policy::FleetFacts idle;
  idle.now = fleet.now;
  idle.clock = fleet.clock;
  idle.answer_length = fleet.answer_length;
  return idle;
}

bool may_wait(const policy::Plan& plan) {
  return plan.request_class->spill == config::Spill::cheapest_before_deadline;
}

bool may_leave_in_batches(const policy::Plan& plan) {
  return may_wait(plan) || plan.request_class->spill == config::Spill::always;
}

Error stays(std::string why) { return {Errc::no_route, std::move(why), "", std::nullopt}; }

std::optional<std::string> untold(const Backend& backend, const ChatRequest& request,
                                  const config::Settings& settings) {
  if (settings.server.unknown_fields != "refuse") return std::nullopt;
  const auto left_out = backend.left_out(request);
  const auto found = std::find_first_of(left_out.begin(), left_out.end(), request.unknown.begin(),
                                        request.unknown.end());
  return found == left_out.end() ? std::nullopt : std::optional(*found);
}

}  // namespace

// As Pipeline::answer_or_excuse.
Async<WrittenLine> Pipeline::write_or_excuse(Exchange& exchange,
                                             const Result<policy::Caller>& caller,
                                             const Handing& handing) {
  try {
    co_return co_await write_down(exchange, caller, handing);
  } catch (const std::exception&) {
    co_return Error{Errc::internal, "the gateway failed to write it down", "", std::nullopt};
  }
}

Async<WrittenLine> Pipeline::write_down(Exchange& exchange, const Result<policy::Caller>& caller,
                                        const Handing& handing) {
  const Edition& edition = *exchange.edition;
  Receipt& receipt = exchange.receipt;
  if (!caller) co_return caller.error();
  exchange.caller = *caller;
  note(*caller, receipt);
  auto asked = co_await asked_by(exchange.raw, exchange.protocol, *caller, doors_.reading);
  if (!asked) co_return asked.error();
  exchange.asked = std::move(*asked);
  auto request = exchange.asked.chat;
  auto facts = facts_of(exchange.raw, *caller, *request, exchange.pool);
  if (!facts) co_return facts.error();
  const auto allowed = may_ask(*caller, exchange.raw.path, *request, *facts);
  if (!allowed) co_return allowed.error();
  co_await measure(edition, doors_.local, request, receipt.tenant, *facts);
  if (stays_here(doors_.account, *edition.settings)) co_return stays("nothing may leave now");

  const auto moment = moment_of(doors_.local, doors_.fleet, doors_.waiting, exchange.prompt);
  const auto idle = facts_of_idle_fleet(moment->fleet);
  const auto plan = edition.router.plan(*facts, idle, policy::Turn::cloud);
  if (!plan) co_return plan.error();
  if (!may_leave_in_batches(*plan)) co_return stays("its class is for what somebody waits for");
  const auto offer = policy::best_handover(*plan, facts->prompt_tokens);
  if (!offer || (!handing.target.empty() && offer->candidate.target != handing.target))
    co_return stays("no provider's batches take it");

  auto filled = co_await with_files(request, *caller, doors_.files, *facts);
  if (!filled) co_return filled.error();
  co_return written(exchange, *offer, *plan, **filled, handing, facts->prompt_tokens);
}

Result<WrittenLine> Pipeline::written(Exchange& exchange, const policy::HandoverOffer& offer,
                                      const policy::Plan& plan, const ChatRequest& asked,
                                      const Handing& handing, int prompt_tokens) const {
  const Edition& edition = *exchange.edition;
  const auto servers = edition.providers.find(offer.candidate.target);
  if (servers == edition.providers.end()) return stays("its provider is not there");
  Backend& backend = *servers->second.front();
  const auto unknown = untold(backend, asked, *edition.settings);
  BatchDesk* const desk = backend.batch_desk();
  if (desk == nullptr || unknown) return stays("its batches do not take it");
  Tab tab(doors_.account, *edition.settings, exchange.caller.key, plan.request_class);
  tab.order(asked, prompt_tokens, true);
  const auto most = tab.reckon(offer.candidate, exchange.receipt);
  if (!most) return most.error();
  const auto shared = std::make_shared<const ChatRequest>(asked);
  auto line = desk->line(handing.id, *tab.affordable(shared), offer.candidate.model);
  if (!line) return line.error();
  WrittenLine written;
  written.target = offer.candidate.target;
  written.model = offer.candidate.model;
  written.line = std::move(*line);
  written.request_class = plan.request_class->name;
  written.budget_share = plan.request_class->budget_share;
  written.most = *most;
  written.engine_serves = plan.could_stay && may_wait(plan);
  written.prompt_tokens = prompt_tokens;
  written.completion_tokens = plan.completion_tokens;
  return written;
}

// It is owed, whoever may do what by now: nothing but a fault keeps it from its client.
Async<void> Pipeline::give_back(Exchange& exchange, const Result<policy::Caller>& caller) {
  const Edition& edition = *exchange.edition;
  Receipt& receipt = exchange.receipt;
  const HandedBack& back = *exchange.back;
  config::Key& stand_in = exchange.stand_in;
  exchange.caller = ower_of(caller, back, stand_in);
  note(exchange.caller, receipt);
  auto asked = co_await asked_by(exchange.raw, exchange.protocol, exchange.caller, doors_.reading);
  if (!asked) co_return asked.error();
  exchange.asked = std::move(*asked);
  const auto& request = exchange.asked.chat;
  note(*request, receipt);
  auto facts = facts_of(exchange.raw, exchange.caller, *request, exchange.pool);
  if (!facts) co_return facts.error();
  co_await measure(edition, doors_.local, request, receipt.tenant, *facts);
  if (!edition.providers.contains(back.target))
    co_return Error{Errc::backend_unavailable, "its provider is not there", "", std::nullopt};

  const auto plan = edition.router.handed_over(*facts, back.target, back.model);
  const auto moment = moment_of(doors_.local, doors_.fleet, doors_.waiting, exchange.prompt);
  receipt.decided = SteadyClock::now();
  note(plan, *facts, moment->fleet, receipt);
  receipt.usage.prompt_tokens = facts->prompt_tokens;
  Tab& tab = exchange.tab.emplace(doors_.account, *edition.settings, exchange.caller.key,
                                  plan.request_class);
  tab.order(*request, facts->prompt_tokens, true);
  tab.is_owed();
  const Deadline deadline = receipt.decided + edition.settings->server.limits.request_timeout;
  Course course(dispatcher_, plan, edition, request, exchange.prompt, deadline, tab, receipt);
  course.answered_by(*back.answer);
  auto opened = co_await course.first();
  if (!opened) co_return opened.error();
  co_return co_await relay(*opened, course, *exchange.asked.writer, exchange.out);
}

}  // namespace spillway
