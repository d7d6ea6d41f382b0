#include "backends/isolated/frames.h"

#include "backends/process/codec.h"

#include <array>
#include <exception>
#include <utility>

namespace spillway::isolated {
namespace {

using process::A;

struct Layout {
  template <std::size_t N>
  static void copies(const std::array<std::uint64_t, N>&);

  static void list(auto& fields, A<TokenBias> auto& it) { fields(it.token, it.by); }
  static void list(auto& fields, A<Sampling> auto& it) {
    fields(it.temperature, it.top_p, it.top_k, it.min_p, it.frequency_penalty, it.presence_penalty,
           it.repetition_penalty, it.seed, it.stop, it.tokens_max, it.tokens_min, it.ignore_eos,
           it.stop_tokens, it.keeps_stop, it.shows_special, it.bias, it.logprobs, it.scores_prompt,
           it.prompt_logprobs);
  }
  static void list(auto& fields, A<Form> auto& it) {
    fields(it.kind, it.text, it.choices, it.field);
  }
  static void list(auto& fields, A<Usage> auto& it) {
    fields(it.prompt_tokens, it.completion_tokens, it.cached_tokens, it.reasoning_tokens,
           it.cache_written_tokens);
  }
  static void list(auto& fields, A<LikelyToken> auto& it) { fields(it.token, it.logprob); }
  static void list(auto& fields, A<ScoredToken> auto& it) {
    fields(it.token, it.logprob, it.rank, it.likeliest, it.of_prompt);
  }
  static void list(auto& fields, A<Delta> auto& it) {
    fields(it.choice, it.text, it.reasoning, it.extra, it.logprobs, it.scored, it.object, it.tokens,
           it.engine_time, it.finish, it.stopped_by, it.usage, it.original);
  }
  // All but `kind`, which stays at home.
  static void list(auto& fields, A<Error> auto& it) {
    fields(it.code, it.message, it.param, it.retry_after, it.rule);
  }
  static void list(auto& fields, A<SequenceStatus> auto& it) {
    fields(it.prefill_left, it.context_tokens, it.generated, it.tokens_max, it.lane);
  }
  static void list(auto& fields, A<StepBudget> auto& it) {
    fields(it.tokens_max, it.seconds_max, it.chunk_tokens_min, it.tile_tokens);
  }
  static void list(auto& fields, A<StepModel> auto& it) {
    fields(it.base, it.per_sequence, it.per_context_token, it.per_prefill_token, it.steps_seen);
  }
  static void list(auto& fields, A<EngineStatus> auto& it) {
    fields(it.ready, it.running, it.waiting, it.sequences_max, it.budget, it.waiting_max,
           it.kv_tokens_total, it.kv_tokens_free, it.kv_reserved, it.context_max, it.holds_forms,
           it.calls_tools, it.tells_logits, it.step_elapsed, it.step);
  }
  static void list(auto& fields, A<local::WaitingPlace> auto& it) {
    fields(it.id, it.sequences, it.cached);
  }
  static void list(auto& fields, A<EngineCounters> auto& it) {
    fields(it.steps, it.prompt_tokens, it.generated_tokens, it.drafts, it.drafts_right,
           it.prefix_queries, it.prefix_hits, it.accepted, it.finished, it.cancelled, it.failed,
           it.refused, it.preemptions, it.cancel_steps_max, it.step_seconds.buckets,
           it.step_seconds.sum, it.batch_size.buckets, it.batch_size.sum);
  }

  static void list(auto& fields, A<Hello> auto& it) { fields(it.settings); }
  static void list(auto& fields, A<Question> auto& it) {
    fields(it.id, it.prompts, it.sampling, it.tokens_max, it.lane, it.owner, it.form, it.begun,
           it.choices);
  }
  static void list(auto& fields, A<Cancelled> auto& it) { fields(it.id); }
  static void list(auto& fields, A<Paused> auto& it) { fields(it.id); }
  static void list(auto& fields, A<Resumed> auto& it) { fields(it.id); }
  static void list(auto&, A<Nudge> auto&) {}
  static void list(auto& fields, A<Stop> auto& it) { fields(it.drain_until); }
  static void list(auto& fields, A<Loaded> auto& it) { fields(it.engines); }
  static void list(auto& fields, A<Piece> auto& it) { fields(it.id, it.delta); }
  static void list(auto& fields, A<Done> auto& it) { fields(it.id); }
  static void list(auto& fields, A<Failure> auto& it) { fields(it.id, it.error); }
  static void list(auto& fields, A<Picture> auto& it) {
    fields(it.replica, it.status, it.step_began, it.counters);
  }
  static void list(auto& fields, A<PrefixInserted> auto& it) {
    fields(it.replica, it.owner, it.parent, it.tokens, it.block);
  }
  static void list(auto& fields, A<PrefixErased> auto& it) { fields(it.replica, it.block); }
  static void list(auto& fields, A<ReplicaFailed> auto& it) { fields(it.replica, it.why); }
  static void list(auto& fields, A<Came> auto& it) { fields(it.place); }
  static void list(auto& fields, A<Refused> auto& it) { fields(it.sequences); }
  static void list(auto& fields, A<Left> auto& it) { fields(it.place); }
  static void list(auto& fields, A<Taken> auto& it) { fields(it.place, it.replica); }
  static void list(auto& fields, A<Farewell> auto& it) { fields(it.why); }

  static constexpr Errc last_of(Errc) { return Errc::internal; }
  static constexpr Lane last_of(Lane) { return Lane::background; }
  static constexpr Form::Kind last_of(Form::Kind) { return Form::Kind::tags; }
  static constexpr FinishReason last_of(FinishReason) { return FinishReason::content_filter; }
};

template <class Frame>
void encode_frame(const Frame& frame, std::string& bytes) {
  bytes.clear();
  process::Writer<Layout> writer(bytes);
  writer(static_cast<std::uint8_t>(frame.index()));
  std::visit([&](const auto& one) { writer(one); }, frame);
}

// The alternative of this index, with nothing in it yet; false if there is none.
template <class Frame, std::size_t I = 0>
bool become(Frame& frame, std::size_t index) {
  if constexpr (I == std::variant_size_v<Frame>) {
    return false;
  } else {
    if (index != I) return become<Frame, I + 1>(frame, index);
    frame.template emplace<I>();
    return true;
  }
}

Error nonsense() { return {Errc::internal, "the other process says what nobody understands"}; }

template <class Frame>
Result<Frame> decode_frame(std::string_view bytes) try {
  process::Reader<Layout> reader(bytes);
  Frame frame;
  if (!become(frame, reader.template next<std::uint8_t>())) return nonsense();
  std::visit([&](auto& one) { reader(one); }, frame);
  reader.end();
  return frame;
} catch (const std::exception&) {
  return nonsense();
}

}  // namespace

void encode(const Order& order, std::string& bytes) { encode_frame(order, bytes); }
void encode(const Word& word, std::string& bytes) { encode_frame(word, bytes); }
Result<Order> decode_order(std::string_view bytes) { return decode_frame<Order>(bytes); }
Result<Word> decode_word(std::string_view bytes) { return decode_frame<Word>(bytes); }

}  // namespace spillway::isolated
