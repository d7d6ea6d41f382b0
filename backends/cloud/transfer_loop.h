// What the cloud thread does: libcurl's multi handle driven by epoll, so that a wake-up costs the
// transfers that have something to say and not all that are open.
//
// `start` and `inbox` are for any thread; everything else happens on the loop's own.
#pragma once

#include "backends/cloud/inbox.h"
#include "backends/cloud/transfer.h"
#include "backends/contract/deadline.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <unordered_map>

namespace spillway::cloud {

class TransferLoop {
 public:
  TransferLoop();   // Starts the thread; throws std::runtime_error.
  ~TransferLoop();  // stop()
  TransferLoop(const TransferLoop&) = delete;
  TransferLoop& operator=(const TransferLoop&) = delete;

  TransferId next_id() { return next_id_.fetch_add(1, std::memory_order_relaxed); }
  const std::shared_ptr<Inbox>& inbox() const { return inbox_; }

  // Fails what is open, joins. Idempotent; one thread at a time.
  void stop();

 private:
  static int on_socket(void* easy, int socket, int what, void* self, void* known);
  static int on_timer(void* multi, long timeout_ms, void* self);

  void set_up();
  void run();
  void obey(Orders orders);
  void begin(std::unique_ptr<Transfer> transfer);
  void look_at(TransferId id);
  void wait(int timeout_ms);
  void run_timer();
  void reap_completed();
  void end_overdue();
  void remove(Transfer& transfer);
  void end_all();
  int wait_ms() const;

  std::shared_ptr<Inbox> inbox_;
  std::atomic<TransferId> next_id_{1};
  void* multi_ = nullptr;  // CURLM*
  int epoll_ = -1;
  std::optional<TimePoint> timer_;             // When libcurl wants to be called.
  TimePoint earliest_due_ = TimePoint::max();  // No transfer is overdue before.
  std::unordered_map<TransferId, std::unique_ptr<Transfer>> transfers_;
  std::thread thread_;
};

}  // namespace spillway::cloud
