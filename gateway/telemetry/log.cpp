#include "gateway/telemetry/log.h"

#include "gateway/telemetry/derived.h"
#include "gateway/telemetry/json_line.h"

#include <algorithm>
#include <array>
#include <ctime>

namespace spillway::telemetry {
namespace {

constexpr std::string_view kLevels[] = {"debug", "info", "warn", "error"};

constexpr std::size_t kDateLength = 19;                        // 2026-01-31T09:05:00
constexpr std::size_t kStampLength = kDateLength + 1 + 9 + 1;  // .123456789Z

// Now, as RFC 3339 in UTC with nanoseconds. The date is written once a second and thread.
std::string_view timestamp() {
  thread_local std::array<char, kStampLength + 1> stamp{};
  thread_local std::time_t written = -1;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (now.tv_sec != written) {
    tm utc{};
    gmtime_r(&now.tv_sec, &utc);
    std::strftime(stamp.data(), stamp.size(), "%Y-%m-%dT%H:%M:%S", &utc);
    stamp[kDateLength] = '.';
    stamp[kStampLength - 1] = 'Z';
    written = now.tv_sec;
  }
  long rest = now.tv_nsec;
  for (std::size_t at = kStampLength - 2; at > kDateLength; --at, rest /= 10) {
    stamp[at] = static_cast<char>('0' + rest % 10);
  }
  return {stamp.data(), kStampLength};
}

// The thread's line, so that no request pays for its memory.
JsonLine& begin_line(Level level, std::string_view message) {
  thread_local JsonLine line;
  line.clear();
  line.text("ts", timestamp());
  line.text("level", name_of(level));
  line.text("msg", message);
  return line;
}

Level level_for(const Receipt& receipt) {
  if (receipt.error && receipt.error->code == Errc::internal) return Level::error;
  const bool target_failed =
      receipt.attempts.size() > 1 || (!receipt.attempts.empty() && receipt.error);
  const bool gone = receipt.error && receipt.error->code == Errc::cancelled;
  if (receipt.http_status >= 500 || (target_failed && !gone)) return Level::warn;
  return Level::info;
}

void add_given(JsonLine& line, std::string_view name, const std::string& value) {
  if (!value.empty()) line.text(name, value);
}

void add_milliseconds(JsonLine& line, std::string_view name, std::optional<double> seconds) {
  if (seconds) line.decimal(name, *seconds * 1e3);
}

void add_who(JsonLine& line, const Receipt& receipt) {
  line.text("request_id", receipt.request_id);
  add_given(line, "client_request_id", receipt.client_request_id);
  add_given(line, "tenant", receipt.tenant);
  add_given(line, "key_name", receipt.key_name);
  line.text("endpoint", receipt.endpoint);
  line.flag("stream", receipt.stream);
}

// Whoever refuses a request may quote it.
bool is_about_the_target(Errc failure) {
  constexpr std::array kSuch = {Errc::backend_unavailable, Errc::account_refused,
                                Errc::rate_limited, Errc::deadline_exceeded, Errc::overloaded};
  return std::find(kSuch.begin(), kSuch.end(), failure) != kSuch.end();
}

std::string told_of(const Attempt& attempt, bool all) {
  if (!attempt.failure || all) return attempt.cause;
  return is_about_the_target(*attempt.failure) ? without_its_words(attempt.cause) : "";
}

void add_attempts(JsonLine& line, const Receipt& receipt, bool with_causes) {
  if (receipt.attempts.empty()) return;
  line.open_array("attempts");
  for (const Attempt& attempt : receipt.attempts) {
    line.next_object();
    line.text("target", attempt.target);
    add_given(line, "server", attempt.server);
    if (attempt.failure) line.text("failure", name_of(*attempt.failure));
    add_given(line, "cause", told_of(attempt, with_causes));
    line.decimal("ms", attempt.seconds * 1e3);
  }
  line.close_array();
  if (receipt.retries_used_up) line.flag("retry_budget_exhausted", true);
}

// With what a policy needs to decide again (read_log.h).
void add_considered(JsonLine& line, const Receipt& receipt) {
  if (receipt.considered.empty()) return;
  line.open_array("considered");
  for (const ConsideredTarget& one : receipt.considered) {
    line.next_object();
    line.text("target", one.target);
    line.text("verdict", one.verdict);
    if (!one.available) line.flag("available", false);
    if (one.ttft > 0.0) line.decimal("ttft_ms", one.ttft * 1e3);
    if (one.finish > 0.0) line.decimal("finish_ms", one.finish * 1e3);
  }
  line.close_array();
}

void add_route(JsonLine& line, const Receipt& receipt) {
  add_given(line, "model_requested", receipt.model_requested);
  add_given(line, "label", receipt.label);
  add_given(line, "service_tier", receipt.service_tier);
  if (receipt.tokens_max) line.integer("tokens_max", *receipt.tokens_max);
  add_given(line, "model_served", receipt.model_served);
  add_given(line, "class", receipt.request_class);
  add_given(line, "target", receipt.target);
  add_given(line, "reason", receipt.reason);
  add_given(line, "rule", receipt.rule);
  if (receipt.canary != 0) line.flag("canary", true);
  add_given(line, "explanation", receipt.explanation);
  add_considered(line, receipt);
}

void add_work(JsonLine& line, const Receipt& receipt) {
  line.integer("prompt_tokens", receipt.usage.prompt_tokens);
  line.integer("completion_tokens", receipt.usage.completion_tokens);
  line.integer("cached_tokens", receipt.usage.cached_tokens);
  line.integer("cost_nano_usd", receipt.cost_nano_usd);
  line.integer("avoided_nano_usd", receipt.avoided_nano_usd);
}

void add_times(JsonLine& line, const Receipt& receipt) {
  if (receipt.predicted) line.decimal("predicted_ttft_ms", receipt.predicted->ttft * 1e3);
  if (receipt.first_token) line.decimal("ttft_ms", receipt.seconds_to_first_token() * 1e3);
  add_milliseconds(line, "per_token_ms", seconds_per_token(receipt));
  if (receipt.held_seconds > 0.0) line.decimal("held_ms", receipt.held_seconds * 1e3);
  line.decimal("total_ms", receipt.seconds_total() * 1e3);
  line.decimal("overhead_us", own_seconds(receipt) * 1e6);
}

void add_outcome(JsonLine& line, const Receipt& receipt) {
  line.integer("status", receipt.http_status);
  if (receipt.unkept) line.flag("unkept", true);
  if (!receipt.error) return;
  line.text("error_type", name_of(receipt.error->code));
  add_given(line, "error_param", receipt.error->param);
}

}  // namespace

std::optional<Level> level_of(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kLevels); ++i) {
    if (kLevels[i] == name) return static_cast<Level>(i);
  }
  return std::nullopt;
}

std::string_view name_of(Level level) { return kLevels[static_cast<std::size_t>(level)]; }

std::string without_its_words(const std::string& cause) {
  const auto name_end = cause.find(": ");
  return cause.substr(0, name_end == cause.npos ? cause.npos : cause.find(": ", name_end + 2));
}

Log::Log(int descriptor, Level least, std::size_t bytes_max)
    : least_(least), writer_(descriptor, bytes_max) {}

void Log::request(const Receipt& receipt) {
  const Level level = level_for(receipt);
  const Level least = least_.load(std::memory_order_relaxed);
  if (level < least) return;
  JsonLine& line = begin_line(level, "request");
  add_who(line, receipt);
  add_route(line, receipt);
  add_attempts(line, receipt, least == Level::debug);
  add_work(line, receipt);
  add_times(line, receipt);
  add_outcome(line, receipt);
  writer_.write(line.finish());
}

void Log::event(Level level, std::string_view message, std::initializer_list<Field> fields) {
  if (level < least_.load(std::memory_order_relaxed)) return;
  JsonLine& line = begin_line(level, message);
  for (const Field& field : fields) {
    if (const auto* text = std::get_if<std::string>(&field.value)) line.text(field.name, *text);
    if (const auto* whole = std::get_if<std::int64_t>(&field.value))
      line.integer(field.name, *whole);
    if (const auto* number = std::get_if<double>(&field.value)) line.decimal(field.name, *number);
  }
  writer_.write(line.finish());
}

}  // namespace spillway::telemetry
