#include "gateway/request/notes.h"

#include "gateway/policy/classes.h"
#include "gateway/policy/price.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {
namespace {

constexpr std::size_t kClientIdBytesMax = 512;

// A client's own id goes into the log only if it is short and plain.
std::string client_id(std::string_view given) {
  const bool plain =
      std::all_of(given.begin(), given.end(), [](char c) { return c > ' ' && c < 127; });
  return plain && given.size() <= kClientIdBytesMax ? std::string(given) : std::string();
}

// Names come from a client, and go into a header: what no field is called does not.
std::string listed(const std::vector<std::string>& fields) {
  constexpr std::size_t kBytesMax = 512;
  std::string list;
  for (const std::string& field : fields) {
    const std::string_view comma = list.empty() ? "" : ", ";
    list.append(comma);
    if (list.size() + field.size() > kBytesMax) return list + "...";
    for (const char c : field)
      list +=
          std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.' ? c : '?';
  }
  return list;
}

std::optional<double> seconds(const std::optional<config::Milliseconds>& limit) {
  if (!limit) return std::nullopt;
  return std::chrono::duration<double>(*limit).count();
}

bool is_available(policy::Verdict verdict) {
  switch (verdict) {
    case policy::Verdict::queue_full:
    case policy::Verdict::busy:
    case policy::Verdict::rate_limited:
    case policy::Verdict::breaker_open:
    case policy::Verdict::account_refused:
    case policy::Verdict::incapable:
    case policy::Verdict::not_ready: return false;
    default: return true;
  }
}

void note_considered(std::span<const policy::Alternative> considered, Receipt& receipt) {
  receipt.considered.clear();
  for (const policy::Alternative& one : considered) {
    receipt.considered.push_back({.target = std::string(one.target),
                                  .verdict = policy::sentence_of(one),
                                  .fits = one.verdict == policy::Verdict::fits,
                                  .ttft = one.ttft,
                                  .finish = one.finish,
                                  .cost_nano_usd = one.expected_cost,
                                  .too_dear_a_promise = one.too_dear_a_promise,
                                  .available = is_available(one.verdict)});
  }
}

}  // namespace

Receipt open_receipt(const http::Request& raw) {
  Receipt receipt;
  receipt.request_id = raw.id;
  receipt.client_request_id = client_id(raw.header("x-client-request-id"));
  receipt.endpoint = raw.path;
  receipt.label = raw.header("x-spillway-label");
  receipt.arrived = raw.arrived;
  receipt.decided = raw.arrived;
  return receipt;
}

void note(const policy::Caller& caller, Receipt& receipt) {
  receipt.tenant = caller.tenant();
  receipt.key_name = caller.name();
  if (caller.key) receipt.project = caller.key->project;
}

void note(const ChatRequest& request, Receipt& receipt) {
  receipt.model_requested = request.model;
  receipt.tokens_max = request.sampling.tokens_max;
  receipt.stream = request.stream;
}

void note(const policy::Plan& plan, const policy::RequestFacts& facts,
          const policy::FleetFacts& fleet, Receipt& receipt) {
  receipt.request_class = plan.request_class->name;
  receipt.service_tier = policy::tier_served(*plan.request_class, facts.service_tier);
  receipt.reason = policy::name_of(plan.reason);
  receipt.rule = plan.rule;
  receipt.could_stay = plan.could_stay;
  receipt.explanation = policy::explain(plan, facts, fleet);
  note_considered({plan.considered.begin(), plan.considered.size()}, receipt);
  receipt.sla_ttft = seconds(plan.sla.ttft);
  receipt.has_own_limits = policy::asks_for_less(*plan.request_class, facts);
  receipt.sla_per_token = seconds(plan.sla.per_token);
  receipt.usage.prompt_tokens = facts.prompt_tokens;
  if (!plan.wait && plan.local && plan.candidates.front().local &&
      plan.candidates.front().lane == Lane::foreground) {
    receipt.predicted = plan.local;
  }
}

void note(const Error& refusal, const policy::RuleReport& report, Receipt& receipt) {
  receipt.explanation = policy::explain(refusal, report.considered);
  note_considered(report.considered, receipt);
}

void note_local_price(const config::Settings& settings, const EngineStatus& engine,
                      const policy::RequestFacts& facts, Receipt& receipt) {
  if (settings.local.empty()) return;
  const std::int64_t most = std::int64_t{facts.prompt_tokens} +
                            facts.completion_tokens_max.value_or(policy::kCompletionTokensAssumed);
  const int context = static_cast<int>(std::clamp<std::int64_t>(most, 0, engine.context_max));
  receipt.local_price =
      policy::local_price(policy::hourly_cost(settings.local.front()), engine, context);
}

void note(const policy::RuleReport& rules, Receipt& receipt) {
  receipt.rule_facts.clear();
  for (const policy::ToldFact& fact : rules.facts) {
    if (!receipt.rule_facts.empty()) receipt.rule_facts += ", ";
    receipt.rule_facts += fact.name + " = " + fact.value;
  }
  receipt.rule = rules.decider;
}

Part& add_part(const policy::Candidate& asked, const ChatRequest& request, Receipt& receipt) {
  Part& part = receipt.parts.emplace_back(Part{.target = std::string(asked.target),
                                               .model = std::string(asked.model),
                                               .local = asked.local});
  part.usage.prompt_tokens = receipt.usage.prompt_tokens + asked.form_tokens;
  begin(request, part);
  return part;
}

void note(const Opened& opened, const ChatRequest& request, Receipt& receipt) {
  const policy::Candidate& served_by = opened.candidate;
  const bool is_first = std::all_of(receipt.parts.begin(), receipt.parts.end(),
                                    [](const Part& part) { return part.lost; });
  Part& part = add_part(served_by, request, receipt);
  if (opened.visit) part.bytes_per_token = opened.visit->bytes_per_token();
  if (!is_first) return;
  receipt.target = served_by.target;
  receipt.model_served = served_by.model;
  receipt.served_locally = served_by.local;
  receipt.left_out = listed(opened.left_out);
  receipt.left_out_fields = static_cast<int>(opened.left_out.size());
}

void note(const Approach& approach, const std::optional<Error>& failure, Receipt& receipt) {
  receipt.asked_provider |= approach.visited;
  Attempt& attempt = receipt.attempts.emplace_back();
  attempt.target = approach.candidate.target;
  attempt.server = approach.address;
  attempt.seconds = approach.seconds;
  if (!failure) return;
  attempt.failure = failure->code;
  attempt.cause = failure->message;
  attempt.paused = approach.paused;
}

void add_up(Receipt& receipt) {
  receipt.completion_pieces = 0;
  for (Part& part : receipt.parts) {
    settle(part);
    receipt.completion_pieces += part.lost ? 0 : part.pieces;
  }
  if (!receipt.parts.empty()) receipt.usage = answer_of(receipt.parts);
}

void describe_serving(const Receipt& receipt, http::ResponseWriter& out) {
  if (out.head_sent()) return;
  const auto spent = SteadyClock::now() - receipt.arrived;
  const auto spent_ms = std::chrono::duration_cast<std::chrono::milliseconds>(spent).count();
  out.set_header("openai-processing-ms", std::to_string(spent_ms));
  out.set_header("openai-version", "2020-10-01");
  if (!receipt.tenant.empty()) out.set_header("openai-organization", receipt.tenant);
}

void describe(const Receipt& receipt, http::ResponseWriter& out) {
  if (out.head_sent()) return;
  describe_serving(receipt, out);
  out.set_header("x-spillway-target", receipt.target);
  out.set_header("x-spillway-reason", receipt.reason);
  out.set_header("x-spillway-class", receipt.request_class);
  if (!receipt.rule.empty()) out.set_header("x-spillway-rule", receipt.rule);
  if (!receipt.left_out.empty()) out.set_header("x-spillway-left-out", receipt.left_out);
  if (!receipt.budget_warning.empty())
    out.set_header("x-spillway-budget-warning", receipt.budget_warning);
}

int tokens_seen(const Receipt& receipt) {
  if (receipt.error) return 0;
  std::size_t bytes = 0;
  for (const Part& part : receipt.parts) bytes += part.lost ? 0 : part.bytes;
  const auto most = static_cast<std::size_t>(std::max(0, receipt.usage.completion_tokens));
  return static_cast<int>(std::min(most, std::max<std::size_t>(bytes, receipt.parts.size())));
}

}  // namespace spillway
