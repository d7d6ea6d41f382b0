// Where long prompts are read and tokenised, so that no connection's worker is held up meanwhile:
// on two threads, of which a tenant has one at a time. Tenants take turns.
//
// Any thread may ask. Cancel: who waits for a turn leaves at once; what is being read is, whoever
// still waits for it.
#pragma once

#include "backends/contract/backend.h"
#include "gateway/wire/reading_room.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace spillway {

class LongPrompts final : public wire::ReadingRoom {
 public:
  LongPrompts();
  ~LongPrompts() override;  // stop()s.
  LongPrompts(const LongPrompts&) = delete;
  LongPrompts& operator=(const LongPrompts&) = delete;

  // Does `work` there; the asking coroutine goes on when it is done. backend_unavailable: it was
  // stopped first; cancelled: its client left first.
  Async<void> run(std::string tenant, std::function<void()> work) override;

  // Waits for what has begun; who waits for something else is refused, as is who asks from now on.
  void stop();

 private:
  struct Order {
    std::uint64_t id;
    std::string tenant;
    std::function<void()> work;
    std::function<void(Result<void>)> answer;
    bool begun = false;
  };

  void ask(Order order);
  void leave(std::uint64_t id);
  void serve();

  std::atomic<std::uint64_t> last_id_{0};
  std::mutex mutex_;  // Of all below but the threads.
  std::condition_variable changed_;
  std::list<Order> orders_;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace spillway
