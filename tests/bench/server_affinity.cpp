// What prefix affinity is worth: conversations at several servers with prefix caches, sent where
// policy::Servers says, beside in turns and to the least busy. Prints, for each, the share of
// prompt bytes that the caches supply, the first token's time, and how uneven the work is.
#include "gateway/policy/servers.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <list>
#include <queue>
#include <random>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace spillway::policy {
namespace {

constexpr std::size_t kServers = 8;
constexpr std::size_t kBlock = 256;            // Bytes that a cache keeps or drops together.
constexpr std::size_t kCacheBlocks = 30'000;   // Of one server: 7.3 MiB of text, 1.9 M tokens.
constexpr double kBytesPerSecond = 120'000.0;  // A server reads prompts at 30,000 tokens/s.
constexpr double kAnswerSeconds = 4.0;
constexpr int kTalks = 6'000;
constexpr int kApps = 60;  // Each with a beginning that all its conversations share.
constexpr double kTalksPerSecond = 6.0;
constexpr double kThinkSeconds = 20.0;

enum class Way { affine, in_turns, least_busy };

// The prefix cache of a server: the blocks that were used last.
class Cache {
 public:
  // How many bytes of a prompt need not be read; afterwards it holds all of it.
  std::size_t read(const std::string& prompt) {
    std::size_t known = 0;
    bool unbroken = true;
    std::uint64_t hash = 0;
    for (std::size_t at = 0; at + kBlock <= prompt.size(); at += kBlock) {
      hash = hash * 0x100'0000'01b3ULL ^
             std::hash<std::string_view>()(std::string_view(prompt).substr(at, kBlock));
      unbroken = touch(hash) && unbroken;
      if (unbroken) known += kBlock;
    }
    return known;
  }

 private:
  bool touch(std::uint64_t block) {
    const auto found = places_.find(block);
    if (found != places_.end()) {
      order_.splice(order_.begin(), order_, found->second);
      return true;
    }
    order_.push_front(block);
    places_[block] = order_.begin();
    if (order_.size() <= kCacheBlocks) return false;
    places_.erase(order_.back());
    order_.pop_back();
    return false;
  }

  std::list<std::uint64_t> order_;
  std::unordered_map<std::uint64_t, std::list<std::uint64_t>::iterator> places_;
};

struct Talk {
  ChatRequest request;
  std::string said;  // All of it.
  int turns_left = 0;
  std::mt19937_64 random;  // Of its own, so that every way is asked the same.
};

struct Event {
  double at = 0.0;
  int talk = 0;
  std::optional<Visit> ends;  // Empty: a turn begins.
  bool operator<(const Event& other) const { return at > other.at; }
};

class Run {
 public:
  explicit Run(Way way)
      : way_(way), servers_(target(), moment(0.0)), caches_(kServers), free_(kServers) {
    std::exponential_distribution<double> gap(kTalksPerSecond);
    double at = 0.0;
    for (int i = 0; i < kTalks; ++i) {
      at += gap(random_);
      talks_.push_back(begin(i));
      events_.push({at, i, std::nullopt});
    }
  }

  void all() {
    while (!events_.empty()) {
      Event event = events_.top();
      events_.pop();
      event.ends ? end(event) : ask(event);
    }
  }

  void print(const char* name) {
    std::sort(ttft_.begin(), ttft_.end());
    const auto at = [&](double q) {
      return ttft_[static_cast<std::size_t>(q * (ttft_.size() - 1))];
    };
    std::printf("%-18s %6.1f %%   %6.0f / %6.0f ms   %5.2f\n", name, 100.0 * cached_ / read_,
                1e3 * at(0.5), 1e3 * at(0.99), uneven_ / static_cast<double>(ttft_.size()));
  }

 private:
  static config::ProviderTarget target() {
    config::ProviderTarget target;
    target.concurrency_max = 100'000;
    for (std::size_t i = 0; i < kServers; ++i)
      target.base_urls.push_back("http://server-" + std::to_string(i) + "/v1");
    return target;
  }

  static TimePoint moment(double seconds) {
    return TimePoint(std::chrono::duration_cast<SteadyClock::duration>(
        std::chrono::duration<double>(1'000.0 + seconds)));
  }

  static std::string words(std::mt19937_64& random, std::size_t bytes) {
    std::string text(bytes, ' ');
    for (char& c : text) c = static_cast<char>('a' + random() % 26);
    return text;
  }

  Talk begin(int number) {
    while (apps_.size() < kApps) apps_.push_back(words(random_, 1'000 + random_() % 8'000));
    Talk talk;
    talk.random.seed(static_cast<std::uint64_t>(number));
    talk.turns_left = 1 + static_cast<int>(talk.random() % 8);
    say(talk, Role::system, apps_[static_cast<std::size_t>(number) % kApps]);
    say(talk, Role::user, words(talk.random, 200 + talk.random() % 3'000));
    return talk;
  }

  static void say(Talk& talk, Role role, const std::string& text) {
    talk.request.messages.push_back({role, text, "", true});
    talk.said += text;
  }

  std::optional<Visit> choose(const PromptMarks& marks, TimePoint now) {
    Call call;
    if (way_ == Way::affine) call.prompt = &marks;
    if (way_ == Way::in_turns) call.among = only(turn_++ % kServers);
    return servers_.enter(now, call);
  }

  void ask(const Event& event) {
    Talk& talk = talks_[static_cast<std::size_t>(event.talk)];
    const PromptMarks marks(talk.request, "tenant", "model");
    const auto visit = choose(marks, moment(event.at));
    const std::size_t known = caches_[visit->server].read(talk.said);
    double& free = free_[visit->server];
    free =
        std::max(free, event.at) + static_cast<double>(talk.said.size() - known) / kBytesPerSecond;
    cached_ += static_cast<double>(known);
    read_ += static_cast<double>(talk.said.size());
    ttft_.push_back(free - event.at);
    note_evenness(moment(event.at));
    events_.push({free + kAnswerSeconds, event.talk, visit});
  }

  void end(Event& event) {
    servers_.leave(*event.ends);
    Talk& talk = talks_[static_cast<std::size_t>(event.talk)];
    if (--talk.turns_left <= 0) {
      talk = {};
      return;
    }
    say(talk, Role::assistant, words(talk.random, 600));
    say(talk, Role::user, words(talk.random, 50 + talk.random() % 400));
    std::exponential_distribution<double> think(1.0 / kThinkSeconds);
    events_.push({event.at + think(talk.random), event.talk, std::nullopt});
  }

  void note_evenness(TimePoint now) {
    int most = 0, all = 0;
    for (const auto& gauge : servers_.gauges(now)) {
      most = std::max(most, gauge.facts.in_flight);
      all += gauge.facts.in_flight;
    }
    uneven_ += most / std::max(1.0, static_cast<double>(all) / kServers);
  }

  const Way way_;
  std::mt19937_64 random_{7};
  Servers servers_;
  std::vector<Cache> caches_;
  std::vector<double> free_;  // When each has read what it has been sent.
  std::vector<std::string> apps_;
  std::vector<Talk> talks_;
  std::priority_queue<Event> events_;
  std::size_t turn_ = 0;
  double cached_ = 0.0, read_ = 0.0, uneven_ = 0.0;
  std::vector<double> ttft_;
};

int print_all() {
  std::printf(
      "%d conversations of 60 apps at %zu servers\n"
      "%-18s %8s   %19s   %s\n",
      kTalks, kServers, "sent", "cached", "TTFT P50 / P99", "busiest / mean");
  for (const auto& [way, name] : {std::pair(Way::in_turns, "in turns"),
                                  {Way::least_busy, "to the least busy"},
                                  {Way::affine, "by prefix affinity"}}) {
    Run run(way);
    run.all();
    run.print(name);
  }
  return 0;
}

}  // namespace
}  // namespace spillway::policy

int main() { return spillway::policy::print_all(); }
