// Where other threads leave orders for the cloud thread, and what wakes it.
//
// Any thread puts in; the cloud thread takes out. Shared, since a Bridge may tell of room after the
// thread has gone.
#pragma once

#include "backends/cloud/transfer.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace spillway::cloud {

using TransferId = std::uint64_t;

struct Orders {
  std::vector<std::unique_ptr<Transfer>> starts;
  std::vector<TransferId> look_at;  // The consumer has room again, or has gone.
  bool stop = false;

  bool empty() const { return starts.empty() && look_at.empty() && !stop; }
};

class Inbox {
 public:
  Inbox();  // Throws std::system_error if the system has no descriptor left.
  ~Inbox();
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // Any thread. False once the inbox is closed.
  bool start(std::unique_ptr<Transfer> transfer);
  void look_at(TransferId id);
  void stop();

  // Cloud thread. Takes what is there. Only if nothing was there does the next order make
  // `descriptor` readable: while the thread is busy, orders cost their sender no system call.
  Orders take();
  // Refuses further orders, and takes the last ones.
  Orders close();
  void clear_wake_up();
  int descriptor() const { return wake_up_; }

 private:
  void wake(std::unique_lock<std::mutex> lock);

  const int wake_up_;  // eventfd
  std::mutex mutex_;
  Orders orders_;
  bool sleeping_ = false;
  bool closed_ = false;
};

}  // namespace spillway::cloud
