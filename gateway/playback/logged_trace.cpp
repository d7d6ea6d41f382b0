#include "gateway/playback/logged_trace.h"

#include "backends/contract/need.h"
#include "config/named.h"
#include "gateway/policy/classes.h"
#include "gateway/policy/facts.h"
#include "gateway/policy/plan.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

namespace spillway {
namespace {

using telemetry::LoggedRequest;

// Of the requests it was asked, at one target.
struct Seen {
  std::vector<double> first_tokens;  // Seconds, at the reference prompt.
  double rate_sum = 0.0;             // Of streams, in tokens a second.
  int rates = 0;
  int attempts = 0;
  int failures = 0;
};

bool is_text(const LoggedRequest& logged) {
  constexpr std::array kOthers = {Endpoint::embeddings, Endpoint::moderations, Endpoint::rerank};
  return std::none_of(kOthers.begin(), kOthers.end(),
                      [&](Endpoint one) { return logged.endpoint.ends_with(name_of(one)); });
}

bool is_of_its_class_by_itself(const LoggedRequest& logged, const config::Settings& in_force) {
  policy::RequestFacts facts;
  facts.model = logged.model;
  facts.service_tier = logged.service_tier;
  facts.endpoint = logged.endpoint;
  facts.label = logged.label;
  facts.key = config::named(in_force.keys, logged.key_name);
  const auto by_itself = policy::class_of(in_force, facts);
  return by_itself && (*by_itself)->name == logged.request_class;
}

simulate::TraceRow row_of(const LoggedRequest& logged, const config::Settings& in_force,
                          simulate::Words& words) {
  simulate::TraceRow row;
  row.at = logged.arrived;
  row.prompt_tokens = std::max(1, logged.prompt_tokens);
  row.completion_tokens = std::max(1, logged.completion_tokens);
  const bool by_itself = is_of_its_class_by_itself(logged, in_force);
  row.row_class = by_itself ? simulate::RowClass::interactive : simulate::RowClass::named;
  row.told.request_class = words.place_of(by_itself ? "" : logged.request_class);
  row.told.key = words.place_of(logged.key_name);
  row.told.tenant = words.place_of(logged.key_name.empty() ? "" : logged.tenant);
  row.told.model = words.place_of(logged.model);
  row.told.label = words.place_of(logged.label);
  row.told.service_tier = words.place_of(logged.service_tier);
  row.told.tokens_max = logged.tokens_max.value_or(0);
  row.told.streaming = logged.streaming;
  const config::Key* const key = config::named(in_force.keys, logged.key_name);
  row.told.local_only = logged.reason == policy::name_of(policy::Reason::local_only) &&
                        !(key != nullptr && key->local_only);
  return row;
}

double quantile(std::vector<double>& sorted, double share) {
  return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
}

simulate::MeasuredCloud summed_up(Seen& seen) {
  std::sort(seen.first_tokens.begin(), seen.first_tokens.end());
  simulate::MeasuredCloud measured;
  measured.answers = static_cast<int>(seen.first_tokens.size());
  if (measured.answers > 0) measured.ttft_p50 = quantile(seen.first_tokens, 0.5);
  if (measured.answers > 0) measured.ttft_p99 = quantile(seen.first_tokens, 0.99);
  if (seen.rates > 0) measured.tokens_per_second = seen.rate_sum / seen.rates;
  if (seen.attempts > 0)
    measured.failure_share = static_cast<double>(seen.failures) / seen.attempts;
  return measured;
}

}  // namespace

simulate::RecordedTrace trace_of_log(std::span<const LoggedRequest> log,
                                     const config::Settings& in_force) {
  simulate::RecordedTrace trace;
  for (const LoggedRequest& logged : log)
    if (is_text(logged)) trace.rows.push_back(row_of(logged, in_force, trace.words));
  std::stable_sort(trace.rows.begin(), trace.rows.end(),
                   [](const auto& a, const auto& b) { return a.at < b.at; });
  const double first = trace.rows.empty() ? 0.0 : trace.rows.front().at;
  for (std::size_t i = 0; i < trace.rows.size(); ++i) {
    trace.rows[i].id = i;
    trace.rows[i].at -= first;
  }
  return trace;
}

std::map<std::string, simulate::MeasuredCloud, std::less<>> measured_in(
    std::span<const LoggedRequest> log) {
  std::map<std::string, Seen, std::less<>> seen;
  for (const LoggedRequest& logged : log) {
    for (const telemetry::LoggedAttempt& attempt : logged.attempts) {
      Seen& target = seen[attempt.target];
      ++target.attempts;
      if (attempt.is_its_fault) ++target.failures;
    }
    if (!logged.streaming || logged.attempts.empty() || !is_text(logged)) continue;
    const telemetry::LoggedAttempt& last = logged.attempts.back();
    if (last.failed) continue;
    Seen& target = seen[last.target];
    target.first_tokens.push_back(
        simulate::at_reference_prompt(last.seconds, logged.prompt_tokens));
    if (logged.per_token <= 0.0) continue;
    target.rate_sum += 1.0 / logged.per_token;
    ++target.rates;
  }
  std::map<std::string, simulate::MeasuredCloud, std::less<>> measured;
  for (auto& [name, one] : seen) measured.emplace(name, summed_up(one));
  return measured;
}

}  // namespace spillway
