#include "backends/process/child_process.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace spillway::process {
namespace {

constexpr std::size_t kLineMax = 2'000;
constexpr std::size_t kLinesAtOnce = 100;
constexpr int kReadsAtOnce = 16;  // Of 4 KiB.

Error failed(const char* what, int error) {
  return {Errc::internal, std::string(what) + ": " + std::strerror(error), "", std::nullopt};
}

// What of the environment machines, libraries and sanitizers are steered by: a name, or the
// beginning of many. The keys of providers and clients are in the environment, too.
constexpr std::string_view kHandedOn[] = {
    "PATH",    "HOME",     "TMPDIR",  "TZ",     "LANG",  "LC_",    "LD_",   "CUDA_",
    "CUBLAS_", "NVIDIA_",  "NCCL_",   "OMP_",   "GOMP_", "KMP_",   "MKL_",  "ATEN_",
    "TORCH_",  "PYTORCH_", "MALLOC_", "GLIBC_", "ASAN_", "UBSAN_", "LSAN_", "TSAN_"};

bool is_handed_on(std::string_view variable) {
  const std::string_view name = variable.substr(0, variable.find('='));
  return std::any_of(std::begin(kHandedOn), std::end(kHandedOn), [name](std::string_view one) {
    return one.ends_with('_') ? name.starts_with(one) : name == one;
  });
}

std::vector<char*> environment() {
  std::vector<char*> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (is_handed_on(*variable)) variables.push_back(*variable);
  }
  variables.push_back(nullptr);
  return variables;
}

// What posix_spawn is to do in the new process.
class Orders {
 public:
  Orders() {
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawnattr_init(&rest);
  }
  ~Orders() {
    ::posix_spawn_file_actions_destroy(&files);
    ::posix_spawnattr_destroy(&rest);
  }
  Orders(const Orders&) = delete;

  void hand_over(int output, std::span<const std::array<int, 2>> inherits) {
    ::posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&files, output, 1);
    ::posix_spawn_file_actions_adddup2(&files, output, 2);
    int last = 2;
    for (const auto& [here, there] : inherits) {
      ::posix_spawn_file_actions_adddup2(&files, here, there);
      last = std::max(last, there);
    }
    ::posix_spawn_file_actions_addclosefrom_np(&files, last + 1);
  }

  void usual_signals_own_group() {
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    ::posix_spawnattr_setsigmask(&rest, &none);
    ::posix_spawnattr_setsigdefault(&rest, &all);
    ::posix_spawnattr_setpgroup(&rest, 0);
    ::posix_spawnattr_setflags(
        &rest, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }

  posix_spawn_file_actions_t files{};
  posix_spawnattr_t rest{};
};

}  // namespace

Result<ChildProcess> ChildProcess::start(const Program& program,
                                         std::span<const std::array<int, 2>> inherits) {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) return failed("no pipe", errno);
  Descriptor output(ends[0]);
  const Descriptor prints_to(ends[1]);
  (void)::fcntl(output.get(), F_SETFL, O_NONBLOCK);

  Orders orders;
  orders.hand_over(prints_to.get(), inherits);
  orders.usual_signals_own_group();
  std::vector<char*> words{const_cast<char*>(program.path.c_str())};
  for (const std::string& word : program.arguments)
    words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const std::vector<char*> variables = environment();
  pid_t pid = 0;
  if (const int error = ::posix_spawn(&pid, program.path.c_str(), &orders.files, &orders.rest,
                                      words.data(), variables.data());
      error != 0)
    return failed("the process does not start", error);
  Descriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  const int error = errno;
  const bool watched = handle.open();
  ChildProcess child(pid, std::move(handle), std::move(output));
  if (watched) return child;
  child.kill();
  (void)child.bury();
  return failed("the process cannot be watched", error);
}

ChildProcess::~ChildProcess() {
  if (!handle_.open()) return;
  kill();
  (void)bury();
}

void ChildProcess::kill() { ::kill(pid_, SIGKILL); }

std::string ChildProcess::bury() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  handle_.close();
  if (WIFSIGNALED(status)) {
    const char* const name = ::sigabbrev_np(WTERMSIG(status));
    return "was killed by signal " + std::to_string(WTERMSIG(status)) +
           (name != nullptr ? " (SIG" + std::string(name) + ")" : "");
  }
  exit_status_ = WEXITSTATUS(status);
  return "ended with status " + std::to_string(*exit_status_);
}

std::vector<std::string> ChildProcess::lines() {
  std::vector<std::string> lines;
  char bytes[4'096];
  ssize_t count = 1;
  for (int reads = 0; reads < kReadsAtOnce && lines.size() < kLinesAtOnce; ++reads) {
    count = ::read(output_.get(), bytes, sizeof bytes);
    if (count <= 0) break;
    for (const char byte : std::string_view(bytes, static_cast<std::size_t>(count))) {
      if (byte != '\n' && line_.size() < kLineMax) line_ += byte;
      if (byte == '\n') lines.push_back(std::exchange(line_, {}));
    }
  }
  if (count == 0 && !line_.empty()) lines.push_back(std::exchange(line_, {}));
  if (count == 0) output_.close();
  return lines;
}

}  // namespace spillway::process
