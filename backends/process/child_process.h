// A process that is started, watched, and buried: never a zombie, never one that outlives its
// owner.
//
// Of the thread that started it: it must live as long as the process, which dies with it.
#pragma once

#include "backends/contract/error.h"
#include "backends/process/descriptor.h"

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::process {

struct Program {
  std::string path;
  std::vector<std::string> arguments;  // Without the name.
};

class ChildProcess {
 public:
  // With nothing open but what it prints to and `inherits`: pairs of a descriptor here and its
  // number there. Of the environment it gets what steers libraries and the machine, no keys. In a
  // process group of its own: what interrupts the gateway from a terminal lets it finish.
  static Result<ChildProcess> start(const Program& program,
                                    std::span<const std::array<int, 2>> inherits);
  ChildProcess(ChildProcess&&) noexcept = default;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess();  // Kills it, if it still runs.

  int pid() const { return pid_; }
  // Readable once it has ended.
  int ended() const { return handle_.get(); }
  // Readable when it has printed something; never waited for.
  int printed() const { return output_.get(); }

  void kill();
  // Waits for its end: "was killed by signal 9 (SIGKILL)", "ended with status 3".
  std::string bury();
  // Its exit status, if that is how it ended.
  std::optional<int> exit_status() const { return exit_status_; }

  // The lines it has printed since, without their ends; long ones are cut.
  std::vector<std::string> lines();

 private:
  ChildProcess(int pid, Descriptor handle, Descriptor output)
      : pid_(pid), handle_(std::move(handle)), output_(std::move(output)) {}

  int pid_ = 0;
  Descriptor handle_;  // Closed once it is buried.
  Descriptor output_;
  std::string line_;  // So far.
  std::optional<int> exit_status_;
};

}  // namespace spillway::process
