#include "config/language/fact.h"

#include <algorithm>
#include <array>

namespace spillway::language {
namespace {

constexpr std::array kRows{
    FactRow{Fact::request_class, "class", Type::text, Of::nothing, true,
            "The name of the request's class."},
    FactRow{Fact::model, "model", Type::text, Of::nothing, true,
            "The model or alias that is asked for."},
    FactRow{Fact::tenant, "tenant", Type::text, Of::nothing, true,
            "The tenant of the caller's key; 'anonymous' without keys. In tests that of `key`."},
    FactRow{Fact::key, "key", Type::text, Of::nothing, true,
            "The name of the caller's key; '' without keys."},
    FactRow{Fact::label, "label", Type::text, Of::nothing, true,
            "The request's x-spillway-label header; '' without one."},
    FactRow{Fact::service_tier, "service_tier", Type::text, Of::nothing, true,
            "The request's service_tier; '' if not given."},
    FactRow{Fact::streaming, "streaming", Type::boolean, Of::nothing, true,
            "The request asks for a stream."},
    FactRow{Fact::prompt_tokens, "prompt_tokens", Type::number, Of::nothing, true,
            "Tokens of the prompt: exact where the local engine may serve the model, else an "
            "estimate."},
    FactRow{Fact::cached_tokens, "cached_tokens", Type::number, Of::nothing, true,
            "Of these, what the local engine has read before for the same tenant and need not read "
            "again."},
    FactRow{Fact::max_tokens, "max_tokens", Type::number, Of::nothing, true,
            "The longest answer that the request allows; infinite if it does not say."},
    FactRow{Fact::expected_tokens, "expected_tokens", Type::number, Of::nothing, true,
            "The expected length of its answer, from answers of late; at most max_tokens."},
    FactRow{Fact::deadline_left, "deadline_left", Type::duration, Of::nothing, true,
            "Time until the answer must be complete: sla.deadline, the request's own, or "
            "limits.request_timeout, less what has passed."},
    FactRow{
        Fact::budget_left, "budget_left", Type::number, Of::nothing, true,
        "The share of the budgets of tenant and key, by day and by month, that is neither spent "
        "nor held by running requests, 0 to 1: the smallest of them; 1 without budgets."},
    FactRow{Fact::sla_ttft, "sla.ttft", Type::duration, Of::nothing, false,
            "The promised time to the first token; infinite without a promise."},
    FactRow{Fact::sla_per_token, "sla.per_token", Type::duration, Of::nothing, false,
            "The promised time of each further token; infinite without a promise."},
    FactRow{Fact::queue_requests, "queue.requests", Type::number, Of::nothing, true,
            "Requests that wait for a place in the local engine's batch."},
    FactRow{Fact::queue_tokens, "queue.tokens", Type::number, Of::nothing, true,
            "Prompt tokens that the local engine has not read yet, waiting and begun."},
    FactRow{Fact::running_requests, "running.requests", Type::number, Of::nothing, true,
            "Requests in the local engine's batch."},
    FactRow{Fact::kv_free, "kv.free", Type::number, Of::nothing, true,
            "The share of the local engine's KV cache that is free, 0 to 1; 20% is 0.2."},
    FactRow{Fact::time, "time", Type::time_of_day, Of::nothing, true,
            "The time of day by the machine's clock and time zone: time >= 22:00 or time < 06:00."},
    FactRow{Fact::weekday, "weekday", Type::text, Of::nothing, true,
            "'mon', 'tue', 'wed', 'thu', 'fri', 'sat' or 'sun', as time."},
    FactRow{Fact::available, "available", Type::boolean, Of::target, true,
            "The target can take this request now: up, not full, no open breaker, no rate limit, "
            "able to answer its kind, and where class and key let its data go."},
    FactRow{Fact::meets_sla, "meets_sla", Type::boolean, Of::target, false,
            "It can take it and is expected to keep every promise (local: with ttft_headroom)."},
    FactRow{Fact::predicted_ttft, "predicted_ttft", Type::duration, Of::target, true,
            "Time to the first token: local from the engine's exact state, a provider's P90 of "
            "late. Infinite while the target cannot take the request."},
    FactRow{Fact::predicted_finish, "predicted_finish", Type::duration, Of::target, true,
            "Time to the last token, likewise, for the expected length of the answer."},
    FactRow{Fact::price, "price", Type::money, Of::target, false,
            "What this request is expected to cost there; local: 0usd."},
    FactRow{Fact::price_per_1k_input, "price_per_1k_input", Type::money, Of::target, false,
            "The target's price of 1,000 prompt tokens."},
    FactRow{Fact::price_per_1k_output, "price_per_1k_output", Type::money, Of::target, false,
            "The target's price of 1,000 completion tokens."},
    FactRow{Fact::ttft_p50, "ttft_p50", Type::duration, Of::provider, true,
            "Half of a provider's first tokens of late came within this time."},
    FactRow{Fact::ttft_p99, "ttft_p99", Type::duration, Of::provider, true,
            "99 of 100 of a provider's first tokens of late came within this time."},
    FactRow{Fact::tokens_per_second, "tokens_per_second", Type::number, Of::provider, true,
            "A provider's rate of one answer, of late."},
    FactRow{Fact::in_flight, "in_flight", Type::number, Of::provider, true,
            "Requests that are open at a provider."},
    FactRow{Fact::quality, "quality", Type::number, Of::provider, false,
            "A provider's measured.quality."},
    FactRow{Fact::residency, "residency", Type::text, Of::provider, false,
            "A provider's residency; '' if not said."},
};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<std::size_t>(kRows[i].fact) != i) return false;
  }
  return kRows.size() == static_cast<std::size_t>(Fact::residency) + 1;
}
static_assert(in_order());

}  // namespace

std::string_view name_of(Type type) {
  switch (type) {
    case Type::boolean: return "a condition";
    case Type::number: return "a number";
    case Type::duration: return "a duration";
    case Type::money: return "an amount of money";
    case Type::time_of_day: return "a time of day";
    case Type::text: break;
  }
  return "a text";
}

std::span<const FactRow> fact_rows() { return kRows; }

std::span<const std::string_view> weekdays() {
  static constexpr std::array<std::string_view, 7> kNames{"mon", "tue", "wed", "thu",
                                                          "fri", "sat", "sun"};
  return kNames;
}

std::optional<int> weekday_named(std::string_view name) {
  const auto names = weekdays();
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? std::nullopt
                              : std::optional(static_cast<int>(found - names.begin()));
}

const FactRow& row_of(Fact fact) { return kRows[static_cast<std::size_t>(fact)]; }

const FactRow* find_fact(std::string_view word) {
  const auto found = std::find_if(kRows.begin(), kRows.end(),
                                  [&](const FactRow& row) { return row.word == word; });
  return found == kRows.end() ? nullptr : &*found;
}

std::optional<int> Targets::number_of(std::string_view name) const {
  if (!local.empty() && name == local) return 0;
  const auto found = std::find(providers.begin(), providers.end(), name);
  if (found != providers.end()) return static_cast<int>(found - providers.begin()) + 1;
  return !local.empty() && name == "local" ? std::optional(0) : std::nullopt;
}

std::vector<std::string> Targets::names() const {
  std::vector<std::string> names = providers;
  if (!local.empty()) names.insert(names.begin(), local);
  return names;
}

}  // namespace spillway::language
