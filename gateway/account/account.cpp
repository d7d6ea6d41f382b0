#include "gateway/account/account.h"

#include "gateway/account/calendar.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace spillway::account {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kSlotsLeast = 4'096;
constexpr std::size_t kSlotsPerRequest = 4;  // Three quarters may wait to be booked.
constexpr milliseconds kAskAgain{1'000};     // Running requests end, the ledger catches up.

const config::Budget kNoBudget;

const config::Budget& given(const config::Budget* budget) { return budget ? *budget : kNoBudget; }

std::string in_usd(NanoUsd amount) {
  char text[48];
  std::snprintf(text, sizeof text, "%.6f", static_cast<double>(amount) / 1e9);
  std::string usd(text);
  while (usd.back() == '0' && usd[usd.size() - 3] != '.') usd.pop_back();
  return usd + " USD";
}

std::string in_percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%g %%", 100.0 * share);
  return text;
}

constexpr std::string_view kTenant = "tenant";

// In OpenAI's words a tenant is an organization, and its key a project's.
Error refused(std::string_view whose, const Payer& payer, const Purse::Refusal& why, NanoUsd wanted,
              std::int64_t now) {
  const std::int64_t ends = why.window == Window::day ? next_day(now) : next_month(now);
  const std::string_view name = whose == kTenant ? payer.tenant : payer.key;
  std::string message = "The ";
  if (why.of_class)
    message += "share of class '" + std::string(payer.share.request_class) + "', " +
               in_percent(*payer.share.max) + " of the ";
  message += std::string(name_of(why.window)) + "'s budget of " + std::string(whose) + " '" +
             std::string(name) + "', " + in_usd(why.limit) + ", ";
  const bool is_small = why.for_good && why.spent + why.held < why.limit;
  message += is_small       ? "is less than this request may cost: "
             : why.for_good ? "is spent: "
                            : "is held by running requests: ";
  message += in_usd(why.spent) + " spent, " + in_usd(why.held) +
             " held, and this request may cost " + in_usd(wanted) + ". It begins anew on " +
             date_of(ends) + " (UTC).";
  if (why.for_good) {
    Error spent{Errc::over_budget, std::move(message), "", std::nullopt};
    spent.kind =
        whose == kTenant ? "organization_spend_limit_exceeded" : "project_spend_limit_exceeded";
    return spent;
  }
  return {Errc::rate_limited, std::move(message), "", kAskAgain};
}

}  // namespace

Hold& Hold::operator=(Hold&& other) noexcept {
  if (this == &other) return *this;
  close({});
  account_ = std::exchange(other.account_, nullptr);
  index_ = other.index_;
  payer_ = other.payer_;
  tenant_ = other.tenant_;
  key_ = other.key_;
  granted_ = std::exchange(other.granted_, 0);
  return *this;
}

Hold::~Hold() { close({}); }

void Hold::post(const Posting& posting) { close(posting); }

void Hold::close(const Posting& posting) {
  if (!account_) return;
  NanoUsd spent = 0;
  for (const PostedLeg& leg : posting.legs) spent += std::max<NanoUsd>(0, leg.amount);
  account_->ledger_->settle(index_, posting);
  const std::int64_t now = wall_milliseconds();
  const std::string_view request_class = payer_.share.request_class;
  tenant_->settle(given(payer_.tenant_budget), granted_, spent, now, request_class);
  key_->settle(given(payer_.key_budget), granted_, spent, now, request_class);
  account_ = nullptr;
}

Result<void> Hold::raise(NanoUsd least, NanoUsd wanted) {
  if (!account_ || wanted <= granted_) return {};
  const NanoUsd needed = std::max<NanoUsd>(0, least - granted_);
  auto refusal = account_->put_aside(*this, needed, wanted - granted_);
  if (refusal) return std::move(*refusal);
  account_->ledger_->raise(index_, granted_);
  return {};
}

void Hold::lower(NanoUsd by) {
  by = std::min(by, granted_);
  if (!account_ || by <= 0) return;
  granted_ -= by;
  account_->ledger_->raise(index_, granted_);
  const std::int64_t now = wall_milliseconds();
  const std::string_view request_class = payer_.share.request_class;
  tenant_->settle(given(payer_.tenant_budget), by, 0, now, request_class);
  key_->settle(given(payer_.key_budget), by, 0, now, request_class);
}

Result<std::unique_ptr<Account>> Account::open(
    const store::Directory& directory, std::unique_ptr<Journal> journal, int requests_max,
    std::function<void(const std::optional<Error>& why)> trouble) {
  std::unique_ptr<Account> account(new Account());
  const std::size_t slots =
      std::max(kSlotsLeast, kSlotsPerRequest * static_cast<std::size_t>(requests_max));
  LedgerEars ears;
  ears.repeated = [made = account.get()](const Slot& slot) { made->take_back(slot); };
  ears.trouble = std::move(trouble);
  auto ledger = Ledger::open(directory, std::move(journal), slots, std::move(ears));
  if (!ledger) return ledger.error();
  account->ledger_ = std::move(*ledger);
  const std::int64_t now = wall_milliseconds();
  for (const Spent& spent : account->ledger_->spent_before()) {
    for (Purse* const purse : {&account->purse(account->tenants_, spent.tenant),
                               &account->purse(account->keys_, spent.key)})
      purse->correct(spent.day, spent.month, now, spent.request_class);
  }
  return account;
}

Purse& Account::purse(Purses& purses, std::string_view name) {
  {
    const std::shared_lock lock(mutex_);
    const auto found = purses.find(name);
    if (found != purses.end()) return *found->second;
  }
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Purse>& made = purses[std::string(name)];
  if (!made) made = std::make_unique<Purse>();
  return *made;
}

// It was in the book before, so that it was spent only once.
void Account::take_back(const Slot& slot) {
  NanoUsd amount = 0;
  for (std::size_t i = 0; i < slot.legs_used; ++i) amount -= slot.legs[i].amount;
  const std::int64_t now = wall_milliseconds();
  const std::string_view request_class = slot.request_class.view();
  purse(tenants_, slot.tenant.view()).correct(amount, amount, now, request_class);
  purse(keys_, slot.key.view()).correct(amount, amount, now, request_class);
}

// Both purses or none.
std::optional<Error> Account::put_aside(Hold& hold, NanoUsd least, NanoUsd wanted) {
  const std::int64_t now = wall_milliseconds();
  const config::Budget& of_tenant = given(hold.payer_.tenant_budget);
  const config::Budget& of_key = given(hold.payer_.key_budget);
  const ClassShare& share = hold.payer_.share;
  const auto first = hold.tenant_->put_aside(of_tenant, least, wanted, now, share);
  if (first.refusal) return refused(kTenant, hold.payer_, *first.refusal, wanted, now);
  const auto second = hold.key_->put_aside(of_key, least, first.granted, now, share);
  const NanoUsd unused = first.granted - second.granted;  // All, if the key has none.
  if (unused > 0) hold.tenant_->settle(of_tenant, unused, 0, now, share.request_class);
  if (second.refusal) return refused("key", hold.payer_, *second.refusal, wanted, now);
  hold.granted_ += second.granted;
  return std::nullopt;
}

Hold Account::begin(const Payer& payer) {
  Hold hold;
  hold.payer_ = payer;
  hold.tenant_ = &purse(tenants_, payer.tenant);
  hold.key_ = &purse(keys_, payer.key);
  return hold;
}

Result<Hold> Account::hold(std::string_view id, const Payer& payer, NanoUsd least, NanoUsd wanted) {
  Hold hold = begin(payer);
  auto refusal = put_aside(hold, least, wanted);
  if (refusal) return std::move(*refusal);
  return enter(id, std::move(hold));
}

Result<Hold> Account::owed(std::string_view id, const Payer& payer, NanoUsd amount) {
  Hold hold = begin(payer);
  (void)put_aside(hold, 0, amount);
  return enter(id, std::move(hold));
}

Result<Hold> Account::enter(std::string_view id, Hold hold) {
  const Payer& payer = hold.payer_;
  const auto index = ledger_->hold({id, payer.tenant, payer.key, payer.project, hold.granted_});
  if (!index) {
    const std::int64_t now = wall_milliseconds();
    const std::string_view request_class = payer.share.request_class;
    hold.tenant_->settle(given(payer.tenant_budget), hold.granted_, 0, now, request_class);
    hold.key_->settle(given(payer.key_budget), hold.granted_, 0, now, request_class);
    return Error{Errc::overloaded, "More requests are waiting to be booked than may be. Try again.",
                 "", kAskAgain};
  }
  hold.index_ = *index;
  hold.account_ = this;
  return hold;
}

std::string Account::warning(const Payer& payer) {
  const std::int64_t now = wall_milliseconds();
  const auto told = [this, now](std::string_view whose, std::string_view name, Purses& purses,
                                const config::Budget* budget) -> std::string {
    if (!budget || !budget->limited()) return {};
    Purse& purse = this->purse(purses, name);
    const auto window = purse.nearly_spent(*budget, now);
    if (!window) return {};
    const Purse::State state = purse.state(now);
    const bool daily = *window == Window::day;
    return std::string(whose) + " " + std::string(name) + ": " +
           in_usd((daily ? state.day : state.month) + state.held) + " of this " +
           std::string(name_of(*window)) + "'s " + in_usd(daily ? *budget->day : *budget->month);
  };
  std::string text = told("tenant", payer.tenant, tenants_, payer.tenant_budget);
  if (text.empty()) text = told("key", payer.key, keys_, payer.key_budget);
  return text;
}

double Account::left(const Payer& payer) {
  const std::int64_t now = wall_milliseconds();
  const auto of = [this, now](Purses& purses, std::string_view name, const config::Budget* budget) {
    return budget && budget->limited() ? purse(purses, name).left(*budget, now) : 1.0;
  };
  return std::min(of(tenants_, payer.tenant, payer.tenant_budget),
                  of(keys_, payer.key, payer.key_budget));
}

std::vector<PurseGauge> Account::tenants() const {
  const std::shared_lock lock(mutex_);
  const std::int64_t now = wall_milliseconds();
  std::vector<PurseGauge> all;
  for (const auto& [name, purse] : tenants_) all.push_back({name, purse->state(now)});
  return all;
}

}  // namespace spillway::account
