#include "gateway/simulate/trace.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <utility>

namespace spillway::simulate {

namespace {

constexpr double kDayTrace = 12.0 * 3600.0;  // Seconds; as long as this and longer.
constexpr double kDaySpeed = 8.0;
constexpr double kBatchWindow = 900.0;
constexpr double kCopyShift = 97.0;
constexpr double kGrace = 60.0;  // After the trace's end.

double speed_of(const RecordedTrace& trace, const ReplayRules& rules) {
  return rules.speed.value_or(trace.length() >= kDayTrace ? kDaySpeed : 1.0);
}

double window_of(const RecordedTrace& trace, const ReplayRules& rules) {
  return rules.batch_window.value_or(trace.length() >= kDayTrace ? trace.length() : kBatchWindow);
}

bool is_batch(const TraceRow& row, std::uint64_t k, double batch_share) {
  if (row.row_class != RowClass::by_rule) return row.row_class == RowClass::batch;
  return mix(k, 1) < batch_share;
}

std::uint64_t ids_a_copy(const RecordedTrace& trace) {
  std::uint64_t largest = 0;
  for (const TraceRow& row : trace.rows) largest = std::max(largest, row.id);
  return largest + 1;
}

TraceRequest request_of(const TraceRow& row, bool batch, const ReplayRules& rules) {
  TraceRequest request;
  request.id = row.id;
  request.ttft_slo = row.ttft_slo;
  request.prompt_tokens = row.prompt_tokens;
  request.completion_tokens = row.completion_tokens;
  request.prefix_first = row.prefix_first;
  request.prefix_count = row.prefix_count;
  request.batch = batch;
  request.own_ttft = row.own_ttft;
  request.own_deadline =
      row.window > 0.0 || (batch && row.row_class == RowClass::by_rule && rules.gives_deadlines);
  request.named = row.row_class == RowClass::named;
  request.told = row.told;
  return request;
}

}  // namespace

std::uint32_t Words::place_of(std::string_view word) {
  const auto known = places_.find(word);
  if (known != places_.end()) return known->second;
  const auto place = static_cast<std::uint32_t>(all_.size());
  all_.emplace_back(word);
  places_.emplace(word, place);
  return place;
}

Replay replay(const RecordedTrace& trace, const ReplayRules& rules) {
  assert(rules.scale > 0.0 && rules.scale <= 1'000.0 && !trace.rows.empty());
  const double speed = speed_of(trace, rules);
  const double window = window_of(trace, rules);
  const std::uint64_t ids = ids_a_copy(trace);
  Replay replay;
  replay.prefix_ids = trace.prefix_ids;
  replay.words = trace.words;
  replay.length = trace.length() / speed;
  const double whole = std::floor(rules.scale);
  replay.requests.reserve(
      static_cast<std::size_t>((rules.scale + 0.1) * static_cast<double>(trace.rows.size())));
  for (std::uint64_t copy = 0; static_cast<double>(copy) < rules.scale; ++copy) {
    const bool thinned = static_cast<double>(copy) == whole;
    for (std::uint64_t k = 0; k < trace.rows.size(); ++k) {
      if (thinned && mix(k, 2) >= rules.scale - whole) continue;
      const TraceRow& row = trace.rows[k];
      TraceRequest request = request_of(row, is_batch(row, k, rules.batch_share), rules);
      request.id += copy * ids;
      const double moved = row.at / speed + static_cast<double>(copy) * kCopyShift;
      request.at = std::fmod(moved, replay.length);
      const double wait = (row.window > 0.0 ? row.window : window) / speed;
      if (request.batch || request.own_deadline)
        request.deadline = std::min(request.at + wait, replay.length + kGrace);
      replay.requests.push_back(request);
    }
  }
  std::stable_sort(replay.requests.begin(), replay.requests.end(),
                   [](const TraceRequest& a, const TraceRequest& b) { return a.at < b.at; });
  return replay;
}

Replay slice(const Replay& whole, double begins, double length) {
  Replay part;
  part.prefix_ids = whole.prefix_ids;
  part.words = whole.words;
  part.length = length;
  for (TraceRequest request : whole.requests) {
    request.at -= begins;
    if (request.at < 0.0 || request.at >= length) continue;
    if (request.batch || request.own_deadline)
      request.deadline = std::min(request.deadline - begins, length + kGrace);
    part.requests.push_back(request);
  }
  return part;
}

double rate_of(const RecordedTrace& trace, const ReplayRules& rules) {
  return static_cast<double>(trace.rows.size()) * speed_of(trace, rules) / trace.length();
}

double mix(std::uint64_t k, std::uint64_t s) {
  std::uint64_t z = k + s * 0x9E3779B97F4A7C15ULL;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1.0p-53;
}

std::optional<double> reference_saturation(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, double>, 4> kSaturations = {
      {{"azure1h", 13.3}, {"servegen_day", 25.5}, {"mooncake", 1.49}, {"reason_day", 1.80}}};
  for (const auto& [known, requests_per_second] : kSaturations) {
    if (known == name) return requests_per_second;
  }
  return std::nullopt;
}

}  // namespace spillway::simulate
