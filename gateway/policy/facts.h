// What a decision is made from: the request's facts and the fleet's facts at one moment. Plain
// values; the strings are views into things that the caller keeps alive while `Router::plan` and
// `explain` run.
#pragma once

#include "backends/contract/deadline.h"
#include "backends/contract/need.h"
#include "backends/contract/status.h"
#include "config/settings.h"
#include "gateway/policy/length.h"
#include "gateway/policy/punctuality.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::policy {

struct RequestFacts {
  std::string_view model;            // As the client wrote it.
  std::string_view service_tier;     // Empty if not given.
  std::string_view endpoint;         // "/v1/chat/completions"
  std::string_view class_header;     // x-spillway-class; empty if not given.
  std::string_view label;            // x-spillway-label; empty if not given.
  const config::Key* key = nullptr;  // nullptr: no keys are configured.
  std::uint64_t draw = 0;            // A number of its own: what takes turns draws by it.
  bool in_a_batch = false;           // Nobody waits for it.
  bool local_only = false;           // The request asks to stay; its key may demand it, too.
  int prompt_tokens = 0;
  int longest_prompt = 0;  // Of its several prompts, in tokens; 0: there is one.
  int form_tokens = 0;     // Beside these, what providers read of its form.
  int cached_tokens = 0;   // Of the prompt's, what the local engine need not read again.
  std::optional<int> completion_tokens_max;  // Of one choice: what the client allows; empty: as
                                             // long as the model likes.
  std::optional<double> completion_tokens_expected;  // Empty: what has been typical of late.
  int choices = 1;
  int search_units = 0;      // Of a ranking, at most.
  double budget_left = 1.0;  // Of tenant and key, the share of the window that is nearest its end.
  bool streaming = false;
  Endpoint asks = Endpoint::chat;                           // What a target must serve,
  Need needs = Need::nothing;                               // …and be able to do.
  std::span<const FieldNeed> beyond;                        // By which fields, where it is told.
  std::optional<std::chrono::milliseconds> client_timeout;  // Tightens the class's deadline.
  std::optional<std::chrono::milliseconds> ttft_max;     // Its own promises: they may only tighten
  std::optional<std::chrono::milliseconds> deadline;     // those of its class.
  std::optional<std::chrono::milliseconds> silence_max;  // How long it bears to hear nothing.
  TimePoint arrived{};

  // What must fit into a context with its answer.
  int prompt_to_fit() const { return longest_prompt > 0 ? longest_prompt : prompt_tokens; }
};

// Whether a provider's circuit breaker lets a request through.
enum class Permission {
  closed,  // Healthy: go.
  probe,   // It was broken a while ago; one request may try it.
  open,    // Broken: do not ask before `open_until`.
};

struct ProviderFacts {
  std::string name;  // As in Settings::providers.
  Permission permission = Permission::closed;
  bool refuses_account = false;                    // It is open for that.
  TimePoint open_until{};                          // When an open breaker lets a probe through.
  std::optional<TimePoint> limited_until;          // It said 429; do not ask before.
  std::optional<TimePoint> batch_tier_full_until;  // The same of its cheaper tier.
  int in_flight = 0;                               // At all of its servers,
  int servers = 1;                                 // …of which so many may be asked.
  double ttft_p50 = 0.0;                           // Seconds, of late.
  double ttft_p90 = 0.0;
  double ttft_p95 = 0.0;
  double ttft_p99 = 0.0;
  double tokens_per_second = 0.0;  // Of one stream, after its first token.
  double cached_share = 0.0;       // Of this prompt, what it is expected to bill as cached.
  InTime in_time;                  // Of what was promised there, by the prompt's length.
  // Of one on this machine, which does one thing after another: what it has before it, the
  // background's apart as the foreground need not wait for that, and how fast it reads.
  int foreground_tokens = 0;
  int background_tokens = 0;
  double tokens_read_per_second = 0.0;  // 0: not known, or it is no such target.
};

// What a class with feedback has come to (feedback.h).
struct ClassTerms {
  std::string request_class;
  double ttft_headroom = 1.0;
  double promise_price = 1.0;  // A share of its promise_price_max.
};

// What the clock on the wall says.
struct WallClock {
  int weekday = 0;       // 0: Monday.
  double seconds = 0.0;  // Since midnight.
};

struct FleetFacts {
  TimePoint now{};
  WallClock clock;
  const EngineStatus* local = nullptr;  // nullptr: no local target.
  double gpu_second_worth = 0.0;        // Nano-USD; see HeldWork.
  double ttft_bound = 1.0;              // × predicted: 95 of 100 come sooner; see correction.h.
  double ttft_correction = 1.0;         // Observed ÷ predicted of late; see correction.h.
  AnswerLength answer_length;           // Of late.
  std::vector<ClassTerms> class_terms;  // Of the classes with feedback.
  std::vector<std::string> spilling;    // Classes with a hysteresis that have to leave of late.
  std::vector<ProviderFacts>
      providers;  // A provider without facts counts as closed and as its catalogue says.
};

}  // namespace spillway::policy
