#include "gateway/request/pipeline.h"

#include "gateway/request/allowance.h"
#include "gateway/request/call.h"
#include "gateway/request/course.h"
#include "gateway/request/exchange.h"
#include "gateway/request/measure.h"
#include "gateway/request/notes.h"
#include "gateway/request/refusal.h"
#include "gateway/request/relay.h"
#include "gateway/request/settled.h"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <exception>
#include <utility>

namespace spillway {
namespace net = boost::asio;

namespace {

bool keeps_prefixes(const config::Settings& settings) {
  return std::any_of(settings.providers.begin(), settings.providers.end(),
                     [](const auto& provider) { return policy::keeps_prefixes(provider); });
}

}  // namespace

net::awaitable<void> Pipeline::serve(const wire::Protocol& protocol, http::Request raw,
                                     http::ResponseWriter& out) {
  // A vanished client is a value, so that account() always runs.
  co_await net::this_coro::throw_if_cancelled(false);
  const Entry entry = doors_.editions.enter(raw.api_key(), raw.id);
  Exchange exchange(entry, protocol, std::move(raw), out);
  co_await serve(exchange, entry.caller);
}

net::awaitable<void> Pipeline::serve_as(OnBehalf whose, const wire::Protocol& protocol,
                                        http::Request raw, http::ResponseWriter& out) {
  co_await net::this_coro::throw_if_cancelled(false);
  const Entry entry = doors_.editions.enter_as(whose.key_name, whose.tenant, raw.id);
  Exchange exchange(entry, protocol, std::move(raw), out);
  if (whose.in_a_batch) exchange.pool = account::Pool::batches;
  if (whose.handing) {
    whose.handing->outcome = co_await write_or_excuse(exchange, entry.caller, *whose.handing);
    co_return;
  }
  exchange.back = whose.back;
  exchange.accept = std::move(whose.accept);
  co_await serve(exchange, entry.caller);
}

net::awaitable<void> Pipeline::serve(Exchange& exchange, const Result<policy::Caller>& caller) {
  Receipt& receipt = exchange.receipt;
  auto outcome = co_await answer_or_excuse(exchange, caller);
  receipt.http_status = exchange.out.status();
  if (!outcome) {
    const wire::Asked& asked = exchange.asked;
    const Error& error = receipt.error.emplace(told_to(asked.chat.get(), outcome.error()));
    describe_serving(receipt, exchange.out);
    const auto reply = exchange.protocol.error(error, receipt.request_id);
    receipt.http_status = reply.status;
    co_await refuse(error, reply, asked.writer.get(), exchange.out);
  }
  account(exchange);
}

// What is thrown is a bug, and still has its account.
Async<void> Pipeline::answer_or_excuse(Exchange& exchange, const Result<policy::Caller>& caller) {
  try {
    if (exchange.back) co_return co_await give_back(exchange, caller);
    co_return co_await answer(exchange, caller);
  } catch (const std::exception&) {
    co_return Error{Errc::internal, "the gateway failed to answer", "", std::nullopt};
  }
}

Async<void> Pipeline::answer(Exchange& exchange, const Result<policy::Caller>& caller) {
  const Edition& edition = *exchange.edition;
  Receipt& receipt = exchange.receipt;
  if (!caller) co_return caller.error();
  exchange.caller = *caller;
  note(*caller, receipt);

  auto permit = doors_.admission.enter();  // Gives its place back when it goes out of scope.
  if (!permit) co_return permit.error();

  auto pass = admit_unread(doors_.limiter, exchange.pool, *edition.settings, *caller,
                           exchange.raw.path, exchange.out);
  if (!pass) co_return pass.error();
  auto asked = co_await asked_by(exchange.raw, exchange.protocol, *caller, doors_.reading);
  if (!asked) co_return asked.error();
  exchange.asked = std::move(*asked);
  const auto& request = exchange.asked.chat;
  note(*request, receipt);
  auto facts = facts_of(exchange.raw, exchange.caller, *request, exchange.pool);
  if (!facts) co_return facts.error();
  if (request->stream) exchange.out.keep_alive(quiet_for(facts->silence_max, *edition.settings));
  if (!is_long(*request)) co_await measure(edition, doors_.local, request, receipt.tenant, *facts);
  if (stays_here(doors_.account, *edition.settings)) facts->local_only = true;
  const auto admitted = admit(*pass, doors_.limiter, exchange.pool, *edition.settings, *caller,
                              *request, *facts, exchange.out);
  if (!admitted) co_return admitted.error();
  exchange.pass = std::move(*pass);  // Gives its places back when the exchange is over.
  if (is_long(*request)) co_await measure(edition, doors_.local, request, receipt.tenant, *facts);
  const bool is_gone = co_await client_left();
  if (is_gone) co_return Error{Errc::cancelled, "the client left"};

  if (keeps_prefixes(*edition.settings))
    exchange.prompt = policy::PromptMarks(*request, receipt.tenant, request->model);
  auto plan = decide(exchange, *facts, policy::Turn::unknown);
  if (plan && (exchange.accept || wire::names_files(*request))) {
    auto checked = check(exchange, *plan, facts->prompt_tokens);
    if (!checked) co_return checked.error();
  }
  if (plan && exchange.accept) {
    auto accepted = co_await exchange.accept();
    if (!accepted) co_return accepted.error();
  }
  std::optional<policy::Wait> wait;
  if (plan) wait = plan->wait;
  if (wait) plan = co_await wait_and_decide(exchange, *facts, *wait);
  if (!plan) co_return plan.error();

  auto filled = co_await with_files(request, *caller, doors_.files, *facts);
  if (!filled) co_return filled.error();
  receipt.usage.prompt_tokens = facts->prompt_tokens;
  exchange.asked.chat = std::move(*filled);

  // What it may cost is held from its first target on; account() posts what it did cost.
  Tab& tab = exchange.tab.emplace(doors_.account, *edition.settings, exchange.caller.key,
                                  plan->request_class);
  tab.order(*request, facts->prompt_tokens, plan->at_batch_rate);
  std::optional<Course> course;
  auto opened = co_await first_answer(exchange, *facts, *plan, wait, course);
  if (!opened) co_return opened.error();

  // Dropping the stream, on return, ends what is left of the work.
  co_return co_await relay(*opened, *course, *exchange.asked.writer, exchange.out);
}

// Before anything is kept or read for it: whether somebody can be paid, and it may have its files.
Result<void> Pipeline::check(const Exchange& exchange, const policy::Plan& plan,
                             int prompt_tokens) const {
  Tab tab(doors_.account, *exchange.edition->settings, exchange.caller.key, plan.request_class);
  tab.order(*exchange.asked.chat, prompt_tokens, plan.at_batch_rate);
  const auto affordable = tab.afford(plan, exchange.receipt);
  if (!affordable) return affordable.error();
  return wire::check_files(*exchange.asked.chat, reader_of(exchange.caller));
}

void Pipeline::account(Exchange& exchange) {
  Receipt& receipt = exchange.receipt;
  receipt.ended = SteadyClock::now();
  if (exchange.tab) exchange.tab->settle(receipt);
  exchange.pass.used(tokens_of(receipt.parts), receipt.ended);
  doors_.fleet.spent(receipt.request_class, receipt.cost_nano_usd, receipt.twice_nano_usd(),
                     receipt.hedged.has_value());
  doors_.fleet.settled(receipt.request_class, settled_of(receipt));
  if (const int tokens = tokens_seen(receipt); exchange.tab && tokens > 0)
    doors_.fleet.completed({.request_class = receipt.request_class,
                            .key = receipt.key_name,
                            .model = receipt.model_requested,
                            .prompt_tokens = exchange.tab->prompt_tokens(),
                            .completion_tokens = tokens,
                            .cut = receipt.cut_by_limit});
  if (receipt.predicted && receipt.served_locally && receipt.first_token) {
    const double seconds = seconds_between(receipt.decided, *receipt.first_token);
    doors_.fleet.local_first_token(*receipt.predicted, doors_.local->status().step, seconds);
  }
  doors_.tell(receipt);
}

}  // namespace spillway
