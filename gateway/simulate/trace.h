// Traces of requests, and the rules by which one is replayed at a load. Token counts only; no trace
// holds text.
//
// Read are (plain or .gz; the first line tells which):
//   Azure LLM inference 2023  TIMESTAMP,ContextTokens,GeneratedTokens     UTC, 100 ns
//   Mooncake FAST'25          {"timestamp": ms, "input_length": …, "output_length": …,
//                              "hash_ids": [a block of 512 prompt tokens each]}, one a line
//   ServeGen draws            t_ms,in_tokens,out_tokens,client
//   any other source          id,t_ms,in_tokens,out_tokens,class,deadline_ms[,ttft_slo_ms]
//                             [,prefix_ids][,key][,tenant][,model][,label][,service_tier]
//                             [,max_tokens]
// In the last, `class` is interactive or batch, a class of the policy's, or empty (then the rule
// below), deadline_ms counts from the arrival, ttft_slo_ms may be empty, and prefix_ids are
// separated by spaces. key, tenant, model, label and service_tier are what a policy's rules and
// classes ask for by these names; each may be empty. Ids are whole numbers, none twice. Counts of 0
// are read as 1.
//
// Times are seconds on the virtual clock: Azure's from its first arrival, others as written. Pure
// values apart from read_trace, which reads files; any thread.
#pragma once

#include "backends/contract/error.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::simulate {

enum class RowClass : std::uint8_t { by_rule, interactive, batch, named };

// The texts of a trace, each once. The first is empty: what is not said.
class Words {
 public:
  std::uint32_t place_of(std::string_view word);
  const std::string& at(std::uint32_t place) const { return all_[place]; }
  std::size_t size() const { return all_.size(); }

 private:
  std::vector<std::string> all_{""};
  std::map<std::string, std::uint32_t, std::less<>> places_{{"", 0}};
};

// What is said of a request beside its size: texts are places in the trace's words.
struct Told {
  std::uint32_t request_class = 0;  // As written, whatever RowClass it is.
  std::uint32_t key = 0;
  std::uint32_t tenant = 0;
  std::uint32_t model = 0;
  std::uint32_t label = 0;
  std::uint32_t service_tier = 0;
  int tokens_max = 0;  // Of the answer, as its client asked; 0: not said.
  bool streaming = false;
  bool local_only = false;

  bool operator==(const Told&) const = default;
};

struct TraceRow {
  std::uint64_t id = 0;  // The row's number, if the format has no ids.
  double at = 0.0;
  int prompt_tokens = 0;
  int completion_tokens = 0;
  RowClass row_class = RowClass::by_rule;
  double window = 0.0;    // From arrival to deadline; 0: by rule.
  double ttft_slo = 1.0;  // Seconds; Mooncake's long prompts have 1 + prompt/8000.
  bool own_ttft = false;  // The trace gives it; else it is what is usual.
  std::uint32_t prefix_first = 0;
  std::uint32_t prefix_count = 0;
  Told told;
};

// As recorded, in order of time; where times are equal, the file named first comes first.
struct RecordedTrace {
  std::vector<TraceRow> rows;
  std::vector<std::uint64_t> prefix_ids;  // The rows' lists, one after the other.
  Words words;

  double length() const { return rows.back().at + 1.0; }
};

// All files must have the same format. An error names the file, the line and what to write there.
Result<RecordedTrace> read_trace(std::span<const std::string> paths);

struct ReplayRules {
  double scale = 1.0;         // f: load as a factor of the trace's own rate, after `speed`.
  double batch_share = 0.35;  // Of the rows without a class.
  // Empty: traces of 12 h and more are replayed eight times faster, others as they are.
  std::optional<double> speed;
  // Recorded seconds from a batch request's arrival to its deadline. Empty: the whole trace where
  // it is of 12 h and more, else 900 s.
  std::optional<double> batch_window;
  bool gives_deadlines = true;  // To rows without a class; else their classes' count.
};

struct TraceRequest {
  std::uint64_t id = 0;  // The same at every load: of copy j it is j·(largest id + 1) + the row's.
  double at = 0.0;
  double deadline = std::numeric_limits<double>::infinity();  // Absolute; for batch only.
  double ttft_slo = 1.0;
  int prompt_tokens = 0;
  int completion_tokens = 0;
  std::uint32_t prefix_first = 0;
  std::uint32_t prefix_count = 0;
  bool batch = false;         // By the trace: interactive, or a class of the policy's, if not.
  bool own_ttft = false;      // The trace gives ttft_slo,
  bool own_deadline = false;  // …or a deadline, by its row or by the rule for rows without a class.
  bool named = false;         // Its class is one of the policy's.
  Told told;
};

// A stream of requests in order of time, ready to be replayed.
struct Replay {
  std::vector<TraceRequest> requests;
  std::vector<std::uint64_t> prefix_ids;
  Words words;
  double length = 0.0;  // (Last arrival as recorded + 1 s), compressed by `speed`.

  std::span<const std::uint64_t> prefix_of(const TraceRequest& request) const {
    return std::span(prefix_ids).subspan(request.prefix_first, request.prefix_count);
  }
};

// The rules:
// - Row k (from 0, in order of time) without a class is batch iff mix(k, 1) < batch_share.
// - Load: whole copies of the trace, copy j moved by j·97 s round the trace's length; the rest of
//   `scale` by thinning the last copy to rows with mix(k, 2) < rest. Copies keep classes.
// - A deadline is arrival + window, at most length + 60 s; batch rows without a window have the
//   rule's, others none.
// - `speed` divides arrivals, windows and the length; not TTFT limits, nor the 97 s and 60 s.
// Requires: 0 < scale ≤ 1000 and speed > 0.
Replay replay(const RecordedTrace& trace, const ReplayRules& rules);

// What comes from `begins` on for `length` seconds, as a replay of its own: its times begin at 0,
// and batch work is due 60 s after its end at the latest, as in the whole.
Replay slice(const Replay& whole, double begins, double length);

// Requests a second of a replay at scale 1: rows / length, after compression.
double rate_of(const RecordedTrace& trace, const ReplayRules& rules);

// SplitMix64's finaliser over k and a stream number s, even over [0, 1):
//   z = k + s·0x9E3779B97F4A7C15; z = (z ^ z>>30)·0xBF58476D1CE4E5B9;
//   z = (z ^ z>>27)·0x94D049BB133111EB; z ^= z>>31; (z>>11) / 2^53
double mix(std::uint64_t k, std::uint64_t s);

// Requests a second that the reference engine serves at most: azure1h 13.3, servegen_day 25.5,
// mooncake 1.49, reason_day 1.80; nullopt for other names. A load of 80 % of saturation is
//   scale = 0.8 · reference_saturation / rate_of(trace, rules).
std::optional<double> reference_saturation(std::string_view name);

}  // namespace spillway::simulate
