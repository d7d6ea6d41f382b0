// Where forms are compiled: six at a time, on threads of low priority or for them elsewhere,
// so that a form that takes long stands in nobody's way, and a cache of what they made.
//
// Any thread may ask. What is answered is answered once: at once, if the form is known, on a thread
// of the workshop's otherwise. Tenants take turns, each with one form at a time. A form that takes
// too long is refused when its time is over; should the compiler go on with it, its thread keeps
// what it makes, another takes its place, and its tenant gets no other form until it is done. Where
// all threads are held up, who waits for one is refused after a while.
// Destruction refuses who waits, and stops what is being compiled.
#pragma once

#include "backends/local/grammar/grammar.h"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace spillway::local::grammar {

struct WorkshopLimits {
  std::chrono::milliseconds compiling{20'000};  // That a form may take, waiting for others apart.
  std::chrono::milliseconds for_a_thread{20'000};  // That it may wait.
  std::size_t waiting_max = 64;                    // Who asked for a form that is not there yet,
  std::size_t tenant_waiting_max = 16;             // …and of these, those of one tenant.
  std::size_t cache_bytes_max = 128u << 20;
};

class Workshop {
 public:
  using Answer = std::function<void(Result<std::shared_ptr<const Grammar>>)>;

  explicit Workshop(std::unique_ptr<Compiler> compiler, WorkshopLimits limits = {});
  ~Workshop();
  Workshop(const Workshop&) = delete;

  // invalid_request: the form cannot be held to (Compiler), or takes too long to compile.
  // overloaded: too many others are being compiled, or another of the tenant's takes too long.
  // backend_unavailable: the workshop closes.
  void ask(std::shared_ptr<const Form> form, const std::string& tenant, Answer answer);

  std::size_t cached_bytes() const;

 private:
  using Clock = std::chrono::steady_clock;

  // A form that is asked for: by several perhaps.
  struct Order {
    std::shared_ptr<const Form> form;
    std::string tenant;  // Who asked first.
    std::vector<Answer> answers;
    bool begun = false;
    Clock::time_point late;  // When it is, counted from when it was asked for, or from when begun.

    bool is_late() const { return begun && Clock::now() >= late; }
  };
  struct Made {
    Form form;
    std::shared_ptr<const Grammar> grammar;
  };

  std::shared_ptr<const Grammar> find(const Form& form);
  void keep(const Form& form, std::shared_ptr<const Grammar> grammar);
  std::size_t waiting() const;
  std::size_t waiting(const std::string& tenant) const;
  bool has_late(const std::string& tenant) const;
  std::list<Order>::iterator next();
  void work();
  void watch();
  void refuse_late(std::unique_lock<std::mutex>& lock, Order& late);
  void refuse_unbegun(std::unique_lock<std::mutex>& lock, std::list<Order>::iterator order);

  const std::unique_ptr<Compiler> compiler_;
  const WorkshopLimits limits_;
  mutable std::mutex mutex_;  // Of all below but the threads.
  std::condition_variable changed_;
  std::list<Order> orders_;  // Who is to be served first, first.
  std::list<Made> made_;     // Used last, first.
  std::size_t cached_bytes_ = 0;
  bool getting_ready_ = false;  // A thread waits for the compiler, and the others for it.
  bool closing_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace spillway::local::grammar
