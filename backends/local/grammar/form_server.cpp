#include "backends/local/grammar/form_server.h"

#include "backends/local/grammar/compiled_bytes_internal.h"
#include "backends/local/grammar/compiler_internal.h"
#include "backends/local/grammar/form_line_internal.h"
#include "backends/local/grammar/size_check.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

namespace spillway::local::grammar {
namespace {

constexpr int kLowPriority = 10;
constexpr int kLowestPriority = 19;
constexpr timeval kAtLowPriority{0, 500'000};  // Of a processor: most forms take less.
constexpr std::size_t kOrderBytesMax = 1 << 20;
constexpr std::chrono::seconds kToBeTold(10);

void write_to(const char* path, const char* text) {
  if (std::FILE* const file = std::fopen(path, "w")) {
    std::fputs(text, file);
    std::fclose(file);
  }
}

std::string contents_of(int number) {
  struct stat about{};
  std::string bytes;
  if (::fstat(number, &about) != 0) return bytes;
  bytes.resize(static_cast<std::size_t>(about.st_size));
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t got =
        ::pread(number, bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
    if (got <= 0) return {};
    at += static_cast<std::size_t>(got);
  }
  return bytes;
}

// Of memory that only this process has and can write to, in bytes.
[[maybe_unused]] std::size_t memory_now() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::size_t kib = 0;
    if (word == "VmData:" && status >> kib) return kib * 1'024;
  }
  return 0;
}

// False, and errno: it cannot be limited. Sanitizers map more than there is.
bool limit_memory([[maybe_unused]] std::size_t bytes) {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  write_to("/proc/self/oom_score_adj", "1000");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  rlimit most{};
  if (::getrlimit(RLIMIT_DATA, &most) != 0) return false;
  most.rlim_max = std::min<rlim_t>(most.rlim_max, memory_now() + bytes);
  most.rlim_cur = most.rlim_max;
  return ::setrlimit(RLIMIT_DATA, &most) == 0;
#else
  return true;
#endif
}

// It is killed when the time is over, and stands behind all others when it has had some.
void limit_time(std::chrono::milliseconds time) {
  std::signal(SIGALRM, SIG_DFL);
  std::signal(SIGPROF, [](int) { (void)::setpriority(PRIO_PROCESS, 0, kLowestPriority); });
  (void)::setpriority(PRIO_PROCESS, 0, kLowPriority);
  const itimerval soon{{}, kAtLowPriority};
  ::setitimer(ITIMER_PROF, &soon, nullptr);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  const std::chrono::microseconds rest = time - seconds;
  const itimerval over{{}, {seconds.count(), rest.count()}};
  ::setitimer(ITIMER_REAL, &over, nullptr);
}

// It is not the form's fault.
std::string told_failure(const char* what) {
  return packed(Error{Errc::backend_unavailable, std::string(what) + ": " + std::strerror(errno)});
}

std::string answer_to(const Form& form, Maker& maker) try {
  return packed(maker.make(form));
} catch (const std::bad_alloc&) {
  return packed(takes_too_much(form));
}

[[noreturn]] void serve(int line, Maker& maker) {
  const auto asked = receive_frame(line, SteadyClock::now() + kToBeTold, kOrderBytesMax);
  if (!asked) std::_Exit(EXIT_FAILURE);
  const Order order = unpacked_order(*asked);
  if (!limit_memory(order.memory)) {
    (void)send_frame(line, told_failure("their memory cannot be limited"));
    std::_Exit(EXIT_FAILURE);
  }
  limit_time(order.time);
  (void)send_frame(line, answer_to(order.form, maker));
  std::_Exit(EXIT_SUCCESS);
}

// A copy of this process that has all of it, and no more to do.
void serve_in_child(const process::Descriptor& line, Maker& maker) {
  const pid_t server = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) (void)send_frame(line.get(), told_failure("no process can be started"));
  if (child != 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_NAME, "spillway-form");
  if (::getppid() != server) std::_Exit(EXIT_FAILURE);
  ::close(kOrdersNumber);
  serve(line.get(), maker);
}

}  // namespace

void run_form_server() {
  if (::fcntl(kOrdersNumber, F_GETFD) < 0) {
    std::fprintf(stderr, "spillway: an engine starts this, to compile forms of answers\n");
    std::exit(EXIT_FAILURE);
  }
  ::prctl(PR_SET_NAME, "spillway-forms");
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) std::signal(signal, SIG_IGN);
  Maker maker(unpacked_vocabulary(contents_of(kVocabularyNumber)));
  ::close(kVocabularyNumber);
  if (!send_frame(kOrdersNumber, "")) std::_Exit(EXIT_FAILURE);
  while (true) {
    const process::Descriptor line = receive_line(kOrdersNumber);
    if (!line.open()) std::_Exit(EXIT_SUCCESS);
    serve_in_child(line, maker);
  }
}

}  // namespace spillway::local::grammar
