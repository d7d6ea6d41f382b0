#include "backends/isolated/engine_process.h"

#include "backends/isolated/frames.h"
#include "backends/isolated/line.h"
#include "backends/isolated/supervisor.h"
#include "backends/local/engine/engine.h"
#include "backends/local/local_model.h"
#include "config/load.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <poll.h>
#include <sys/prctl.h>
#include <thread>
#include <unordered_map>
#include <utility>

namespace spillway::isolated {
namespace {

constexpr std::chrono::milliseconds kNap{1};

// The way back. Any thread speaks; who speaks waits while the gateway does not listen.
class Speaker {
 public:
  explicit Speaker(RingWriter words) : words_(words) {}

  // Heard at the next wake().
  void say(const Word& word) {
    std::lock_guard lock(mutex_);
    encode(word, frame_);
    while (!words_.write(frame_)) {
      words_.wake();
      std::this_thread::sleep_for(kNap);
    }
  }
  void wake() {
    std::lock_guard lock(mutex_);
    words_.wake();
  }

 private:
  std::mutex mutex_;
  RingWriter words_;
  std::string frame_;
};

// What becomes of the engine, for the gateway, which is woken once a step: a picture follows its
// pieces, and where the next step begins at once, that one's.
class Reporter final : public local::EngineObserver {
 public:
  Reporter(Speaker& speaker, int bell) : speaker_(speaker), bell_(bell) {}

  void changed(const EngineStatus& status, std::optional<TimePoint> step_began,
               const EngineCounters& counters) override {
    speaker_.say(Picture{status, step_began, counters});
    if (step_began) speaker_.wake();
  }
  void caught_up() override { speaker_.wake(); }
  void inserted(std::string_view owner, std::uint64_t parent, std::span<const std::int32_t> tokens,
                std::int32_t block) override {
    speaker_.say(PrefixInserted{std::string(owner), parent, {tokens.begin(), tokens.end()}, block});
  }
  void erased(std::int32_t block) override { speaker_.say(PrefixErased{block}); }
  void ended(const Error& why) override {
    speaker_.say(Farewell{why.message});
    speaker_.wake();
    ended_ = true;
    const std::uint64_t one = 1;
    (void)!::write(bell_, &one, sizeof one);
  }

  bool has_ended() const { return ended_; }

 private:
  Speaker& speaker_;
  const int bell_;  // Of this process.
  std::atomic<bool> ended_ = false;
};

class RingOutlet final : public Outlet {
 public:
  RingOutlet(StreamId id, Speaker& speaker) : id_(id), speaker_(speaker) {}

  void push(Delta delta) override {
    if (!over_ && !abandoned_) speaker_.say(Piece{id_, std::move(delta)});
  }
  void finish() override {
    if (!over_.exchange(true)) speaker_.say(Done{id_});
  }
  void fail(Error error) override {
    if (!over_.exchange(true)) speaker_.say(Failure{id_, std::move(error)});
  }
  bool full() override { return paused_; }
  bool abandoned() const override { return abandoned_; }

  void pause(bool paused) { paused_ = paused; }
  void abandon() { abandoned_ = true; }
  bool over() const { return over_; }

 private:
  const StreamId id_;
  Speaker& speaker_;
  std::atomic<bool> over_ = false;
  std::atomic<bool> paused_ = false;
  std::atomic<bool> abandoned_ = false;
};

// The process's main thread.
class EngineProcess {
 public:
  explicit EngineProcess(const Line& line)
      : line_(line),
        orders_(line.orders_in()),
        speaker_(line.words_out()),
        reporter_(speaker_, line.engine_bell()) {}

  Exit run() {
    while (true) {
      quiet(line_.engine_bell());
      if (reporter_.has_ended()) return told_to_stop_ ? Exit::stopped : Exit::engine_failed;
      if (const auto exit = heed_orders()) return *exit;
      if (!orders_.may_sleep()) continue;
      pollfd news[] = {{line_.engine_bell(), POLLIN, 0}, {line_.lifeline(), POLLIN, 0}};
      ::poll(news, std::size(news), -1);
      if (news[1].revents != 0) return Exit::gateway_gone;
    }
  }

 private:
  struct Stream {
    std::shared_ptr<RingOutlet> outlet;
    std::function<void()> on_room;
  };

  std::optional<Exit> heed_orders() {
    while (true) {
      const auto read = orders_.read(frame_);
      if (!read) return Exit::confused;
      if (!*read) return std::nullopt;
      auto order = decode_order(frame_);
      const bool is_first = engine_ == nullptr;
      if (!order || std::holds_alternative<Hello>(*order) != is_first) return Exit::confused;
      const auto exit = std::visit([this](auto& one) { return heed(one); }, *order);
      if (exit) return exit;
    }
  }

  std::optional<Exit> heed(Hello& order) {
    const auto loaded = config::load_text(order.settings, "the gateway");
    for (const config::Problem& problem : loaded.problems)
      std::fprintf(stderr, "%s\n", config::to_string(problem).c_str());
    if (!loaded.settings || loaded.settings->local.empty()) return Exit::confused;
    const config::LocalTarget& target = loaded.settings->local.front();
    auto model = local::load_local_model(target);
    if (!model) {
      speaker_.say(Farewell{model.error().message});
      return Exit::not_loaded;
    }
    codec_ = std::move(model->codec);
    engine_ = local::start_engine(target, *codec_, std::move(model->executors.front()),
                                  local::Calibrate::yes, &reporter_);
    speaker_.say(Loaded{engine_->status()});
    speaker_.wake();
    return std::nullopt;
  }

  std::optional<Exit> heed(Question& order) {
    std::erase_if(streams_, [](const auto& entry) { return entry.second.outlet->over(); });
    local::Ask ask;
    ask.prompts =
        std::make_shared<const std::vector<std::vector<std::int32_t>>>(std::move(order.prompts));
    ask.sampling = std::move(order.sampling);
    ask.tokens_max = order.tokens_max;
    ask.lane = order.lane;
    ask.owner = std::move(order.owner);
    if (order.form) ask.form = std::make_shared<const Form>(std::move(*order.form));
    ask.begun = std::move(order.begun);
    ask.choices = std::max(1, order.choices);
    auto outlet = std::make_shared<RingOutlet>(order.id, speaker_);
    const auto submitted = engine_->submit(std::move(ask), [&](std::function<void()> on_room) {
      streams_[order.id] = {outlet, std::move(on_room)};
      return outlet;
    });
    if (submitted) return std::nullopt;
    outlet->fail(submitted.error());
    speaker_.wake();
    return std::nullopt;
  }

  std::optional<Exit> heed(Cancelled& order) {
    return with(order.id, [](RingOutlet& outlet) { outlet.abandon(); });
  }
  std::optional<Exit> heed(Paused& order) {
    return with(order.id, [](RingOutlet& outlet) { outlet.pause(true); });
  }
  std::optional<Exit> heed(Resumed& order) {
    return with(order.id, [](RingOutlet& outlet) { outlet.pause(false); });
  }
  std::optional<Exit> heed(Nudge&) {
    engine_->nudge();
    return std::nullopt;
  }
  std::optional<Exit> heed(Stop& order) {
    told_to_stop_ = true;
    stopping_ = std::thread([this, until = order.drain_until] { engine_->stop(until); });
    stopping_.detach();
    return std::nullopt;
  }

  template <class Change>
  std::optional<Exit> with(StreamId id, Change change) {
    const auto found = streams_.find(id);
    if (found == streams_.end()) return std::nullopt;
    change(*found->second.outlet);
    found->second.on_room();
    return std::nullopt;
  }

  const Line& line_;
  RingReader orders_;
  std::string frame_;
  Speaker speaker_;
  Reporter reporter_;
  std::unique_ptr<local::TextCodec> codec_;
  std::unique_ptr<local::Engine> engine_;
  std::unordered_map<StreamId, Stream> streams_;
  bool told_to_stop_ = false;
  std::thread stopping_;
};

// It dies with the gateway, however that dies, and before it where memory is short.
void hang_on_to_gateway() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_NAME, "spillway-engine");
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) std::signal(signal, SIG_IGN);
  if (std::FILE* const file = std::fopen("/proc/self/oom_score_adj", "w")) {
    std::fputs("500", file);
    std::fclose(file);
  }
}

}  // namespace

void run_engine_process() {
  const auto line = Line::inherited();
  if (!line) {
    std::fprintf(stderr, "spillway: a gateway starts this, see `isolation` in its configuration\n");
    std::exit(static_cast<int>(Exit::confused));
  }
  hang_on_to_gateway();
  EngineProcess process(**line);
  const Exit exit = process.run();
  std::fflush(nullptr);
  std::_Exit(static_cast<int>(exit));  // Its threads still run.
}

}  // namespace spillway::isolated
