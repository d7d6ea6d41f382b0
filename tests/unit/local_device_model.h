// A model on a device that runs steps behind its caller's back, as a GPU does, and watches over
// what the engine promises: each step runs as late as it can, over KV memory that others may have
// overwritten by then.
#pragma once

#include "backends/local/engine/executor.h"
#include "backends/local/sample/sampler.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace spillway::local {

// What tests ask of a device while an engine drives it; any thread.
struct DeviceWatch {
  std::mutex mutex;
  std::condition_variable opened;
  int steps_allowed = 1 << 30;  // To finish.
  int begun = 0;
  int finished = 0;
  int begun_ahead = 0;  // While another step was under way.
  int drawn = 0;        // Tokens, wasted ones included.
  std::set<SequenceId> in_last_step;
  std::string problem;  // The first broken promise.

  void allow(int steps_more) {
    const std::lock_guard lock(mutex);
    steps_allowed += steps_more;
    opened.notify_all();
  }
  template <class Value>
  Value read(Value DeviceWatch::* member) {
    const std::lock_guard lock(mutex);
    return this->*member;
  }
};

// The next token is a number of all that came before, read back from the KV memory: whatever goes
// wrong there changes the answer. One in `end_every` is the id that ends an answer. Requests with
// penalties get logits.
class DeviceExecutor final : public Executor {
 public:
  static constexpr int kVocabulary = 26;
  static constexpr std::int32_t kEnd = 25;

  DeviceExecutor(std::shared_ptr<DeviceWatch> watch, NextStep next, int kv_blocks,
                 unsigned end_every = 1 << 30)
      : watch_(std::move(watch)),
        next_(next),
        end_every_(end_every),
        kv_(static_cast<std::size_t>(kv_blocks) * kBlockTokens, -1) {}

  ExecutorShape shape() const override {
    return {kVocabulary, 512, static_cast<int>(kv_.size()) / kBlockTokens};
  }

  Result<StepResult> run(std::span<const Slice> slices) override {
    if (auto begun = begin(slices); !begun) return begun.error();
    return finish();
  }

  Result<NextStep> begin(std::span<const Slice> slices) override {
    Step step;
    for (const Slice& slice : slices) {
      step.slices.push_back({slice.sequence,
                             {slice.tokens.begin(), slice.tokens.end()},
                             slice.first_position,
                             {slice.blocks.begin(), slice.blocks.end()},
                             slice.logits_rows > 0});
      const bool penalized = slice.sampler->sampling().frequency_penalty != 0.0;
      step.on_host = step.on_host || (slice.logits_rows > 0 && penalized);
    }
    const std::lock_guard lock(watch_->mutex);
    if (steps_.size() > 1) complain("a third step is under way");
    if (!steps_.empty() && steps_.back().on_host) complain("its logits were not looked at yet");
    for (const Kept& slice : step.slices) check(slice);
    ++watch_->begun;
    watch_->begun_ahead += steps_.empty() ? 0 : 1;
    watch_->in_last_step.clear();
    for (const Kept& slice : step.slices) watch_->in_last_step.insert(slice.sequence);
    steps_.push_back(step);
    return step.on_host ? NextStep::after_finish : next_;
  }

  Result<StepResult> finish() override {
    std::unique_lock lock(watch_->mutex);
    watch_->opened.wait(lock, [this] { return watch_->steps_allowed > 0; });
    --watch_->steps_allowed;
    const Step step = std::move(steps_.front());
    steps_.pop_front();
    ++watch_->finished;
    sampled_.clear();
    logits_.clear();
    for (const Kept& slice : step.slices) write(slice);
    for (const Kept& slice : step.slices) {
      if (slice.yields) draw(slice, step.on_host);
    }
    watch_->drawn += static_cast<int>(sampled_.size());
    if (step.on_host) return StepResult{logits_, {}};
    return StepResult{{}, sampled_};
  }

 private:
  struct Kept {
    SequenceId sequence = 0;
    std::vector<std::int32_t> tokens;
    int first_position = 0;
    std::vector<std::int32_t> blocks;
    bool yields = false;
  };
  struct Step {
    std::vector<Kept> slices;
    bool on_host = false;
  };

  void complain(const std::string& problem) {
    if (watch_->problem.empty()) watch_->problem = problem;
  }

  void check(const Kept& slice) {
    bool draws = false;
    for (const Step& step : steps_) {
      for (const Kept& other : step.slices) {
        if (other.sequence == slice.sequence) {
          draws = draws || other.yields;
          continue;
        }
        for (const std::int32_t block : slice.blocks) {
          if (std::count(other.blocks.begin(), other.blocks.end(), block) != 0) {
            complain("a block changed hands while a step that has it is under way");
          }
        }
      }
    }
    const bool unseen = slice.tokens.front() == kTokenUnderWay;
    if (unseen && !draws) complain("no step under way draws this token");
    if (!unseen && draws) complain("a token that nobody can know yet");
    if (slice.first_position + slice.tokens.size() > slice.blocks.size() * kBlockTokens) {
      complain("a position without a block");
    }
  }

  std::int32_t& kv_at(const Kept& slice, int position) {
    const auto block = slice.blocks[static_cast<std::size_t>(position / kBlockTokens)];
    return kv_[static_cast<std::size_t>(block * kBlockTokens + position % kBlockTokens)];
  }

  void write(const Kept& slice) {
    for (std::size_t i = 0; i < slice.tokens.size(); ++i) {
      const std::int32_t token = slice.tokens[i];
      kv_at(slice, slice.first_position + static_cast<int>(i)) =
          token == kTokenUnderWay ? drawn_.at(slice.sequence) : token;
    }
  }

  void draw(const Kept& slice, bool on_host) {
    std::uint32_t hash = 2'166'136'261u;
    const int length = slice.first_position + static_cast<int>(slice.tokens.size());
    for (int position = 0; position < length; ++position) {
      hash = (hash ^ static_cast<std::uint32_t>(kv_at(slice, position) + 1)) * 16'777'619u;
    }
    hash ^= hash >> 15;
    const auto letter = static_cast<std::int32_t>(hash % kEnd);
    const std::int32_t token = (hash >> 8) % end_every_ == 0 ? kEnd : letter;
    drawn_[slice.sequence] = token;
    sampled_.push_back(token);
    if (!on_host) return;
    logits_.resize(logits_.size() + kVocabulary, 0.0f);
    (logits_.end() - kVocabulary)[token] = 1e3f;
  }

  const std::shared_ptr<DeviceWatch> watch_;
  const NextStep next_;
  const unsigned end_every_;
  std::vector<std::int32_t> kv_;
  std::map<SequenceId, std::int32_t> drawn_;
  std::deque<Step> steps_;
  std::vector<std::int32_t> sampled_;
  std::vector<float> logits_;
};

}  // namespace spillway::local
