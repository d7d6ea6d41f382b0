// Keeps an engine, or several, running in a process of their own: starts it, carries what it says
// to the switchboard, and when it dies, hangs or talks nonsense, buries it and starts another.
//
// One thread, from construction to `stop`. It never waits for the process: what is slow there is
// slow there. Whoever made it is told what happens, on that thread.
#pragma once

#include "backends/contract/deadline.h"
#include "backends/isolated/switchboard.h"
#include "backends/process/child_process.h"
#include "backends/process/descriptor.h"
#include "config/settings.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace spillway::isolated {

// What the process's exit status says of why it ended; see engine_process.cpp.
enum class Exit { stopped = 0, not_loaded = 3, engine_failed = 4, gateway_gone = 5, confused = 6 };

struct Notice {
  enum class What { starts, serves, replica_failed, ended, prints };
  What what = What::starts;
  int pid = 0;
  std::string text;  // ended, replica_failed: of what. prints: a line of its output.
  std::chrono::milliseconds time{0};  // serves: after its start. ended: until it is started again.
  std::size_t replica = 0;            // replica_failed: which; the others serve on.
};
using Tell = std::function<void(const Notice& notice)>;

class Supervisor {
 public:
  Supervisor(process::Program program, config::Isolated pace, std::string settings,
             std::shared_ptr<Switchboard> board, Tell tell);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;

  // Any thread. How often it was started again.
  std::uint64_t restarts() const;
  // Any thread. Why no engine serves now; empty: one does.
  std::string obstacle() const;

  // Lets the engine finish until `drain_until`, then kills it. Blocks; idempotent.
  void stop(Deadline drain_until);

 private:
  struct Running;
  struct News {
    bool ended = false;
    bool printed = false;
  };

  void run();
  std::string serve_once(bool& lasted);
  std::string watch(Running& running);
  Result<bool> listen(Running& running);
  Result<void> heed(Running& running, Word&& word);
  void lose(Running& running, const ReplicaFailed& failed);
  std::optional<std::string> fault_of(Running& running);
  void pass_on_lines(process::ChildProcess& process);
  News await_news(Running& running, bool is_over);
  std::optional<Deadline> stopping() const;
  bool pause(std::chrono::milliseconds time) const;
  std::string lost(std::string how);
  void set_obstacle(std::string why);

  const process::Program program_;
  const config::Isolated pace_;
  const std::string settings_;
  const std::shared_ptr<Switchboard> board_;
  const Tell tell_;
  const process::Descriptor bell_;  // Rung when it is to stop.

  mutable std::mutex mutex_;
  std::optional<Deadline> drain_until_;
  std::string obstacle_ = "the local model is being loaded";
  std::uint64_t restarts_ = 0;

  std::mutex joining_;
  std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace spillway::isolated
