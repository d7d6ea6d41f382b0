// What the local engine has done since it started: sums and histograms for telemetry to read at
// scrape time. Plain values, no Asio.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace spillway {

// A cumulative histogram as Prometheus wants it: buckets[i] counts values ≤ bounds[i], the last
// all.
template <std::size_t N>
struct StepHistogram {
  std::array<double, N> bounds{};
  std::array<std::uint64_t, N + 1> buckets{};
  double sum = 0.0;

  void observe(double value) {
    sum += value;
    for (std::size_t i = 0; i < N; ++i) buckets[i] += value <= bounds[i] ? 1 : 0;
    ++buckets[N];
  }

  StepHistogram& operator+=(const StepHistogram& more) {
    sum += more.sum;
    for (std::size_t i = 0; i < buckets.size(); ++i) buckets[i] += more.buckets[i];
    return *this;
  }
};

struct EngineCounters {
  std::uint64_t steps = 0;
  std::uint64_t prompt_tokens = 0;  // Run through the model, recomputation included.
  std::uint64_t generated_tokens = 0;
  std::uint64_t drafts = 0;          // Tokens guessed and checked…
  std::uint64_t drafts_right = 0;    // …and right: generated without a step of their own.
  std::uint64_t prefix_queries = 0;  // Prompt tokens looked up in the prefix cache…
  std::uint64_t prefix_hits = 0;     // …and found there: not run through the model.
  std::uint64_t accepted = 0;        // Sequences taken in.
  std::uint64_t finished = 0;        // Ended by themselves.
  std::uint64_t cancelled = 0;       // Their consumer left.
  std::uint64_t failed = 0;          // Ended by the engine: slow_client, stopped, executor failed.
  std::uint64_t refused = 0;         // Not taken in: no room, or a form nobody can keep.
  std::uint64_t preemptions = 0;  // Lost their KV blocks to an older sequence and were recomputed.
  std::uint64_t cancel_steps_max =
      0;  // Most steps that began after a consumer left and still held its sequence.
  StepHistogram<14> step_seconds{
      {.001, .0025, .005, .01, .02, .03, .05, .075, .1, .2, .35, .5, 1, 2.5}};
  StepHistogram<9> batch_size{{1, 2, 4, 8, 16, 32, 64, 128, 256}};

  EngineCounters& operator+=(const EngineCounters& more) {
    steps += more.steps;
    prompt_tokens += more.prompt_tokens;
    generated_tokens += more.generated_tokens;
    drafts += more.drafts;
    drafts_right += more.drafts_right;
    prefix_queries += more.prefix_queries;
    prefix_hits += more.prefix_hits;
    accepted += more.accepted;
    finished += more.finished;
    cancelled += more.cancelled;
    failed += more.failed;
    refused += more.refused;
    preemptions += more.preemptions;
    cancel_steps_max = std::max(cancel_steps_max, more.cancel_steps_max);
    step_seconds += more.step_seconds;
    batch_size += more.batch_size;
    return *this;
  }
};

}  // namespace spillway
