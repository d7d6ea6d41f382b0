#include "backends/isolated/frames.h"

#include <array>
#include <cstring>
#include <type_traits>
#include <utility>

namespace spillway::isolated {
namespace {

template <class Given, class Type>
concept A = std::is_same_v<std::remove_const_t<Given>, Type>;

// The fields of each type in order: once, for writing and for reading.
void list(auto& fields, A<TokenBias> auto& it) { fields(it.token, it.by); }
void list(auto& fields, A<Sampling> auto& it) {
  fields(it.temperature, it.top_p, it.top_k, it.min_p, it.frequency_penalty, it.presence_penalty,
         it.repetition_penalty, it.seed, it.stop, it.tokens_max, it.tokens_min, it.ignore_eos,
         it.stop_tokens, it.keeps_stop, it.shows_special, it.bias, it.logprobs, it.scores_prompt,
         it.prompt_logprobs);
}
void list(auto& fields, A<Form> auto& it) { fields(it.kind, it.text, it.choices, it.field); }
void list(auto& fields, A<Usage> auto& it) {
  fields(it.prompt_tokens, it.completion_tokens, it.cached_tokens, it.reasoning_tokens,
         it.cache_written_tokens);
}
void list(auto& fields, A<LikelyToken> auto& it) { fields(it.token, it.logprob); }
void list(auto& fields, A<ScoredToken> auto& it) {
  fields(it.token, it.logprob, it.rank, it.likeliest, it.of_prompt);
}
void list(auto& fields, A<Delta> auto& it) {
  fields(it.choice, it.text, it.reasoning, it.extra, it.logprobs, it.scored, it.object, it.tokens,
         it.engine_time, it.finish, it.stopped_by, it.usage, it.original);
}
void list(auto& fields, A<Error> auto& it) {  // `kind` has static storage: it stays at home.
  fields(it.code, it.message, it.param, it.retry_after, it.rule);
}
void list(auto& fields, A<SequenceStatus> auto& it) {
  fields(it.prefill_left, it.context_tokens, it.generated, it.tokens_max, it.lane);
}
void list(auto& fields, A<StepBudget> auto& it) {
  fields(it.tokens_max, it.seconds_max, it.chunk_tokens_min);
}
void list(auto& fields, A<StepModel> auto& it) {
  fields(it.base, it.per_sequence, it.per_context_token, it.per_prefill_token, it.steps_seen);
}
void list(auto& fields, A<EngineStatus> auto& it) {
  fields(it.ready, it.running, it.waiting, it.sequences_max, it.budget, it.waiting_max,
         it.kv_tokens_total, it.kv_tokens_free, it.kv_reserved, it.context_max, it.holds_forms,
         it.calls_tools, it.tells_logits, it.step_elapsed, it.step);
}
void list(auto& fields, A<local::WaitingPlace> auto& it) { fields(it.id, it.sequences, it.cached); }
void list(auto& fields, A<EngineCounters> auto& it) {
  fields(it.steps, it.prompt_tokens, it.generated_tokens, it.drafts, it.drafts_right,
         it.prefix_queries, it.prefix_hits, it.accepted, it.finished, it.cancelled, it.failed,
         it.refused, it.preemptions, it.cancel_steps_max, it.step_seconds.buckets,
         it.step_seconds.sum, it.batch_size.buckets, it.batch_size.sum);
}

void list(auto& fields, A<Hello> auto& it) { fields(it.settings); }
void list(auto& fields, A<Question> auto& it) {
  fields(it.id, it.prompts, it.sampling, it.tokens_max, it.lane, it.owner, it.form, it.begun,
         it.choices);
}
void list(auto& fields, A<Cancelled> auto& it) { fields(it.id); }
void list(auto& fields, A<Paused> auto& it) { fields(it.id); }
void list(auto& fields, A<Resumed> auto& it) { fields(it.id); }
void list(auto&, A<Nudge> auto&) {}
void list(auto& fields, A<Stop> auto& it) { fields(it.drain_until); }
void list(auto& fields, A<Loaded> auto& it) { fields(it.engines); }
void list(auto& fields, A<Piece> auto& it) { fields(it.id, it.delta); }
void list(auto& fields, A<Done> auto& it) { fields(it.id); }
void list(auto& fields, A<Failure> auto& it) { fields(it.id, it.error); }
void list(auto& fields, A<Picture> auto& it) {
  fields(it.replica, it.status, it.step_began, it.counters);
}
void list(auto& fields, A<PrefixInserted> auto& it) {
  fields(it.replica, it.owner, it.parent, it.tokens, it.block);
}
void list(auto& fields, A<PrefixErased> auto& it) { fields(it.replica, it.block); }
void list(auto& fields, A<ReplicaFailed> auto& it) { fields(it.replica, it.why); }
void list(auto& fields, A<Came> auto& it) { fields(it.place); }
void list(auto& fields, A<Refused> auto& it) { fields(it.sequences); }
void list(auto& fields, A<Left> auto& it) { fields(it.place); }
void list(auto& fields, A<Taken> auto& it) { fields(it.place, it.replica); }
void list(auto& fields, A<Farewell> auto& it) { fields(it.why); }

constexpr int last_of(Errc) { return static_cast<int>(Errc::internal); }
constexpr int last_of(Lane) { return static_cast<int>(Lane::background); }
constexpr int last_of(Form::Kind) { return static_cast<int>(Form::Kind::tags); }
constexpr int last_of(FinishReason) { return static_cast<int>(FinishReason::content_filter); }

using Count = std::uint32_t;  // Of bytes or elements.

class Writer {
 public:
  explicit Writer(std::string& bytes) : bytes_(bytes) { bytes_.clear(); }

  void operator()(const auto&... values) { (write(values), ...); }

 private:
  template <class Type>
  void write(const Type& value) {
    if constexpr (std::is_enum_v<Type>) {
      bytes_.push_back(static_cast<char>(value));
    } else if constexpr (std::is_arithmetic_v<Type>) {
      bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    } else {
      list(*this, value);
    }
  }
  void write(const std::string& text) {
    write(static_cast<Count>(text.size()));
    bytes_ += text;
  }
  void write(const TimePoint& time) { write(time.time_since_epoch().count()); }
  template <class Period>
  void write(const std::chrono::duration<std::int64_t, Period>& time) {
    write(time.count());
  }
  template <class Type>
  void write(const std::optional<Type>& value) {
    write(value.has_value());
    if (value) write(*value);
  }
  template <class Type>
  void write(const std::vector<Type>& values) {
    write(static_cast<Count>(values.size()));
    for (const Type& value : values) write(value);
  }
  template <class Type, std::size_t N>
  void write(const std::array<Type, N>& values) {
    for (const Type& value : values) write(value);
  }

  std::string& bytes_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  void operator()(auto&... values) { (read(values), ...); }

  // All was there, and nothing else.
  bool done() const { return good_ && rest_.empty(); }

 private:
  // Empty where there is not so much.
  std::string_view take(std::size_t count) {
    good_ = good_ && count <= rest_.size();
    if (!good_) return {};
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }

  template <class Type>
  void read(Type& value) {
    if constexpr (std::is_same_v<Type, bool>) {
      read_small(value, 1);
    } else if constexpr (std::is_enum_v<Type>) {
      read_small(value, last_of(Type{}));
    } else if constexpr (std::is_arithmetic_v<Type>) {
      const std::string_view bytes = take(sizeof value);
      if (good_) std::memcpy(&value, bytes.data(), sizeof value);
    } else {
      list(*this, value);
    }
  }
  void read_small(auto& value, int last) {
    const std::string_view byte = take(1);
    good_ = good_ && static_cast<unsigned char>(byte.front()) <= last;
    if (good_) value = static_cast<std::remove_reference_t<decltype(value)>>(byte.front());
  }
  void read(std::string& text) {
    Count count = 0;
    read(count);
    text = take(count);
  }
  void read(TimePoint& time) {
    SteadyClock::rep count = 0;
    read(count);
    time = TimePoint(SteadyClock::duration(count));
  }
  template <class Period>
  void read(std::chrono::duration<std::int64_t, Period>& time) {
    std::int64_t count = 0;
    read(count);
    time = std::chrono::duration<std::int64_t, Period>(count);
  }
  template <class Type>
  void read(std::optional<Type>& value) {
    bool given = false;
    read(given);
    if (given) read(value.emplace());
  }
  template <class Type>
  void read(std::vector<Type>& values) {
    Count count = 0;
    read(count);
    good_ = good_ && count <= rest_.size();  // A byte each at least.
    for (Count i = 0; good_ && i < count; ++i) read(values.emplace_back());
  }
  template <class Type, std::size_t N>
  void read(std::array<Type, N>& values) {
    for (Type& value : values) read(value);
  }

  std::string_view rest_;
  bool good_ = true;
};

template <class Frame>
void encode_frame(const Frame& frame, std::string& bytes) {
  Writer writer(bytes);
  writer(static_cast<std::uint8_t>(frame.index()));
  std::visit([&](const auto& one) { list(writer, one); }, frame);
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

template <class Frame>
Result<Frame> decode_frame(std::string_view bytes) {
  const auto nonsense = [] {
    return Error{Errc::internal, "the other process says what nobody understands"};
  };
  Frame frame;
  if (bytes.empty() || !become(frame, static_cast<unsigned char>(bytes.front()))) return nonsense();
  Reader reader(bytes.substr(1));
  std::visit([&](auto& one) { list(reader, one); }, frame);
  if (!reader.done()) return nonsense();
  return frame;
}

}  // namespace

void encode(const Order& order, std::string& bytes) { encode_frame(order, bytes); }
void encode(const Word& word, std::string& bytes) { encode_frame(word, bytes); }
Result<Order> decode_order(std::string_view bytes) { return decode_frame<Order>(bytes); }
Result<Word> decode_word(std::string_view bytes) { return decode_frame<Word>(bytes); }

}  // namespace spillway::isolated
