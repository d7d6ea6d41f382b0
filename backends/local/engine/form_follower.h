// Follows answers through their forms, on threads of its own: what a token lets follow takes
// microseconds, but in some grammars seconds, and for these no step is to wait.
//
// An answer has so much time for a token on the quick thread. One that is not through by then is
// stopped there and from then on followed by the slow thread, of low priority, which finds
// its place again by saying its tokens once more. There tenants take turns, and there, too, it has
// a limit, for a token and in all.
//
// The engine thread alone hands in. A FormProgress is the follower's from then until it is known
// again; both hold it, so that a sequence may end meanwhile. Destruction waits for those that are
// being followed.
#pragma once

#include "backends/contract/deadline.h"
#include "backends/contract/error.h"
#include "backends/local/grammar/grammar.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace spillway::local {

// Where one answer stands in its form.
class FormProgress {
 public:
  // It begins with `begun`. What may come then is looked up here. `owner`: the tenant.
  FormProgress(std::shared_ptr<const grammar::Grammar> grammar, std::string begun,
               std::string owner);

  // The last token has been followed, and what may come now is `allowed`: nothing, if that is
  // empty, as the form then lets nothing follow or takes too long for it.
  bool known() const { return known_.load(std::memory_order_acquire); }
  grammar::Mask allowed() const { return allowed_; }
  bool takes_too_long() const { return takes_too_long_; }

 private:
  friend class FormFollower;
  using Time = std::chrono::nanoseconds;

  void look();
  void follow_last();
  void find_place();
  void give_up();
  bool follow_quickly();
  void follow_slowly();

  const std::shared_ptr<const grammar::Grammar> grammar_;
  const std::string begun_;
  const std::string owner_;
  std::vector<std::int32_t> tokens_;           // That were followed, the last perhaps not yet.
  std::unique_ptr<grammar::Matcher> matcher_;  // Null: its place is lost.
  grammar::Mask allowed_;
  bool is_slow_ = false;
  bool takes_too_long_ = false;
  Time quick_left_{};  // Of what it may take of the quick thread,
  Time slow_left_{};   // …and of the slow one.
  std::atomic<bool> known_ = true;
};

// What is said of a form that is given up; `field`: the request's, where that is known.
Error takes_too_long_to_follow(std::string field = {});

class FormFollower {
 public:
  using Done = std::function<void()>;

  FormFollower();

  // `progress` is not known until the token has been followed; then `done` is called on a thread
  // of the follower's.
  void follow(std::shared_ptr<FormProgress> progress, std::int32_t token, Done done);

  // Waits until all that was handed in and is not slow is known; not beyond `until`.
  void await(Deadline until) { quick_.await(until); }

 private:
  struct Work {
    std::shared_ptr<FormProgress> progress;
    Done done;
    std::string tenant;  // Whose turn it takes; empty: there are no turns.
    bool begun = false;
  };

  // A thread, and what it is to do, one after another.
  class Line {
   public:
    using Do = std::function<void(Work&)>;

    Line(const char* name, bool is_low, Do work);
    ~Line();
    void push(Work work);
    void await(Deadline until);

   private:
    void run();

    const Do do_;
    std::mutex mutex_;
    std::condition_variable came_;
    std::condition_variable went_;
    std::list<Work> work_;  // The first is being done.
    bool closing_ = false;
    std::thread thread_;
  };

  void push_slow(Work work);

  Line slow_;
  Line quick_;  // Hands on to the other.
};

}  // namespace spillway::local
