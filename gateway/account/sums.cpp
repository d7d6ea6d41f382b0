#include "gateway/account/sums.h"

#include "gateway/account/calendar.h"

namespace spillway::account {
namespace {

constexpr const char* kAddUsage =
    "INSERT INTO usage(hour, tenant, key, project, class, endpoint, model, target, served, local, "
    "requests, estimated, prompt, cached, completion, reasoning, amount, avoided) "
    "VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET "
    "requests = requests + excluded.requests, estimated = estimated + excluded.estimated, "
    "prompt = prompt + excluded.prompt, cached = cached + excluded.cached, "
    "completion = completion + excluded.completion, reasoning = reasoning + excluded.reasoning, "
    "amount = amount + excluded.amount, avoided = avoided + excluded.avoided";

constexpr const char* kAddBalance =
    "INSERT INTO balances(account, debits, credits) VALUES(?,?,?) ON CONFLICT DO UPDATE SET "
    "debits = debits + excluded.debits, credits = credits + excluded.credits";

std::int64_t hour_of(const Slot& slot) { return slot.settled_at / kMillisecondsPerHour; }

std::string key_of(const Slot& slot, const Leg& leg) {
  std::string key = std::to_string(hour_of(slot)) + (leg.local ? "l" : "c");
  for (const std::string_view text :
       {slot.tenant.view(), slot.key.view(), slot.project.view(), slot.request_class.view(),
        slot.endpoint.view(), slot.model.view(), leg.target.view(), leg.model.view()}) {
    key += '\0';
    key += text;
  }
  return key;
}

}  // namespace

Result<SumStatements> SumStatements::prepare(store::Database& database) {
  auto usage = database.prepare(kAddUsage);
  if (!usage) return usage.error();
  auto balance = database.prepare(kAddBalance);
  if (!balance) return balance.error();
  return SumStatements{std::move(*usage), std::move(*balance)};
}

void Sums::add(const Slot& slot, std::size_t index) {
  const Leg& leg = slot.legs[index];
  Hour& hour = hours_[key_of(slot, leg)];
  hour.slot = &slot;
  hour.leg = index;
  hour.requests += index == 0 ? 1 : 0;
  hour.estimated += leg.estimated ? 1 : 0;
  hour.prompt += leg.usage.prompt_tokens;
  hour.cached += leg.usage.cached_tokens;
  hour.completion += leg.usage.completion_tokens;
  hour.reasoning += leg.usage.reasoning_tokens;
  hour.amount += leg.amount;
  hour.avoided += index == 0 ? slot.avoided : 0;
  balances_["tenant:" + std::string(slot.tenant.view())].debits += leg.amount;
  balances_["target:" + std::string(leg.target.view())].credits += leg.amount;
}

Result<void> Sums::write(SumStatements& statements) const {
  for (const auto& [key, sum] : hours_) {
    const Slot& slot = *sum.slot;
    const Leg& leg = slot.legs[sum.leg];
    store::Statement& add = statements.usage;
    add.bind(0, hour_of(slot)).bind(1, slot.tenant.view()).bind(2, slot.key.view());
    add.bind(3, slot.project.view()).bind(4, slot.request_class.view());
    add.bind(5, slot.endpoint.view()).bind(6, slot.model.view()).bind(7, leg.target.view());
    add.bind(8, leg.model.view()).bind(9, std::int64_t{leg.local});
    int column = 10;
    for (const std::int64_t number : {sum.requests, sum.estimated, sum.prompt, sum.cached,
                                      sum.completion, sum.reasoning, sum.amount, sum.avoided})
      add.bind(column++, number);
    auto done = add.run();
    if (!done) return done.error();
  }
  for (const auto& [account, sum] : balances_) {
    auto done = statements.balance.bind(0, account).bind(1, sum.debits).bind(2, sum.credits).run();
    if (!done) return done.error();
  }
  return {};
}

}  // namespace spillway::account
