// The reference model of the local engine, stepped on a virtual clock: what an "H100, 8B, bf16"
// does with a stream of requests, when only their token counts are known.
//
// A step gives each of the b decoding sequences one token and spends its token budget on prompts:
//   step = [7 ms + 0.035 ms·b + 5e-5 ms·K, if b > 0] + prompt tokens / 30,000 s
// K is the context of the decoding sequences in sum (prompt and tokens generated so far). The
// budget is what keeps the step within 45 ms, but at least 512 tokens.
//
// Prompts are read first come first served, several in a step if they are short. Interactive ones
// go before batch ones, also before a batch prompt that is half read, and a step that reads
// interactive prompts reads no batch ones, so that it is no longer than they need. A prompt gets
// its slot (of 192) and KV room for prompt and completion (of 430,000 tokens) when the budget
// reaches it, and keeps them until its last token. One that finds no room lets nobody behind it in,
// but a batch prompt that has begun goes on. The first token comes at the end of the step that ends
// the prompt, each further one with a step.
//
// With a prefix cache (least recently used blocks go first) the whole blocks at a prompt's start
// that it holds are not read again, save the prompt's last token; blocks are there once their
// prompt is through. Not modelled: swapping under KV pressure, cancelling while it decodes,
// network.
//
// Times are seconds from the trace's start. One thread at a time. A step costs O(1), a sequence
// O(log of those decoding). Expected use, with arrivals in order of time:
//   at = min(next arrival, engine.next_event(), …);
//   for (const EngineEvent& event : engine.advance(at)) …;
//   hand in everything that arrives at `at`, before the next call of next_event().
#pragma once

#include "backends/contract/status.h"
#include "gateway/simulate/prefix_cache.h"

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

namespace spillway::simulate {

struct ReferenceEngineParams {
  double prompt_tokens_per_second = 30'000.0;
  double step_base = 0.007;  // Seconds, as the next three.
  double step_per_sequence = 3.5e-5;
  double step_per_context_token = 5e-8;
  double step_budget = 0.045;  // 0: chunks are always chunk_min.
  int chunk_min = 512;         // Tokens.
  int sequences_max = 192;
  int kv_tokens = 430'000;
  int prefix_cache_tokens = 0;  // 0: no cache. It takes nothing from kv_tokens.
  int block_tokens = 512;
  // Factor on all times: 1.25 is an engine a fifth slower than its profile. It keeps its steps
  // within step_budget as they really are; what status() tells is fitted to the steps as they come.
  double slowdown = 1.0;
};

struct EngineRequest {
  std::uint64_t id = 0;
  int prompt_tokens = 0;      // At least 1, as the next two.
  int completion_tokens = 0;  // What it will generate; status() does not tell.
  int completion_cap = 0;     // What status() tells instead: it ends at so many at the latest.
  bool batch = false;
  std::span<const std::uint64_t> prefix_ids;  // The prompt's blocks; the caller keeps them alive.
};

enum class EngineEventKind { first_token, finished, step_ended };

struct EngineEvent {
  EngineEventKind kind = EngineEventKind::step_ended;
  std::uint64_t id = 0;  // 0 for step_ended.
  double at = 0.0;
};

class ReferenceEngine {
 public:
  explicit ReferenceEngine(const ReferenceEngineParams& params);

  // Whether the request has room in an empty engine. One that has not may not be handed in.
  bool fits(int prompt_tokens, int completion_tokens) const;

  // Requires: fits, advance(now) has been called, and next_event() has not been called since.
  void hand_in(const EngineRequest& request, double now);

  // Takes back a prompt that is not through yet; false: too late, or the step in progress reads it.
  // As hand_in() otherwise.
  bool take_back(std::uint64_t id, bool batch);

  // The end of the step in progress, or of the one that is due, which begins with this call;
  // infinity when idle.
  double next_event();

  // Ends all steps up to and including `now`. A step that would begin at `now` itself waits for
  // what is still handed in. The events are in order of time, those of one step end with
  // step_ended; they are valid until the next call.
  std::span<const EngineEvent> advance(double now);

  // Prompt tokens not yet in the KV cache, less what the prefix cache held when they were handed
  // in; those of the step in progress count until it ends.
  std::int64_t queued_prompt_tokens(bool batch) const { return lanes_[batch].tokens; }
  int waiting(bool batch) const;                                       // Without a slot.
  int decoding() const { return static_cast<int>(decoding_.size()); }  // b
  std::int64_t context_tokens() const { return context_; }             // K
  int running() const;                                                 // Have a slot.
  int kv_tokens_free() const { return kv_free_; }
  std::uint64_t steps() const { return step_; }

  // Tokens of the interactive prompt that found no KV room when the step in progress, or the last
  // one, began; 0: none waited for that.
  int prompt_without_room() const { return prompt_without_room_; }

  // Seconds of a step, as the profile has it, in which those now decoding decode and no prompt is
  // read.
  double decode_seconds() const;

  // Prompt tokens that the prefix cache would save now.
  int cached_tokens(std::span<const std::uint64_t> prefix_ids, int prompt_tokens) const;

  // The state as the local engine publishes it, written into `status` so that its memory is
  // reused. As of the beginning of the step in progress; costs O(sequences). Sequences that decode
  // all count as foreground, which makes no difference to what follows. Free counts what no prompt
  // and no token that is out takes: what is kept for the rest of an answer would tell its length.
  void status(double now, EngineStatus& status) const;

 private:
  struct Prompt {
    EngineRequest request;
    int left = 0;  // Tokens to read.
  };
  // Prompts of one class: the first `admitted` have a slot. Those that end with the step in
  // progress are the first `ending`; the next one gets `partial` tokens read.
  struct Lane {
    std::deque<Prompt> line;
    int admitted = 0;
    std::int64_t tokens = 0;
    int ending = 0;
    int partial = 0;
  };
  struct Decoding {
    std::uint64_t last_step = 0;  // Its last token comes when so many steps have ended.
    std::uint64_t order = 0;
    std::uint64_t begun_at = 0;  // Steps ended when its first token came.
    std::uint64_t id = 0;
    int prompt_tokens = 0;
    int completion_tokens = 0;
    int completion_cap = 0;
  };
  static bool ends_later(const Decoding& a, const Decoding& b);

  bool has_work() const;
  void begin_step();
  int prompt_budget() const;
  bool read_lane(Lane& lane, int& budget, bool open);
  bool admit(Lane& lane);
  void end_step();
  void end_decoding();
  void end_prompts(Lane& lane);
  void begin_decoding(const EngineRequest& request);
  void list(const Lane& lane, spillway::Lane name, EngineStatus& status) const;

  const ReferenceEngineParams params_;
  PrefixCache cache_;
  Lane lanes_[2];                   // Interactive, batch.
  std::vector<Decoding> decoding_;  // A heap, the earliest end first.
  std::int64_t context_ = 0;
  int kv_free_ = 0;
  int prompt_without_room_ = 0;
  double pace_ = 1.0;       // Of the steps of late, times the profile.
  std::uint64_t step_ = 0;  // Steps ended.
  std::uint64_t begun_ = 0;
  bool in_step_ = false;
  double step_begins_ = 0.0;  // Of the one in progress, or the earliest for the next.
  double step_ends_ = 0.0;
  std::vector<EngineEvent> events_;
};

}  // namespace spillway::simulate
