#include "backends/local/engine/choice_outlet.h"

#include <atomic>
#include <mutex>
#include <utility>

namespace spillway::local {

namespace {

struct Whole {
  std::mutex mutex;  // Held while anything is said to `outlet`.
  const std::shared_ptr<Outlet> outlet;
  const std::function<void()> on_failure;
  int unfinished = 0;
  int untold = 0;  // Choices whose usage is not in `usage` yet.
  Usage usage = {};
  std::atomic<bool> failed = false;
};

class ChoiceOutlet final : public Outlet {
 public:
  ChoiceOutlet(std::shared_ptr<Whole> whole, int choice, bool first_of_prompt)
      : whole_(std::move(whole)), choice_(choice), first_of_prompt_(first_of_prompt) {}

  void push(Delta delta) override {
    delta.choice = choice_;
    std::lock_guard lock(whole_->mutex);
    if (delta.usage) delta.usage = add(*delta.usage);
    whole_->outlet->push(std::move(delta));
  }

  void finish() override {
    std::lock_guard lock(whole_->mutex);
    if (--whole_->unfinished == 0) whole_->outlet->finish();
  }

  void fail(Error error) override {
    if (whole_->failed.exchange(true)) return;
    {
      std::lock_guard lock(whole_->mutex);
      whole_->outlet->fail(std::move(error));
    }
    whole_->on_failure();
  }

  bool full() override {
    std::lock_guard lock(whole_->mutex);
    return whole_->outlet->full();
  }
  bool abandoned() const override { return whole_->failed || whole_->outlet->abandoned(); }

 private:
  // The first has read its prompt. Nothing, unless this is the last.
  std::optional<Usage> add(const Usage& usage) {
    Usage& sum = whole_->usage;
    if (first_of_prompt_) {
      sum.prompt_tokens += usage.prompt_tokens;
      sum.cached_tokens += usage.cached_tokens;
    }
    sum.completion_tokens += usage.completion_tokens;
    return --whole_->untold == 0 ? std::optional(sum) : std::nullopt;
  }

  const std::shared_ptr<Whole> whole_;
  const int choice_;
  const bool first_of_prompt_;
};

}  // namespace

std::vector<std::shared_ptr<Outlet>> divide(std::shared_ptr<Outlet> whole, int answers, int to_each,
                                            std::function<void()> on_failure) {
  if (answers == 1) return {std::move(whole)};
  const std::shared_ptr<Whole> shared(
      new Whole{{}, std::move(whole), std::move(on_failure), answers, answers});
  std::vector<std::shared_ptr<Outlet>> ends;
  for (int choice = 0; choice < answers; ++choice)
    ends.push_back(std::make_shared<ChoiceOutlet>(shared, choice, choice % to_each == 0));
  return ends;
}

}  // namespace spillway::local
