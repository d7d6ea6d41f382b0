// The `cloud` thread: drives every transfer of every provider over one libcurl multi handle, so
// that all of them share one pool of kept-alive connections.
//
// Made and stopped by the composition root, and outlives the backends made on it. Any thread may
// hand it work; what a provider says goes through a Bridge to the coroutine that asked. Stopping
// fails every stream that is still open.
#pragma once

#include <memory>

namespace spillway::cloud {

class TransferLoop;

class CloudThread {
 public:
  // Starts the thread. Throws std::runtime_error if libcurl or the system refuses.
  CloudThread();
  ~CloudThread();  // stop()
  CloudThread(const CloudThread&) = delete;
  CloudThread& operator=(const CloudThread&) = delete;

  // Fails all streams with backend_unavailable, closes all connections, joins the thread.
  // Idempotent; requests opened afterwards are refused.
  void stop();

  // For the backends of this room.
  TransferLoop& loop() { return *loop_; }

 private:
  std::unique_ptr<TransferLoop> loop_;
};

}  // namespace spillway::cloud
