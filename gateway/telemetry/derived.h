// What follows from a Receipt without being in it: times, promises kept, kinds of refusal. Pure;
// used by the metrics and the log so that both tell the same story. Times are seconds.
#pragma once

#include "gateway/request/receipt.h"
#include "gateway/telemetry/words.h"

#include <optional>

namespace spillway::telemetry {

// "/v1/chat/completions" → chat, as a word; kOther for what no such operation serves.
Word operation_of(const std::string& endpoint);

// 404 → "4xx", as a word; kOther outside 100..599.
Word code_of(int http_status);

// Why it was refused on purpose, if it was: no target had begun to work on it.
std::optional<Shed> refusal_of(const Receipt& receipt);

// Whether a target or we failed, and not the client: that breaks a promise even though there is no
// time to compare.
bool is_our_failure(Errc code);

// From the request to its plan; empty if it never got one.
std::optional<double> seconds_to_decide(const Receipt& receipt);

// From the plan to the hand-over to the target that served; empty if none did.
std::optional<double> seconds_to_dispatch(const Receipt& receipt);

// Both of these, as far as no failed attempt and no waiting for one lies between: what the gateway
// itself cost.
double own_seconds(const Receipt& receipt);

// (total − first token) / (tokens − 1), OpenTelemetry's time per output token; empty below two
// tokens.
std::optional<double> seconds_per_token(const Receipt& receipt);

// Whether the class's promise was kept; empty where none was given or the client is why it cannot
// be told.
std::optional<bool> first_token_kept(const Receipt& receipt);
std::optional<bool> per_token_kept(const Receipt& receipt);

// By another promise, in seconds; empty: none.
std::optional<bool> first_token_kept(const Receipt& receipt, const std::optional<double>& promised);
std::optional<bool> per_token_kept(const Receipt& receipt, const std::optional<double>& promised);

// Predicted and actual time from the plan to the first token, where the target that was predicted
// for served.
struct JudgedPrediction {
  double predicted = 0.0;
  double actual = 0.0;
};
std::optional<JudgedPrediction> judged_prediction(const Receipt& receipt);

}  // namespace spillway::telemetry
