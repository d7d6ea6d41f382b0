#include "gateway/telemetry/derived.h"

namespace spillway::telemetry {
namespace {

int tokens_of(const Receipt& receipt) {
  const int reported = receipt.usage.completion_tokens;
  return reported > 0 ? reported : receipt.completion_pieces;
}

}  // namespace

bool is_our_failure(Errc code) {
  switch (code) {
    case Errc::overloaded:
    case Errc::no_route:
    case Errc::backend_unavailable:
    case Errc::account_refused:
    case Errc::deadline_exceeded:
    case Errc::internal: return true;
    default: return false;
  }
}

Word operation_of(const std::string& endpoint) {
  if (endpoint == "/v1/chat/completions") return word(Operation::chat);
  if (endpoint == "/v1/completions") return word(Operation::completion);
  if (endpoint == "/v1/embeddings") return word(Operation::embeddings);
  if (endpoint == "/v1/messages") return word(Operation::messages);
  if (endpoint == "/v1/responses") return word(Operation::responses);
  return kOther;
}

Word code_of(int http_status) {
  const int hundreds = http_status / 100;
  if (hundreds < 1 || hundreds > 5) return kOther;
  return static_cast<Word>(kFirstWord + hundreds - 1);
}

std::optional<Shed> refusal_of(const Receipt& receipt) {
  if (!receipt.error || receipt.dispatched) return std::nullopt;
  switch (receipt.error->code) {
    case Errc::rate_limited: return Shed::rate;
    case Errc::resource_unavailable: return Shed::overload;
    case Errc::over_budget: return Shed::budget;
    case Errc::overloaded: return Shed::overload;
    case Errc::deadline_exceeded: return Shed::deadline;
    case Errc::no_route:
    case Errc::account_refused: return Shed::no_route;
    default: return std::nullopt;
  }
}

std::optional<double> seconds_to_decide(const Receipt& receipt) {
  if (receipt.decided < receipt.arrived || receipt.decided == TimePoint{}) return std::nullopt;
  return seconds_between(receipt.arrived, receipt.decided) - receipt.held_seconds;
}

std::optional<double> seconds_to_dispatch(const Receipt& receipt) {
  if (!receipt.dispatched || *receipt.dispatched < receipt.decided) return std::nullopt;
  return seconds_between(receipt.decided, *receipt.dispatched);
}

double own_seconds(const Receipt& receipt) {
  const double decide = seconds_to_decide(receipt).value_or(0.0);
  if (receipt.attempts.size() > 1) return decide;
  return decide + seconds_to_dispatch(receipt).value_or(0.0);
}

std::optional<double> seconds_per_token(const Receipt& receipt) {
  const int tokens = tokens_of(receipt);
  if (!receipt.first_token || tokens < 2) return std::nullopt;
  return seconds_between(*receipt.first_token, receipt.ended) / (tokens - 1);
}

std::optional<bool> first_token_kept(const Receipt& receipt) {
  return first_token_kept(receipt, receipt.sla_ttft);
}

std::optional<bool> per_token_kept(const Receipt& receipt) {
  return per_token_kept(receipt, receipt.sla_per_token);
}

std::optional<bool> first_token_kept(const Receipt& receipt,
                                     const std::optional<double>& promised) {
  if (!promised) return std::nullopt;
  if (receipt.first_token) return receipt.seconds_to_first_token() <= *promised;
  const bool in_time = receipt.seconds_total() <= *promised;
  if (!receipt.error) return in_time;
  if (is_our_failure(receipt.error->code)) return false;
  if (receipt.error->code == Errc::cancelled && !in_time) return false;
  return std::nullopt;
}

std::optional<bool> per_token_kept(const Receipt& receipt, const std::optional<double>& promised) {
  const auto seconds = seconds_per_token(receipt);
  if (!promised || !seconds || receipt.error) return std::nullopt;
  return *seconds <= *promised;
}

std::optional<JudgedPrediction> judged_prediction(const Receipt& receipt) {
  if (!receipt.predicted || !receipt.first_token || receipt.attempts.size() > 1)
    return std::nullopt;
  return JudgedPrediction{receipt.predicted->ttft,
                          seconds_between(receipt.decided, *receipt.first_token)};
}

}  // namespace spillway::telemetry
