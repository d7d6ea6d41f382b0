#include "gateway/policy/plan.h"

#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <string>

namespace spillway::policy {
namespace {

[[gnu::format(printf, 2, 3)]] void append(std::string& line, const char* format, ...) {
  char text[160];
  va_list arguments;
  va_start(arguments, format);
  const int length = std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (length > 0) line.append(text, std::min<std::size_t>(length, sizeof text - 1));
}

void append_limit(std::string& line, const char* name,
                  const std::optional<config::Milliseconds>& limit) {
  if (limit) append(line, " %s≤%lldms", name, static_cast<long long>(limit->count()));
}

void append_request(std::string& line, const Plan& plan, const RequestFacts& request) {
  line += "class ";
  line += plan.request_class->name;
  append_limit(line, "ttft", plan.sla.ttft);
  append_limit(line, "per_token", plan.sla.per_token);
  append_limit(line, "deadline", plan.sla.deadline);
  if (plan.request_class->promise_price_max)
    append(line, " promise≤$%.6f",
           1e-9 * static_cast<double>(*plan.request_class->promise_price_max));
  append(line, ", %d prompt tokens", request.prompt_tokens);
  if (request.completion_tokens_max) append(line, " + up to %d", *request.completion_tokens_max);
}

void append_choice(std::string& line, const Plan& plan) {
  line += plan.wait ? " → held" : " → ";
  for (std::size_t i = 0; i < plan.candidates.size(); ++i) {
    if (i > 0) line += ", then ";
    line += plan.candidates[i].target;
  }
  line += " (";
  line += name_of(plan.reason);
  if (!plan.rule.empty()) {
    line += " ";
    line += plan.rule;
  }
  line += ")";
}

void append_engine(std::string& line, const Plan& plan, const FleetFacts& fleet) {
  if (!fleet.local) return;
  const EngineStatus& engine = *fleet.local;
  append(line, " [running %zu/%d, waiting %zu/%d, kv free %d/%d", engine.running.size(),
         engine.sequences_max, engine.waiting.size(), engine.waiting_max, engine.kv_tokens_free,
         engine.kv_tokens_total);
  if (plan.local) {
    append(line, ", queue %.0fms, %.1fms a token, finish %.2fs%s, correction %.2f",
           1e3 * plan.local->queue, 1e3 * plan.local->per_token, plan.local->finish,
           plan.local->exact ? "" : " (estimate)", fleet.ttft_correction);
  }
  line += "]";
}

void append_verdict(std::string& line, const Alternative& alternative) {
  line += "; ";
  line += alternative.target;
  line += ": ";
  line += sentence_of(alternative);
}

void append_alternative(std::string& line, const Plan& plan, const Alternative& alternative,
                        bool local) {
  append_verdict(line, alternative);
  const double ttft = local && plan.local ? plan.local->ttft : alternative.ttft;
  if (ttft > 0.0) append(line, ", ttft %s %.0fms", local ? "predicted" : "p90", 1e3 * ttft);
  if (local && plan.local) append(line, " (95 %%: %.0fms)", 1e3 * plan.local->ttft_bound);
  if (alternative.in_time < 1.0) append(line, ", in time %.0f %%", 100.0 * alternative.in_time);
  if (alternative.cached_tokens > 0) append(line, ", %d cached", alternative.cached_tokens);
  if (alternative.expected_cost > 0) {
    append(line, ", $%.6f", static_cast<double>(alternative.expected_cost) * 1e-9);
  }
}

}  // namespace

std::string explain(const Plan& plan, const RequestFacts& request, const FleetFacts& fleet) {
  std::string line;
  line.reserve(512);
  append_request(line, plan, request);
  append_choice(line, plan);
  for (const Alternative& alternative : plan.considered) {
    const auto& locals = plan.settings->local;
    const bool local = !locals.empty() && alternative.target == locals.front().name;
    append_alternative(line, plan, alternative, local);
    if (local) append_engine(line, plan, fleet);
  }
  return line;
}

std::string explain(const Error& refusal, std::span<const Alternative> considered) {
  std::string line = refusal.message;
  for (const Alternative& alternative : considered) append_verdict(line, alternative);
  return line;
}

}  // namespace spillway::policy
