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

std::string why_not(const ConsideredTarget& one, const ConsideredTarget* taken) {
  if (!one.fits || taken == nullptr) return std::string(one.verdict);
  std::string why(one.verdict);
  if (one.cost_nano_usd > taken->cost_nano_usd) return why + ", but costs more";
  if (one.finish > taken->finish) return why + ", but is slower";
  return why + "; stands behind";
}

void append_attempts(std::string& text, const std::vector<DecisionAttempt>& attempts) {
  if (attempts.size() < 2) return;
  text += "attempts    ";
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    if (i > 0) text += ", then ";
    text += attempts[i].target;
    if (attempts[i].failure) append(text, " (%s)", name_of(*attempts[i].failure).data());
  }
  text += "\n";
}

}  // namespace

std::string told(const std::vector<ConsideredTarget>& considered, std::string_view taken) {
  std::string text;
  const auto found = std::find_if(considered.begin(), considered.end(),
                                  [&](const auto& one) { return one.target == taken; });
  const ConsideredTarget* const chosen = found == considered.end() ? nullptr : &*found;
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

std::string told(const Decision& decision) {
  std::string text;
  append(text, "request     %s, model %s, class %s\n", decision.id.c_str(), decision.model.c_str(),
         decision.request_class.empty() ? "-" : decision.request_class.c_str());
  append(text, "went to     %s", decision.target.empty() ? "nobody" : decision.target.c_str());
  if (!decision.reason.empty()) append(text, ", reason %s", decision.reason.c_str());
  if (!decision.rule.empty()) append(text, ", by rule `%s`", decision.rule.c_str());
  append(text, " (status %d)\n", decision.status);
  append_attempts(text, decision.attempts);
  text += "decision    " + decision.explanation + "\n";
  if (!decision.rule_facts.empty()) text += "rules saw   " + decision.rule_facts + "\n";
  if (decision.predicted_ttft || decision.ttft)
    append(text, "first token predicted %s, came after %s\n",
           seconds(decision.predicted_ttft.value_or(0.0)).c_str(),
           seconds(decision.ttft.value_or(0.0)).c_str());
  const auto chosen = std::find_if(decision.considered.begin(), decision.considered.end(),
                                   [&](const auto& one) { return one.target == decision.target; });
  if (chosen != decision.considered.end())
    append(text,
           "last token  predicted %s, came after %s\nprice       predicted %.6fusd, was %.6fusd\n",
           seconds(chosen->finish).c_str(), seconds(decision.total).c_str(),
           static_cast<double>(chosen->cost_nano_usd) * 1e-9,
           static_cast<double>(decision.cost_nano_usd) * 1e-9);
  if (decision.considered.empty()) return text;
  return text + "\n" + told(decision.considered, decision.target);
}

}  // namespace spillway::admin
