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

Pass& Pass::operator=(Pass&& other) noexcept {
  if (this == &other) return *this;
  leave();
  places_ = std::exchange(other.places_, {});
  counted_ = other.counted_;
  entered_ = other.entered_;
  return *this;
}

void Pass::leave() {
  for (const Place& place : places_) {
    if (place.state) place.state->under_way.fetch_sub(1, std::memory_order_relaxed);
  }
  places_ = {};
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

policy::Bucket& bucket_of(State& state, LimitKind kind) {
  return kind == LimitKind::tokens ? state.tokens : state.requests;
}

// What the first `count` of a request's subjects gave.
void Limiter::give_back(const Pass& pass, LimitKind kind, std::size_t count, std::int64_t amount) {
  for (std::size_t i = 0; i < count; ++i) {
    const Pass::Place& place = pass.places_[i];
    const std::int64_t rate = place.state ? limit_of(*place.limits, kind) : 0;
    if (rate > 0) bucket_of(*place.state, kind).correct(rate, -std::min(amount, rate));
  }
}

// Of one kind from all subjects, or from none.
std::optional<Error> Limiter::take(Pass& pass, LimitKind kind, const Subjects& subjects,
                                   std::int64_t amount, TimePoint now, Standing& standing) {
  const bool by_tokens = kind == LimitKind::tokens;
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    if (!pass.places_[i].state) continue;
    const int limit = limit_of(*subjects[i].limits, kind);
    if (limit == 0) continue;
    const auto answer = bucket_of(*pass.places_[i].state, kind).take(limit, amount, now);
    narrow(by_tokens ? standing.tokens : standing.requests, limit, answer);
    if (answer.taken) continue;
    give_back(pass, kind, i, amount);
    return refused(i, subjects[i], kind, amount,
                   std::chrono::ceil<milliseconds>(answer.retry_after));
  }
  return std::nullopt;
}

Result<Pass> Limiter::enter(Pool pool, const Subjects& subjects, std::int64_t tokens, TimePoint now,
                            Standing& standing) {
  Pass pass;
  std::optional<Error> refusal;
  LimitKind at = LimitKind::concurrency;
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    if (!subjects[i].limits || *subjects[i].limits == config::Limits{}) continue;
    State& state = this->state(pool, static_cast<Limited>(i), subjects[i].name);
    const int others = state.under_way.fetch_add(1, std::memory_order_relaxed);
    pass.places_[i] = {&state, subjects[i].limits};
    const int limit = subjects[i].limits->concurrency;
    if (limit > 0 && others >= limit && !refusal)
      refusal = refused(i, subjects[i], LimitKind::concurrency, 1, kAskAgain);
  }
  if (!refusal) {
    at = LimitKind::requests;
    refusal = take(pass, at, subjects, 1, now, standing);
  }
  if (!refusal) {
    at = LimitKind::tokens;
    refusal = take(pass, at, subjects, tokens, now, standing);
    if (refusal) give_back(pass, LimitKind::requests, subjects.size(), 1);
  }
  if (refusal) {
    refused_[static_cast<std::size_t>(at)].fetch_add(1, std::memory_order_relaxed);
    return std::move(*refusal);
  }
  for (auto& allowed : allowed_) allowed.fetch_add(1, std::memory_order_relaxed);
  pass.counted_ = tokens;
  pass.entered_ = now;
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
