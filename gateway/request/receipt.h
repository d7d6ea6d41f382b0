// Everything worth telling about one request once it is over: the pipeline fills it in as it goes,
// `account()` tells it once, to the log, the metrics and the price book. A plain value that belongs
// to the request's coroutine.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/deadline.h"
#include "backends/contract/error.h"
#include "config/settings.h"
#include "gateway/policy/predict.h"
#include "gateway/policy/price.h"
#include "gateway/request/parts.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

// One target that was asked. The last attempt is the one that served, if any did.
struct Attempt {
  std::string target;
  std::optional<Errc> failure;  // Empty: it answered.
  std::string cause;            // What the target said when it failed.
  double seconds = 0.0;         // Until its first token, or until it failed.
  std::string server;           // Of the target's several: "10.0.0.1:8000"; else empty.
  bool paused = false;          // It is left alone for a while, because of this.
  bool beside = false;          // Another was asked beside it, and was quicker.
};

// A second target was asked because the first was late.
enum class Hedged {
  won,     // It answered,
  lost,    // …the first did all the same,
  failed,  // …or neither did.
};

// A target as the policy judged it, chosen or not.
struct ConsideredTarget {
  std::string target;
  std::string_view verdict;  // In a few words.
  bool fits = false;         // It could keep the promises.
  double ttft = 0.0;         // Expected, in seconds; 0: unknown.
  double finish = 0.0;
  std::int64_t cost_nano_usd = 0;
  bool too_dear_a_promise = false;  // It fits, for more than a promise may cost.
  bool available = true;            // It was up, had room and can answer this kind of request.
};

// What the policy before would have made of a request, while the one in force is watched.
struct PolicyBefore {
  std::optional<double> sla_ttft;  // What it promises, in seconds.
  std::optional<double> sla_per_token;
  bool in_time = false;                 // As far as was known then.
  bool refused_now = false;             // It would have sent it somewhere.
  std::optional<std::size_t> parts_at;  // The first candidate that is another; empty: none is.
};

struct Receipt {
  std::string request_id;
  std::string client_request_id;  // X-Client-Request-Id, at most 512 ASCII characters.
  std::string endpoint;           // "/v1/chat/completions"
  std::string tenant;             // "anonymous" where no keys are configured
  std::string key_name;
  std::string project;
  std::string model_requested;
  std::string label;              // x-spillway-label
  std::optional<int> tokens_max;  // Of one answer, as its client asked.
  bool stream = false;
  std::uint64_t canary = 0;     // Number of the one it is under; 0: of none.
  bool canary_refuses = false;  // Whose policy takes it nowhere, where the one in force would.
  std::uint64_t policy = 0;     // Edition::policy of the one it is under.
  std::optional<PolicyBefore> before;  // Empty: that would have refused it, or nobody asks.

  std::string request_class;
  std::string service_tier;  // That served it; empty if none was asked for.
  std::string target;        // Who gave the client its first token; empty if nobody did.
  std::string model_served;
  bool served_locally = false;
  std::string reason;       // The policy's reason: policy::name_of(Reason).
  std::string rule;         // The policy's rule that decided; empty: its class did.
  bool could_stay = false;  // The local engine serves what it asks for, too.
  std::string explanation;  // Facts and alternatives of the decision, one line.
  std::string rule_facts;   // What the rules' conditions saw; empty without rules.
  std::vector<ConsideredTarget> considered;
  std::optional<policy::Prediction> predicted;  // From the decision on; local target chosen first
                                                // only.
  std::optional<double> sla_ttft;               // Seconds.
  bool has_own_limits = false;                  // Its client asked for less time than its class.
  std::optional<double> sla_per_token;          // Seconds.
  std::vector<Attempt> attempts;
  std::vector<Part> parts;
  std::optional<Hedged> hedged;
  bool asked_provider = false;   // One of the attempts was at a provider.
  bool retries_used_up = false;  // Nor was another asked: see policy::RetryBudget.

  std::string left_out;            // Fields that the target was not told, for the client.
  int left_out_fields = 0;         // How many.
  Usage usage;                     // Of the answer that the client got, whoever gave it.
  policy::LocalPrice local_price;  // At the decision.
  std::string budget_warning;      // For the client; empty: none.
  std::int64_t cost_nano_usd = 0;
  std::int64_t avoided_nano_usd =
      0;  // What the cheapest provider would have asked for a request served locally.

  TimePoint arrived{};                  // Head and body read.
  TimePoint decided{};                  // The plan was made.
  double held_seconds = 0.0;            // Of the time before that, in the waiting room.
  std::optional<TimePoint> dispatched;  // Handed to the target that served.
  std::optional<TimePoint> first_token;
  TimePoint ended{};
  bool cut_by_limit = false;  // The answer ended at its limit of tokens.
  bool unkept = false;        // It was to be found again, and could not be stored.
  int completion_pieces = 0;  // Deltas with text: for time between tokens where tokens are unknown.

  std::optional<Error> error;  // Empty: the client got a whole answer.
  int http_status = 0;         // 499: the client went away.

  // What was paid for what nobody got.
  std::int64_t twice_nano_usd() const {
    std::int64_t sum = 0;
    for (const Part& part : parts) sum += part.beside ? part.cost_nano_usd : 0;
    return sum;
  }
  double seconds_to_first_token() const {
    return first_token ? seconds_between(arrived, *first_token) : 0.0;
  }
  double seconds_total() const { return seconds_between(arrived, ended); }
};

}  // namespace spillway
