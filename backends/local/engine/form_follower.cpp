#include "backends/local/engine/form_follower.h"

#include "backends/contract/tenant_turns.h"
#include "backends/local/grammar/work_limit.h"

#include <algorithm>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace spillway::local {

namespace {

using grammar::TooMuchWork;
using grammar::WorkLimit;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr int kLowPriority = 10;

// On the quick thread an answer has so much for each token, and what it did not need of earlier
// ones up to a limit.
constexpr microseconds kQuickToken(500);
constexpr milliseconds kQuickMax(20);

// A form that takes so long for a token is given up: others stand behind it. So is one that takes
// so long in all.
constexpr milliseconds kTokenMax(100);
constexpr milliseconds kAnswerMax(1'000);
constexpr milliseconds kAnswerMoreAToken(1);

constexpr microseconds kBegunByte(10);

}  // namespace

FormProgress::FormProgress(std::shared_ptr<const grammar::Grammar> grammar, std::string begun,
                           std::string owner)
    : grammar_(std::move(grammar)),
      begun_(std::move(begun)),
      owner_(std::move(owner)),
      quick_left_(kQuickMax),
      slow_left_(kAnswerMax) {
  try {
    const WorkLimit limit(kTokenMax + begun_.size() * kBegunByte);
    find_place();
    if (matcher_) look();
  } catch (const TooMuchWork&) {
    give_up();
  }
}

void FormProgress::look() {
  const grammar::Mask mask = matcher_->allowed();
  allowed_ = grammar::is_empty(mask) ? grammar::Mask() : mask;
}

void FormProgress::follow_last() {
  allowed_ = {};
  if (matcher_ && matcher_->accept(tokens_.back())) look();
}

// Before the last token.
void FormProgress::find_place() {
  matcher_ = grammar_->match();
  bool fits = matcher_->accept(begun_);
  for (std::size_t i = 0; fits && i + 1 < tokens_.size(); ++i) fits = matcher_->accept(tokens_[i]);
  if (!fits) matcher_.reset();
}

void FormProgress::give_up() {
  takes_too_long_ = true;
  allowed_ = {};
  matcher_.reset();
}

// False: it is not through yet, and its place is lost.
bool FormProgress::follow_quickly() {
  quick_left_ = std::min<Time>(quick_left_ + kQuickToken, kQuickMax);
  try {
    const WorkLimit limit(quick_left_);
    follow_last();
    quick_left_ -= limit.taken();
    return true;
  } catch (const TooMuchWork&) {
    is_slow_ = true;
    matcher_.reset();
    return false;
  }
}

void FormProgress::follow_slowly() {
  slow_left_ += kAnswerMoreAToken;
  try {
    if (!matcher_) {
      const WorkLimit limit(slow_left_);
      find_place();
      slow_left_ -= limit.taken();
    }
    const WorkLimit limit(std::min<Time>(slow_left_, kTokenMax));
    follow_last();
    slow_left_ -= limit.taken();
  } catch (const TooMuchWork&) {
    give_up();
  }
}

Error takes_too_long_to_follow(std::string field) {
  return {Errc::invalid_request,
          "the form that the answer is held to takes too long to follow: repeat nothing that is "
          "repeated itself, and let no text be read by two rules",
          std::move(field), std::nullopt};
}

FormFollower::FormFollower()
    : slow_("forms-slow", true,
            [](Work& work) {
              work.progress->follow_slowly();
              work.progress->known_.store(true, std::memory_order_release);
              work.done();
            }),
      quick_("forms-follow", false, [this](Work& work) {
        if (!work.progress->follow_quickly()) return push_slow(std::move(work));
        work.progress->known_.store(true, std::memory_order_release);
        work.done();
      }) {}

void FormFollower::follow(std::shared_ptr<FormProgress> progress, std::int32_t token, Done done) {
  progress->known_.store(false, std::memory_order_relaxed);
  progress->tokens_.push_back(token);
  const bool is_slow = progress->is_slow_;
  Work work{.progress = std::move(progress), .done = std::move(done)};
  if (is_slow) return push_slow(std::move(work));
  quick_.push(std::move(work));
}

void FormFollower::push_slow(Work work) {
  work.tenant = work.progress->owner_;
  slow_.push(std::move(work));
}

FormFollower::Line::Line(const char* name, bool is_low, Do work)
    : do_(std::move(work)), thread_([this, name, is_low] {
        pthread_setname_np(pthread_self(), name);
        if (is_low)
          (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kLowPriority);
        run();
      }) {}

FormFollower::Line::~Line() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  came_.notify_one();
  thread_.join();
}

void FormFollower::Line::push(Work work) {
  {
    std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
  }
  came_.notify_one();
}

void FormFollower::Line::await(Deadline until) {
  std::unique_lock lock(mutex_);
  went_.wait_until(lock, until, [this] { return work_.empty(); });
}

void FormFollower::Line::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    came_.wait(lock, [this] { return closing_ || !work_.empty(); });
    if (closing_) return;
    Work& work = work_.front();
    const std::string tenant = work.tenant;
    lock.unlock();
    do_(work);
    lock.lock();
    work_.pop_front();
    if (!tenant.empty()) let_others_first(work_, tenant);
    if (work_.empty()) went_.notify_all();
  }
}

}  // namespace spillway::local
