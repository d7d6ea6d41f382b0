// What it is worth that a conversation goes back to the provider that has its prefix in its cache:
// conversations at three providers with the policy's own code, beside a policy that does not know
// what is cached where. Prints the spend of both, the share of prompt tokens that was billed as
// cached, and what it takes to find out.
#include "gateway/policy/fleet_state.h"
#include "gateway/policy/price.h"
#include "gateway/policy/router.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

namespace spillway::policy {
namespace {

constexpr int kTalks = 4'000;
constexpr int kTurns = 6;
constexpr double kTalksPerSecond = 2.0;
constexpr double kThinkSeconds = 30.0;
constexpr double kAnswerSeconds = 4.0;
constexpr double kCacheSeconds = 300.0;  // What nobody asks for in that time is forgotten.
constexpr int kBytesPerToken = 4;
constexpr int kAnswerTokens = 250;
constexpr std::size_t kAnswerBytes = kAnswerTokens * kBytesPerToken;

TimePoint at_time(double seconds) { return TimePoint{} + from_seconds(1'000.0 + seconds); }

// Input and output in dollars per million tokens; `cached` is a share of the input's price.
config::ProviderTarget provider(const std::string& name, double input, double cached, int places) {
  config::ProviderTarget provider;
  provider.name = name;
  provider.serves = {{"m", "m"}};
  provider.price.input_per_million = static_cast<config::NanoUsd>(input * 1e9);
  provider.price.cached_input_per_million = static_cast<config::NanoUsd>(cached * input * 1e9);
  provider.price.output_per_million = static_cast<config::NanoUsd>(4.0 * input * 1e9);
  provider.concurrency_max = places;
  return provider;
}

// Whole messages, as far as they have been read within the last five minutes.
class Cache {
 public:
  int read(const std::vector<Message>& messages, double now) {
    std::size_t bytes = 0, known = 0;
    std::size_t hash = 0;
    bool unbroken = true;
    for (const Message& message : messages) {
      hash = hash * 31 + std::hash<std::string>()(message.content);
      bytes += message.content.size();
      const auto found = read_.find(hash);
      unbroken = unbroken && found != read_.end() && now - found->second <= kCacheSeconds;
      if (unbroken) known = bytes;
      read_[hash] = now;
    }
    return static_cast<int>(known) / kBytesPerToken;
  }

 private:
  std::unordered_map<std::size_t, double> read_;
};

struct Talk {
  ChatRequest request;
  int turns = 0;
  std::mt19937_64 random;
};

struct Event {
  double at = 0.0;
  int talk = 0;
  std::optional<Visit> ends;  // Empty: a turn begins.
  std::string target = {};
  bool operator<(const Event& other) const { return at > other.at; }
};

struct Outcome {
  double spent = 0.0;  // Dollars.
  double cached = 0.0, read = 0.0;
  int moved = 0, turns = 0;  // Of the turns behind first ones, those that went elsewhere.
};

class Run {
 public:
  Run(std::shared_ptr<const config::Settings> settings, bool knows, bool bills_cached)
      : settings_(settings), router_(settings), knows_(knows), bills_cached_(bills_cached) {
    fleet_.adopt(*settings, at_time(0.0));
    std::mt19937_64 random(7);
    std::exponential_distribution<double> gap(kTalksPerSecond);
    double at = 0.0;
    talks_.resize(kTalks);
    for (int i = 0; i < kTalks; ++i) {
      at += gap(random);
      talks_[i].random.seed(static_cast<std::uint64_t>(i));
      events_.push({at, i, std::nullopt});
    }
  }

  Outcome all() {
    while (!events_.empty()) {
      Event event = events_.top();
      events_.pop();
      event.ends ? end(event) : ask(event);
    }
    return outcome_;
  }

 private:
  static void say(Talk& talk, Role role, std::size_t bytes) {
    std::string text(bytes, ' ');
    for (char& c : text) c = static_cast<char>('a' + talk.random() % 26);
    talk.request.messages.push_back({role, std::move(text), "", true});
  }

  void ask(const Event& event) {
    Talk& talk = talks_[static_cast<std::size_t>(event.talk)];
    say(talk, Role::user,
        talk.turns == 0 ? 2'000 + talk.random() % 6'000 : 100 + talk.random() % 500);
    const PromptMarks prompt(talk.request, "tenant", "auto");
    RequestFacts request;
    request.model = "auto";
    request.prompt_tokens = static_cast<int>(prompt.bytes()) / kBytesPerToken;
    request.completion_tokens_expected = kAnswerTokens;
    const TimePoint now = at_time(event.at);
    const auto plan = router_.plan(request, fleet_.facts(nullptr, now, knows_ ? &prompt : nullptr));
    for (std::size_t i = 0; plan && i < plan->candidates.size(); ++i) {
      if (answer(event, talk, prompt, std::string(plan->candidates[i].target))) return;
    }
    talk.request.messages.pop_back();
    events_.push({event.at + 1.0, event.talk, std::nullopt});  // All are full: a second later.
  }

  bool answer(const Event& event, Talk& talk, const PromptMarks& prompt,
              const std::string& target) {
    Call call;
    call.prompt = &prompt;
    Entered entered = fleet_.enter(target, call, at_time(event.at));
    if (!entered.visit) return false;
    Usage usage;
    usage.prompt_tokens = static_cast<int>(prompt.bytes()) / kBytesPerToken;
    usage.completion_tokens = kAnswerTokens;
    const int cached = caches_[target].read(talk.request.messages, event.at);
    usage.cached_tokens = bills_cached_ ? cached : 0;
    entered.servers->answered(*entered.visit, at_time(event.at));
    entered.servers->billed(*entered.visit, usage.prompt_tokens, usage.cached_tokens,
                            at_time(event.at));
    count(talk, event.talk, target, usage);
    events_.push({event.at + kAnswerSeconds, event.talk, *entered.visit, target});
    return true;
  }

  void count(const Talk& talk, int number, const std::string& target, const Usage& usage) {
    for (const config::ProviderTarget& one : settings_->providers) {
      if (one.name == target)
        outcome_.spent += 1e-9 * static_cast<double>(cost_of(one.price, usage));
    }
    outcome_.cached += usage.cached_tokens;
    outcome_.read += usage.prompt_tokens;
    if (talk.turns > 0) {
      ++outcome_.turns;
      outcome_.moved += at_[number] != target ? 1 : 0;
    }
    at_[number] = target;
  }

  void end(Event& event) {
    fleet_.servers(event.target)->leave(*event.ends);
    Talk& talk = talks_[static_cast<std::size_t>(event.talk)];
    if (++talk.turns == kTurns) {
      talk = {};
      return;
    }
    say(talk, Role::assistant, kAnswerBytes);
    std::exponential_distribution<double> think(1.0 / kThinkSeconds);
    events_.push({event.at + think(talk.random), event.talk, std::nullopt});
  }

  const std::shared_ptr<const config::Settings> settings_;
  const Router router_;
  const bool knows_;
  const bool bills_cached_;
  FleetState fleet_;
  std::map<std::string, Cache> caches_;
  std::map<int, std::string> at_;
  std::vector<Talk> talks_;
  std::priority_queue<Event> events_;
  Outcome outcome_;
};

std::shared_ptr<const config::Settings> house(std::vector<config::ProviderTarget> providers) {
  auto settings = std::make_shared<config::Settings>();
  settings->providers = std::move(providers);
  settings->policy.classes.push_back({.name = "all"});
  settings->policy.default_class = "all";
  settings->policy.aliases.push_back({.name = "auto"});
  return settings;
}

void compare(const char* name, double cached_price, bool bills_cached) {
  const auto settings =
      house({provider("a", 2.0, cached_price, 20), provider("b", 2.1, cached_price, 20),
             provider("c", 2.2, cached_price, 40)});
  Outcome of[2];
  for (const bool knows : {false, true}) of[knows] = Run(settings, knows, bills_cached).all();
  std::printf("%-34s $%6.2f  $%6.2f  %5.1f %%   %4.1f → %4.1f %%   %4.1f → %4.1f %%\n", name,
              of[0].spent, of[1].spent, 100.0 * (of[1].spent / of[0].spent - 1.0),
              100.0 * of[0].cached / of[0].read, 100.0 * of[1].cached / of[1].read,
              100.0 * of[0].moved / of[0].turns, 100.0 * of[1].moved / of[1].turns);
}

// Nanoseconds for each of ten providers, beside what their facts take anyway.
void time_it() {
  constexpr int kRuns = 20'000;
  std::vector<config::ProviderTarget> providers;
  for (int i = 0; i < 10; ++i) providers.push_back(provider("p" + std::to_string(i), 2.0, 0.1, 10));
  FleetState fleet;
  fleet.adopt(*house(providers), at_time(0.0));
  std::vector<PromptMarks> prompts;
  std::mt19937_64 random(7);
  for (int i = 0; i < 1'000; ++i) {
    ChatRequest request;
    for (int turn = 0; turn < 7; ++turn) {
      std::string text(1'500, ' ');
      for (char& c : text) c = static_cast<char>('a' + random() % 26);
      request.messages.push_back({turn % 2 == 0 ? Role::user : Role::assistant, text, "", true});
    }
    prompts.emplace_back(request, "tenant", "auto");
  }
  const auto nanoseconds = [&](bool with_prompt) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kRuns; ++i)
      (void)fleet.facts(nullptr, at_time(1.0), with_prompt ? &prompts[i % 1'000] : nullptr);
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    return took.count() / kRuns / 10.0;
  };
  const double without = nanoseconds(false);
  const double strange = nanoseconds(true) - without;
  for (int i = 0; i < 10'000; ++i) {
    Call call;
    call.prompt = &prompts[i / 10];
    Entered entered = fleet.enter("p" + std::to_string(i % 10), call, at_time(0.0));
    entered.servers->answered(*entered.visit, at_time(0.0));
    entered.servers->leave(*entered.visit);
  }
  std::printf(
      "\nfacts of one provider: %.0f ns; what of a prompt it has: %.0f ns more (none), %.0f ns "
      "(all)\n",
      without, strange, nanoseconds(true) - without);
}

int print_all() {
  std::printf(
      "%d conversations of %d turns at three providers of $2.0, 2.1 and 2.2 per million\n\n"
      "%-34s %7s  %7s  %7s   %13s   %15s\n",
      kTalks, kTurns, "cached tokens cost", "spent", "sticky", "", "cached tokens", "turns moved");
  compare("a tenth", 0.1, true);
  compare("a quarter", 0.25, true);
  compare("half", 0.5, true);
  compare("as much as others", 1.0, true);
  compare("a tenth, but are never billed so", 0.1, false);
  time_it();
  return 0;
}

}  // namespace
}  // namespace spillway::policy

int main() { return spillway::policy::print_all(); }
