#include "gateway/admin/decision_text.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace spillway::admin {
namespace {

[[gnu::format(printf, 2, 3)]] void append(std::string& text, const char* how, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, how);
  const int length = std::vsnprintf(line, sizeof line, how, arguments);
  va_end(arguments);
  if (length > 0) text.append(line, std::min<std::size_t>(length, sizeof line - 1));
}

std::string seconds(double value) {
  if (value <= 0.0) return "-";
  char text[32];
  std::snprintf(text, sizeof text, value < 10.0 ? "%.3f s" : "%.1f s", value);
  return text;
}

// Clients write some of it: no line of theirs may look like one of ours.
std::string in_one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 127; }, '?');
  return text;
}

std::string why_not(const ConsideredTarget& one, const ConsideredTarget* taken) {
  if (!one.fits || one.too_dear_a_promise || taken == nullptr) return std::string(one.verdict);
  std::string why(one.verdict);
  if (one.cost_nano_usd > taken->cost_nano_usd) return why + ", but costs more";
  if (one.finish > taken->finish) return why + ", but is slower";
  return why + "; stands behind";
}

void append_attempts(std::string& text, const Decision& decision) {
  const std::vector<DecisionAttempt>& attempts = decision.attempts;
  const bool is_plain =
      attempts.size() == 1 && attempts.front().server.empty() && !attempts.front().failure;
  if (attempts.empty() || is_plain) return;
  text += "attempts    ";
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    if (i > 0) text += ", then ";
    text += attempts[i].target;
    if (!attempts[i].server.empty()) text += " at " + attempts[i].server;
    if (!attempts[i].failure) continue;
    const std::string& cause = attempts[i].cause;
    text += " (" + (cause.empty() ? std::string(name_of(*attempts[i].failure)) : cause) + ")";
  }
  if (decision.retries_used_up) text += ", then no other: the retry budget is used up";
  text += "\n";
}

const ConsideredTarget* find(const std::vector<ConsideredTarget>& all, std::string_view target) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.target == target; });
  return found == all.end() ? nullptr : &*found;
}

// What was predicted beside what came.
void append_outcome(std::string& text, const Decision& decision) {
  const ConsideredTarget* const taken = find(decision.considered, decision.target);
  if (taken == nullptr) return;
  const double ttft = decision.predicted_ttft.value_or(taken->ttft);
  if (decision.ttft)
    append(text, "first token predicted %s, came after %s\n", seconds(ttft).c_str(),
           seconds(*decision.ttft).c_str());
  append(text, "last token  predicted %s, came after %s\n", seconds(taken->finish).c_str(),
         seconds(decision.total).c_str());
  append(text, "price       predicted %.6fusd, was %.6fusd\n",
         static_cast<double>(taken->cost_nano_usd) * 1e-9,
         static_cast<double>(decision.cost_nano_usd) * 1e-9);
}

void append_shadow(std::string& text, const ShadowChoice& shadow) {
  append(text, "shadow      %s %s, ", shadow.differs ? "would begin with" : "agrees on",
         shadow.target.c_str());
  text += in_one_line(shadow.reason);
  if (!shadow.rule.empty()) append(text, ", by rule `%s`", shadow.rule.c_str());
  append(text, ", price predicted %.6fusd\n", static_cast<double>(shadow.cost) * 1e-9);
}

}  // namespace

std::string told(const std::vector<ConsideredTarget>& considered, std::string_view taken) {
  std::string text;
  const ConsideredTarget* const chosen = find(considered, taken);
  append(text, "%-20s %12s %12s %14s\n", "target", "first token", "finish", "price");
  for (const ConsideredTarget& one : considered) {
    const bool is_taken = one.target == taken;
    append(
        text, "%-20s %12s %12s %11.6fusd  %s\n", one.target.c_str(), seconds(one.ttft).c_str(),
        seconds(one.finish).c_str(), static_cast<double>(one.cost_nano_usd) * 1e-9,
        is_taken ? (std::string(one.verdict) + ": taken").c_str() : why_not(one, chosen).c_str());
  }
  return text;
}

std::string told(const Decision& decision, const std::optional<ShadowChoice>& shadow) {
  std::string text;
  append(text, "request     %s, model %s, class %s\n", decision.id.c_str(),
         in_one_line(decision.model).c_str(),
         decision.request_class.empty() ? "-" : decision.request_class.c_str());
  append(text, "went to     %s", decision.target.empty() ? "nobody" : decision.target.c_str());
  if (!decision.reason.empty()) append(text, ", reason %s", decision.reason.c_str());
  if (!decision.rule.empty()) append(text, ", by rule `%s`", decision.rule.c_str());
  if (decision.canary) text += ", under the canary";
  append(text, " (status %d)\n", decision.status);
  append_attempts(text, decision);
  text += "decision    " + in_one_line(decision.explanation) + "\n";
  if (!decision.rule_facts.empty())
    text += "rules saw   " + in_one_line(decision.rule_facts) + "\n";
  append_outcome(text, decision);
  if (shadow) append_shadow(text, *shadow);
  if (!decision.considered.empty()) text += "\n" + told(decision.considered, decision.target);
  return text;
}

}  // namespace spillway::admin
