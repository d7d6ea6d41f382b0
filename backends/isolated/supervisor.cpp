#include "backends/isolated/supervisor.h"

#include "backends/isolated/pulses.h"

#include <algorithm>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <utility>
#include <variant>

namespace spillway::isolated {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFarewell{2'000};  // From the end of the draining to a kill.
constexpr milliseconds kSoon{1};          // When an order found no room.
constexpr milliseconds kStopping{10};
constexpr int kLooksPerSilence = 10;
constexpr int kWordsAtOnce = 1'000;

std::string meaning_of(int exit_status) {
  switch (static_cast<Exit>(exit_status)) {
    case Exit::not_loaded: return ": the model could not be loaded";
    case Exit::engine_failed: return ": the engine failed";
    case Exit::confused: return ": it did not understand the gateway";
    default: return "";
  }
}

// Whose sign of life it is.
std::optional<std::size_t> speaker_of(const Word& word) {
  return std::visit(
      [](const auto& one) -> std::optional<std::size_t> {
        if constexpr (requires { one.replica; }) return one.replica;
        return std::nullopt;
      },
      word);
}

std::string silence_of(std::size_t replica, std::size_t replicas) {
  if (replicas == 1) return "it had work and gave no sign of life";
  return "its replica " + std::to_string(replica) + " gave no sign of life while there was work";
}

Error gone(const std::string& how) {
  return {Errc::backend_unavailable, "the local engine's process " + how, "", std::nullopt};
}

}  // namespace

// A process and what is known of it.
struct Supervisor::Running {
  Line& line;
  process::ChildProcess& process;
  Pulses pulses;
  RingReader words = line.words_in();
  std::string frame = {};
  TimePoint began = SteadyClock::now();
  TimePoint looked = began;         // Last, from here.
  std::optional<TimePoint> served;  // Since then.
  bool told_to_stop = false;
  std::string farewell = {};
};

Supervisor::Supervisor(process::Program program, config::Isolated pace, std::string settings,
                       std::shared_ptr<Switchboard> board, Tell tell)
    : program_(std::move(program)),
      pace_(pace),
      settings_(std::move(settings)),
      board_(std::move(board)),
      tell_(std::move(tell)),
      bell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this] { run(); }) {}

Supervisor::~Supervisor() { stop(SteadyClock::now()); }

std::uint64_t Supervisor::restarts() const {
  std::lock_guard lock(mutex_);
  return restarts_;
}

std::string Supervisor::obstacle() const {
  std::lock_guard lock(mutex_);
  return obstacle_;
}

void Supervisor::stop(Deadline drain_until) {
  {
    std::lock_guard lock(mutex_);
    drain_until_ = drain_until_ ? std::min(*drain_until_, drain_until) : drain_until;
  }
  const std::uint64_t one = 1;
  (void)!::write(bell_.get(), &one, sizeof one);
  std::lock_guard lock(joining_);
  if (thread_.joinable()) thread_.join();
}

void Supervisor::run() {
  pthread_setname_np(pthread_self(), "supervisor");
  milliseconds rest = pace_.restart_after;
  while (!stopping()) {
    bool lasted = false;
    const std::string cause = serve_once(lasted);
    if (stopping()) break;
    if (lasted) rest = pace_.restart_after;
    tell_({Notice::What::ended, 0, cause, rest});
    if (!pause(rest)) break;
    rest = std::min(2 * rest, std::max(pace_.restart_after_max, pace_.restart_after));
    std::lock_guard lock(mutex_);
    ++restarts_;
  }
  board_->disconnect(gone("was stopped"));
}

// From its start to its end: what ended it.
std::string Supervisor::serve_once(bool& lasted) {
  const auto line = Line::create();
  if (!line) return lost("did not start: " + line.error().message);
  auto process = process::ChildProcess::start(program_, (*line)->ends_of_engine());
  if (!process) return lost("did not start: " + process.error().message);
  (*line)->given();
  tell_({Notice::What::starts, process->pid(), "", {}});
  board_->connect(**line, settings_);
  Running running{**line, *process, Pulses(pace_.hangs_after)};
  std::string cause = lost(watch(running));
  lasted = running.served && SteadyClock::now() - *running.served >= pace_.restart_after_max;
  return cause;
}

std::string Supervisor::watch(Running& running) {
  process::ChildProcess& process = running.process;
  std::optional<std::string> fault;
  while (true) {
    const News news = await_news(running, fault.has_value());
    while (!fault) {
      const auto heard = listen(running);
      if (!heard) fault = heard.error().message;
      if (!heard || !*heard || !news.ended) break;  // All that it said before its end.
    }
    if (news.printed || news.ended) pass_on_lines(process);
    if (news.ended) break;
    if (!fault) fault = fault_of(running);
    if (!fault) continue;
    lost("is killed, as " + *fault);  // Its end may take a while.
    process.kill();
  }
  std::string end = process.bury();
  if (process.exit_status()) end += meaning_of(*process.exit_status());
  if (!running.farewell.empty()) end += ": " + running.farewell;
  return fault ? end + ", as " + *fault : end;
}

// To what it has said since; whether there is more. It is not listened to for ever: others wait,
// too.
Result<bool> Supervisor::listen(Running& running) {
  for (int i = 0; i < kWordsAtOnce; ++i) {
    const auto read = running.words.read(running.frame);
    if (!read) return read.error();
    if (!*read) return false;
    auto word = decode_word(running.frame);
    if (!word) return word.error();
    auto heeded = heed(running, std::move(*word));
    if (!heeded) return heeded.error();
  }
  return true;
}

Result<void> Supervisor::heed(Running& running, Word&& word) {
  const TimePoint now = SteadyClock::now();
  if (const auto replica = speaker_of(word)) running.pulses.heard(*replica, now);
  const auto* const loaded = std::get_if<Loaded>(&word);
  if (loaded != nullptr) running.pulses.begin(loaded->engines, now);
  if (const auto* const one = std::get_if<ReplicaFailed>(&word)) lose(running, *one);
  if (const auto* const last = std::get_if<Farewell>(&word)) running.farewell = last->why;
  if (auto heeded = board_->heed(std::move(word)); !heeded || loaded == nullptr) return heeded;
  running.served = now;
  set_obstacle("");
  tell_({Notice::What::serves, running.process.pid(), "",
         std::chrono::duration_cast<milliseconds>(now - running.began)});
  return {};
}

void Supervisor::lose(Running& running, const ReplicaFailed& failed) {
  running.pulses.ended(failed.replica);
  if (stopping()) return;
  tell_({Notice::What::replica_failed, running.process.pid(), failed.why, {}, failed.replica});
}

// Why it is to be killed.
std::optional<std::string> Supervisor::fault_of(Running& running) {
  const TimePoint now = SteadyClock::now();
  if (const auto drain_until = stopping()) {
    if (!running.served) return "it was still loading";
    if (!std::exchange(running.told_to_stop, true)) board_->close(*drain_until);
    if (now >= *drain_until + kFarewell) return "it did not stop";
    return std::nullopt;
  }
  // Where this thread did not run either, the machine stood still.
  const bool was_away = now - std::exchange(running.looked, now) >= pace_.hangs_after / 2;
  if (was_away || !board_->has_work()) running.pulses.excuse(now);
  if (const auto silent = running.pulses.silent(now))
    return silence_of(*silent, running.pulses.replicas());
  if (running.pulses.wants_nudge(now)) board_->send(Nudge{});
  return std::nullopt;
}

void Supervisor::pass_on_lines(process::ChildProcess& process) {
  for (std::string& line : process.lines())
    tell_({Notice::What::prints, process.pid(), std::move(line), {}});
}

// Until it says or prints something or ends, or somebody stops it, or it is time to look. One that
// is to be killed is not listened to any more.
Supervisor::News Supervisor::await_news(Running& running, bool is_over) {
  milliseconds time = std::max(kSoon, pace_.hangs_after / kLooksPerSilence);
  if (!board_->flush()) time = kSoon;
  const bool stops = stopping().has_value();
  if (stops) time = kStopping;
  if (!is_over && !running.words.may_sleep()) time = milliseconds(0);
  pollfd news[] = {{running.process.ended(), POLLIN, 0},
                   {running.process.printed(), POLLIN, 0},
                   {is_over ? -1 : running.line.gateway_bell(), POLLIN, 0},
                   {stops ? -1 : bell_.get(), POLLIN, 0}};
  ::poll(news, std::size(news), static_cast<int>(time.count()));
  if (news[2].revents != 0) quiet(running.line.gateway_bell());
  return {news[0].revents != 0, news[1].revents != 0};
}

std::optional<Deadline> Supervisor::stopping() const {
  std::lock_guard lock(mutex_);
  return drain_until_;
}

// False if it is to stop meanwhile.
bool Supervisor::pause(milliseconds time) const {
  pollfd stop{bell_.get(), POLLIN, 0};
  (void)::poll(&stop, 1, static_cast<int>(time.count()));
  return !stopping();
}

// Readiness tells of it before those do who fail by it.
std::string Supervisor::lost(std::string how) {
  if (!stopping()) set_obstacle("the local engine's process " + how + ", and is started again");
  board_->disconnect(gone(how));
  return how;
}

void Supervisor::set_obstacle(std::string why) {
  std::lock_guard lock(mutex_);
  obstacle_ = std::move(why);
}

}  // namespace spillway::isolated
