// A model that says a, b, c …: small enough to see through, gated so that tests decide when it
// steps.
#pragma once

#include "backends/contract/deadline.h"
#include "backends/local/engine/executor.h"
#include "backends/local/engine/text_codec.h"
#include "backends/local/sample/logprobs.h"
#include "backends/local/sample/sampler.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace spillway::local {

// How long a test waits for what must come.
inline Deadline soon() { return SteadyClock::now() + std::chrono::seconds(10); }

template <class Condition>
bool eventually(Condition condition) {
  const Deadline limit = soon();
  while (!condition()) {
    if (SteadyClock::now() > limit) return false;
    std::this_thread::yield();
  }
  return true;
}

// Says the letters a, b, c … one id each; encodes a message to one id a byte. 'z' ends an answer.
class LetterCodec : public TextCodec {
 public:
  Result<std::vector<std::int32_t>> encode(const std::vector<Message>& messages, const Tools*,
                                           std::string_view begun, int) const override {
    ++encoded;
    std::vector<std::int32_t> ids;
    for (const Message& message : messages) ids.insert(ids.end(), message.content.size(), 0);
    for (const char letter : begun) ids.push_back(letter - 'a');
    return ids;
  }
  Result<std::vector<std::int32_t>> encode_text(std::string_view text, int) const override {
    std::vector<std::int32_t> ids;
    for (const char letter : text) ids.push_back(letter - 'a');
    return ids;
  }
  int vocabulary_size() const override { return 26; }
  grammar::Vocabulary vocabulary() const override {
    grammar::Vocabulary vocabulary{{}, end_ids_};
    for (char letter = 'a'; letter < 'z'; ++letter) vocabulary.bytes.push_back({letter});
    vocabulary.bytes.emplace_back();
    return vocabulary;
  }
  std::string spelling(std::int32_t id) const override { return {static_cast<char>('a' + id)}; }
  std::unique_ptr<TextStream> open_stream(bool) const override {
    class Stream final : public TextStream {
      std::string push(std::int32_t id) override { return {static_cast<char>('a' + id)}; }
      std::string finish() override { return {}; }
    };
    return std::make_unique<Stream>();
  }
  const std::vector<std::int32_t>& end_ids() const override { return end_ids_; }

  mutable std::atomic<int> encoded{0};

 private:
  const std::vector<std::int32_t> end_ids_{25};
};

// The logits of a model that says a, b, c … by position, as fast as `gate` lets steps through.
class LetterExecutor final : public Executor {
 public:
  struct Gate {
    std::mutex mutex;
    std::condition_variable opened;
    int steps_allowed = 1 << 30;
    bool broken = false;
    bool scores = false;  // Tokens are chosen and scored by the executor, and no logits come back.
    std::atomic<int> begun{0};
    std::atomic<int> steps{0};  // That were let through.

    void allow(int steps_more) {
      std::lock_guard lock(mutex);
      steps_allowed += steps_more;
      opened.notify_all();
    }
  };

  explicit LetterExecutor(std::shared_ptr<Gate> gate, int kv_blocks = 64)
      : gate_(std::move(gate)), kv_blocks_(kv_blocks) {}

  ExecutorShape shape() const override { return {26, 512, kv_blocks_, true, true}; }

  Result<StepResult> run(std::span<const Slice> slices) override {
    ++gate_->begun;
    {
      std::unique_lock lock(gate_->mutex);
      gate_->opened.wait(lock, [this] { return gate_->steps_allowed > 0 || gate_->broken; });
      if (gate_->broken) return Error{Errc::internal, "device lost", "", std::nullopt};
      --gate_->steps_allowed;
    }
    ++gate_->steps;
    logits_.clear();
    for (const Slice& slice : slices) {
      if (slice.logits_rows == 0) continue;
      for (int row = 0; row < slice.logits_rows; ++row) {
        const std::size_t at = logits_.size();
        logits_.resize(at + 26, 0.0f);
        const int drafted = std::max(0, row - static_cast<int>(slice.behind.size()));
        logits_[at + static_cast<std::size_t>((slice.sampler->generated() + drafted) % 26)] = 9.0f;
      }
    }
    if (gate_->scores) return scored(slices);
    return StepResult{logits_, {}};
  }

 private:
  StepResult scored(std::span<const Slice> slices) {
    sampled_.clear();
    scored_.clear();
    for (const Slice& slice : slices) {
      for (std::size_t i = 0; i < static_cast<std::size_t>(slice.logits_rows); ++i) {
        const auto row = std::span(logits_).subspan(26 * sampled_.size(), 26);
        sampled_.push_back(slice.sampler->choose(row, scratch_));
        const bool is_given = i < slice.behind.size();
        const std::int32_t token = is_given ? slice.behind[i] : sampled_.back();
        const Sampling& asked = slice.sampler->sampling();
        const auto likeliest = is_given ? likeliest_of_prompt(asked) : asked.logprobs;
        scored_.push_back(score(row, token, likeliest.value_or(0), scratch_));
      }
    }
    return {{}, sampled_, scored_};
  }

  const std::shared_ptr<Gate> gate_;
  const int kv_blocks_;
  std::vector<float> logits_;
  std::vector<std::int32_t> sampled_;
  std::vector<ScoredToken> scored_;
  SamplerScratch scratch_;
};

}  // namespace spillway::local
