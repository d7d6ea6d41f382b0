#include "gateway/account/limiter.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace spillway::account {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kAskAgain{1'000};  // Somebody's answer ends, nobody knows when.
constexpr std::string_view kWhose[] = {"key", "tenant", "model"};
constexpr LimitKind kKinds[] = {LimitKind::requests, LimitKind::tokens, LimitKind::concurrency};

int limit_of(const config::Limits& limits, LimitKind kind) {
  switch (kind) {
    case LimitKind::requests: return limits.requests_per_minute;
    case LimitKind::tokens: return limits.tokens_per_minute;
    case LimitKind::concurrency: return limits.concurrency;
  }
  return 0;
}

Error refused(std::size_t whose, const Subject& subject, LimitKind kind, std::int64_t amount,
              milliseconds retry_after) {
  const int limit = limit_of(*subject.limits, kind);
  std::string message = "The " + std::string(kWhose[whose]) + " '" + std::string(subject.name) +
                        "' may use " + std::to_string(limit);
  switch (kind) {
    case LimitKind::requests: message += " requests a minute."; break;
    case LimitKind::tokens:
      message += " tokens a minute; this request may come to " + std::to_string(amount) + ".";
      break;
    case LimitKind::concurrency: message += " requests at once."; break;
  }
  return {Errc::rate_limited, std::move(message), "", retry_after};
}

void narrow(std::optional<Standing::Line>& line, std::int64_t limit,
            const policy::Bucket::Answer& answer) {
  if (line && line->remaining <= answer.remaining) return;
  line = {limit, answer.remaining, answer.reset};
}

}  // namespace

std::string_view name_of(LimitKind kind) {
  switch (kind) {
    case LimitKind::requests: return "requests";
    case LimitKind::tokens: return "tokens";
    case LimitKind::concurrency: return "concurrency";
  }
  return "";
}

struct State {
  policy::Bucket requests;
  policy::Bucket tokens;
  std::atomic<int> under_way{0};
};

namespace {

policy::Bucket& bucket_of(State& state, LimitKind kind) {
  return kind == LimitKind::tokens ? state.tokens : state.requests;
}

}  // namespace

Pass& Pass::operator=(Pass&& other) noexcept {
  if (this == &other) return *this;
  leave();
  places_ = std::exchange(other.places_, {});
  begun_ = std::exchange(other.begun_, 0);
  standing_ = other.standing_;
  counted_ = other.counted_;
  entered_ = other.entered_;
  return *this;
}

void Pass::leave() {
  give_back(LimitKind::requests, std::exchange(begun_, 0), 1);
  for (const Place& place : places_) {
    if (place.state) place.state->under_way.fetch_sub(1, std::memory_order_relaxed);
  }
  places_ = {};
}

// What the first `count` of a request's subjects gave.
void Pass::give_back(LimitKind kind, std::size_t count, std::int64_t amount) {
  for (std::size_t i = 0; i < count; ++i) {
    const Place& place = places_[i];
    const std::int64_t rate = place.state ? limit_of(*place.limits, kind) : 0;
    if (rate > 0) bucket_of(*place.state, kind).correct(rate, -std::min(amount, rate));
  }
}

void Pass::used(std::int64_t tokens, TimePoint now) {
  for (const Place& place : places_) {
    const std::int64_t rate = place.state ? place.limits->tokens_per_minute : 0;
    if (rate == 0) continue;
    const std::int64_t taken = std::min(counted_, rate);
    const bool has_come_back = place.state->tokens.was_full(entered_, now);
    place.state->tokens.correct(rate, std::max(tokens, has_come_back ? taken : 0) - taken);
  }
  counted_ = tokens;
}

Limiter::Limiter() = default;
Limiter::~Limiter() = default;

State& Limiter::state(Pool pool, Limited whose, std::string_view name) {
  States& states = states_[static_cast<std::size_t>(pool)][static_cast<std::size_t>(whose)];
  {
    const std::shared_lock lock(mutex_);
    const auto found = states.find(name);
    if (found != states.end()) return *found->second;
  }
  const std::lock_guard lock(mutex_);
  std::unique_ptr<State>& made = states[std::string(name)];
  if (!made) made = std::make_unique<State>();
  return *made;
}

std::optional<Error> Limiter::take_places(Pass& pass, Pool pool, const Subjects& subjects,
                                          Range range) {
  std::optional<Error> refusal;
  for (std::size_t i = range.begin; i < range.end; ++i) {
    if (!subjects[i].limits || *subjects[i].limits == config::Limits{}) continue;
    State& state = this->state(pool, static_cast<Limited>(i), subjects[i].name);
    const int others = state.under_way.fetch_add(1, std::memory_order_relaxed);
    pass.places_[i] = {&state, subjects[i].limits};
    const int limit = subjects[i].limits->concurrency;
    if (limit > 0 && others >= limit && !refusal)
      refusal = refused(i, subjects[i], LimitKind::concurrency, 1, kAskAgain);
  }
  return refusal;
}

// Of one kind from all subjects in the range, or from none.
std::optional<Error> Limiter::take(Pass& pass, LimitKind kind, const Subjects& subjects,
                                   Range range, std::int64_t amount, TimePoint now,
                                   Standing& standing) {
  const bool by_tokens = kind == LimitKind::tokens;
  for (std::size_t i = range.begin; i < range.end; ++i) {
    if (!pass.places_[i].state) continue;
    const int limit = limit_of(*subjects[i].limits, kind);
    if (limit == 0) continue;
    const auto answer = bucket_of(*pass.places_[i].state, kind).take(limit, amount, now);
    narrow(by_tokens ? standing.tokens : standing.requests, limit, answer);
    if (answer.taken) continue;
    pass.give_back(kind, i, amount);
    return refused(i, subjects[i], kind, amount,
                   std::chrono::ceil<milliseconds>(answer.retry_after));
  }
  return std::nullopt;
}

Error Limiter::count_refused(LimitKind kind, Error refusal) {
  refused_[static_cast<std::size_t>(kind)].fetch_add(1, std::memory_order_relaxed);
  return refusal;
}

Result<Pass> Limiter::begin(Pool pool, const Subjects& subjects, TimePoint now,
                            Standing& standing) {
  constexpr Range kWhose{0, 2};  // Key and tenant.
  Pass pass;
  if (auto refusal = take_places(pass, pool, subjects, kWhose))
    return count_refused(LimitKind::concurrency, std::move(*refusal));
  auto refusal = take(pass, LimitKind::requests, subjects, kWhose, 1, now, standing);
  if (refusal) return count_refused(LimitKind::requests, std::move(*refusal));
  pass.begun_ = kWhose.end;
  pass.standing_ = standing;
  return pass;
}

Result<void> Limiter::complete(Pass& pass, Pool pool, const Subjects& subjects, std::int64_t tokens,
                               TimePoint now, Standing& standing) {
  constexpr Range kModel{2, 3}, kAll{0, 3};
  standing = pass.standing_;
  if (auto refusal = take_places(pass, pool, subjects, kModel))
    return count_refused(LimitKind::concurrency, std::move(*refusal));
  auto refusal = take(pass, LimitKind::requests, subjects, kModel, 1, now, standing);
  if (refusal) return count_refused(LimitKind::requests, std::move(*refusal));
  pass.begun_ = kModel.end;
  refusal = take(pass, LimitKind::tokens, subjects, kAll, tokens, now, standing);
  if (refusal) return count_refused(LimitKind::tokens, std::move(*refusal));
  for (auto& allowed : allowed_) allowed.fetch_add(1, std::memory_order_relaxed);
  pass.begun_ = 0;
  pass.counted_ = tokens;
  pass.entered_ = now;
  return {};
}

Result<Pass> Limiter::enter(Pool pool, const Subjects& subjects, std::int64_t tokens, TimePoint now,
                            Standing& standing) {
  auto pass = begin(pool, subjects, now, standing);
  if (!pass) return pass;
  const auto whole = complete(*pass, pool, subjects, tokens, now, standing);
  if (!whole) return whole.error();
  return pass;
}

std::array<Limiter::Check, kLimitKinds> Limiter::checks() const {
  std::array<Check, kLimitKinds> all{};
  for (std::size_t i = 0; i < kLimitKinds; ++i) {
    all[i] = {kKinds[i], allowed_[i].load(std::memory_order_relaxed),
              refused_[i].load(std::memory_order_relaxed)};
  }
  return all;
}

}  // namespace spillway::account
