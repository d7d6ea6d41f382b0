// Follows answers through their forms, on a thread of its own: what a token lets follow takes
// microseconds, but in some grammars seconds, and for these no step is to wait.
//
// The engine thread alone hands in. A FormProgress is the follower's from then until it is known
// again; both hold it, so that a sequence may end meanwhile. Destruction waits for the one that is
// being followed.
#pragma once

#include "backends/contract/deadline.h"
#include "backends/local/grammar/grammar.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace spillway::local {

// Where one answer stands in its form.
class FormProgress {
 public:
  // The tokens that may begin it are looked up here.
  explicit FormProgress(std::unique_ptr<grammar::Matcher> matcher)
      : matcher_(std::move(matcher)), allowed_(matcher_->allowed()) {}

  // The last token has been followed, and what may come now is `allowed`: nothing, if that is
  // empty, as the form then lets nothing follow or takes too long for it.
  bool known() const { return known_.load(std::memory_order_acquire); }
  grammar::Mask allowed() const { return allowed_; }

 private:
  friend class FormFollower;

  const std::unique_ptr<grammar::Matcher> matcher_;
  grammar::Mask allowed_;
  std::atomic<bool> known_ = true;
};

class FormFollower {
 public:
  using Done = std::function<void()>;

  FormFollower();
  ~FormFollower();
  FormFollower(const FormFollower&) = delete;

  // `progress` is not known until the token has been followed; then `done` is called on the
  // follower's thread.
  void follow(std::shared_ptr<FormProgress> progress, std::int32_t token, Done done);

  // Waits until all that was handed in is known; not beyond `until`.
  void await(Deadline until);

 private:
  struct Work {
    std::shared_ptr<FormProgress> progress;
    std::int32_t token = 0;
    Done done;
  };

  void run();

  std::mutex mutex_;
  std::condition_variable came_;
  std::condition_variable went_;
  std::deque<Work> work_;  // The first is being done.
  bool closing_ = false;
  std::thread thread_;
};

}  // namespace spillway::local
