// The facts that a policy's rules may ask for, one row each: its word, its type, whether it is
// asked of a target, and a sentence. The language checks types by this table, the reference page
// prints it; gateway/policy/rule_facts.h gives the values. Immutable; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::language {

// Numbers are doubles: durations in seconds, money in nano-USD, times of day in seconds since
// midnight.
enum class Type : std::uint8_t { boolean, number, duration, money, time_of_day, text };

// "a duration": for messages.
std::string_view name_of(Type type);

// What stands in the parentheses behind a fact's word.
enum class Of : std::uint8_t { nothing, target, provider };

enum class Fact : std::uint8_t {
  request_class,
  model,
  tenant,
  key,
  label,
  service_tier,
  streaming,
  prompt_tokens,
  cached_tokens,
  max_tokens,
  expected_tokens,
  deadline_left,
  budget_left,
  sla_ttft,
  sla_per_token,
  queue_requests,
  queue_tokens,
  running_requests,
  kv_free,
  time,
  weekday,
  available,
  meets_sla,
  predicted_ttft,
  predicted_finish,
  price,
  price_per_1k_input,
  price_per_1k_output,
  ttft_p50,
  ttft_p99,
  tokens_per_second,
  in_flight,
  quality,
  residency,
};

struct FactRow {
  Fact fact;
  std::string_view word;
  Type type;
  Of of;
  bool givable;  // By a policy's test.
  std::string_view sentence;
};

// In the order of the enumerators.
std::span<const FactRow> fact_rows();

// What the fact `weekday` may be, from Monday.
std::span<const std::string_view> weekdays();
std::optional<int> weekday_named(std::string_view name);
const FactRow& row_of(Fact fact);

// "queue.tokens", or null.
const FactRow* find_fact(std::string_view word);

// The targets that facts may be asked of. Targets are numbered: 0 is the local engine, n + 1 is
// provider n. The engine also answers to `local`, unless a provider is called so.
struct Targets {
  std::string local;  // Empty: there is none.
  std::vector<std::string> providers;

  std::optional<int> number_of(std::string_view name) const;
  std::vector<std::string> names() const;
};

// One fact, of one target where it is asked of any.
struct FactRef {
  Fact fact = Fact::request_class;
  int target = -1;
  bool operator==(const FactRef&) const = default;
};

}  // namespace spillway::language
