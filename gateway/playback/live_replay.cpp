#include "gateway/playback/live_replay.h"

#include "gateway/gateway.h"
#include "gateway/live/caller.h"
#include "gateway/live/fitted_engine.h"
#include "gateway/live/prompt.h"
#include "gateway/playback/simulated_providers.h"
#include "gateway/playback/trace_asks.h"
#include "gateway/policy/price.h"
#include "gateway/provider/provider.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>

namespace spillway {
namespace {

using simulate::TraceRequest;

constexpr double kTellEvery = 5.0;
constexpr int kSpare =
    16;  // Requests in flight beyond those of the trace, so that none is refused.
constexpr const char* kHost = "127.0.0.1";

// Silence is seen for what it is after a time that the rules say; a gateway's own patience is
// another one's.
simulated::Script spoken(simulated::Script script) {
  for (simulated::Fault& fault : script.faults) {
    if (fault.kind != simulated::FaultKind::silence) continue;
    fault.kind = simulated::FaultKind::error;
    fault.status = 504;
  }
  return script;
}

// What befalls each attempt of a request at a provider: the same as in the simulation, or luck
// would look like disagreement. Providers know a request by its prompt.
class Draws {
 public:
  explicit Draws(std::uint64_t seed) : seed_(seed) {}

  void expect(const std::string& prompt, std::uint64_t id) {
    const std::lock_guard lock(mutex_);
    asked_[std::hash<std::string_view>{}(prompt)] = {id, 0};
  }

  provider::Draw next(const std::string& cloud, std::string_view prompt) {
    const std::lock_guard lock(mutex_);
    Asked& asked = asked_[std::hash<std::string_view>{}(prompt)];
    return {simulate::seed_of(seed_, cloud, asked.attempts++), asked.id};
  }

 private:
  struct Asked {
    std::uint64_t id = 0;
    int attempts = 0;
  };

  const std::uint64_t seed_;
  std::mutex mutex_;
  std::unordered_map<std::size_t, Asked> asked_;  // By the prompt's hash.
};

// One of the policy's providers, in good times and bad. Several servers are played by one.
class Cloud {
 public:
  Cloud(const config::ProviderTarget& target, const simulate::CloudWorld& world, Draws& draws)
      : name_(target.name),
        rules_(simulate::rules_of(target, world)),
        provider_({.own_profile = simulate::profile_of(target, world),
                   .script = script_at(0.0),
                   .draw_of = [this, &draws](std::string_view prompt) {
                     return draws.next(name_, prompt);
                   }}) {}

  const std::string& name() const { return name_; }
  Result<void> start() { return provider_.start(); }
  std::string address() const {
    return std::string("http://") + kHost + ":" + std::to_string(provider_.port()) + "/v1";
  }
  void pass(double now) { provider_.set_script(script_at(now)); }

 private:
  simulated::Script script_at(double now) const { return spoken(simulate::script_of(rules_, now)); }

  const std::string name_;
  const simulate::CloudRules rules_;
  provider::Provider provider_;
};

config::LocalTarget engine_of(config::LocalTarget target,
                              const simulate::ReferenceEngineParams& params) {
  const auto milliseconds = [](double seconds) {
    return config::Milliseconds(std::lround(seconds * 1e3));
  };
  target.executor = "synthetic";
  target.isolation = "none";
  target.step_prior = {1e3 * params.step_base, 1e3 * params.step_per_sequence,
                       1e6 * params.step_per_context_token, 1e6 / params.prompt_tokens_per_second};
  target.synthetic_slowdown = params.slowdown;
  target.step_time_max = milliseconds(params.step_budget);
  target.sequences_max = params.sequences_max;
  target.kv_tokens_max = params.kv_tokens;
  target.prefix_cache = params.prefix_cache_tokens > 0;
  target.context_max = params.kv_tokens;
  return target;
}

// The policy as it is; whatever else it takes to be on this machine alone, and open to the clients.
std::shared_ptr<const config::Settings> live_settings(
    const config::Settings& settings, const SimulationSetup& setup,
    const std::vector<std::unique_ptr<Cloud>>& clouds, int requests) {
  auto own = std::make_shared<config::Settings>(settings);
  own->server.listen = own->server.admin = {kHost, 0};
  own->server.limits.in_flight_max = requests + kSpare;
  own->server.limits.held_max = requests;
  own->server.state.clear();
  own->server.admin_key.clear();
  own->keys.clear();
  own->tenants.clear();
  own->model_limits.clear();
  own->shadow = {};
  own->canary = {};
  own->log.level = "error";
  for (config::LocalTarget& target : own->local) target = engine_of(target, setup.engine);
  for (config::ProviderTarget& target : own->providers) {
    const auto cloud = std::find_if(clouds.begin(), clouds.end(),
                                    [&](const auto& one) { return one->name() == target.name; });
    if (cloud == clouds.end()) continue;  // It is here.
    target.base_urls = {(*cloud)->address()};
    target.dialect = "vllm";  // It takes min_tokens.
    target.key.clear();
    target.takes.clear();
  }
  return own;
}

// The policy plans in slots of five seconds by the clock; the simulation begins with a whole one.
TimePoint next_slot() {
  constexpr std::chrono::seconds kSlot(5);
  const auto passed = SteadyClock::now().time_since_epoch() / kSlot;
  return TimePoint(kSlot * (passed + 1));
}

class LiveWorld {
 public:
  LiveWorld(const SimulationSetup& setup, const simulate::Replay& replay)
      : setup_(setup),
        replay_(replay),
        asks_(setup.settings, {setup.model, setup.batch_class}, replay),
        draws_(setup.seed) {
    outcome_.answers.resize(replay.requests.size());
  }

  Result<void> open();
  LiveOutcome run(const std::function<void(double, std::size_t)>& tell);

 private:
  void wait_until(double moment, const std::function<void(double, std::size_t)>& tell);
  void note_pace();
  void ask(std::size_t request);
  live::Question question_of(std::size_t request) const;
  void note(std::size_t request, const live::Heard& heard);
  double seconds(TimePoint at) const { return std::chrono::duration<double>(at - began_).count(); }

  const SimulationSetup& setup_;
  const simulate::Replay& replay_;
  const TraceAsks asks_;
  Draws draws_;
  std::vector<std::unique_ptr<Cloud>> clouds_;
  std::unique_ptr<Gateway> gateway_;
  TimePoint began_;
  double told_ = 0.0;
  std::vector<simulate::ReferenceEngineParams> paces_;  // Of the engine, from time to time.
  std::atomic<std::size_t> ended_ = 0;
  std::mutex mutex_;  // Over the outcome.
  LiveOutcome outcome_;
};

Result<void> LiveWorld::open() {
  const simulate::CloudWorld world = cloud_world(setup_, replay_.length);
  for (const config::ProviderTarget& target : setup_.settings->providers) {
    if (target.is_here()) continue;
    auto cloud = std::make_unique<Cloud>(target, world, draws_);
    auto started = cloud->start();
    if (!started) return started.error();
    clouds_.push_back(std::move(cloud));
  }
  auto gateway = Gateway::start(
      live_settings(*asks_.widened(), setup_, clouds_, static_cast<int>(replay_.requests.size())),
      {});
  if (!gateway) return gateway.error();
  gateway_ = std::move(*gateway);
  return {};
}

LiveOutcome LiveWorld::run(const std::function<void(double, std::size_t)>& tell) {
  began_ = next_slot();
  std::vector<std::thread> clients;
  for (std::size_t i = 0; i < replay_.requests.size(); ++i) {
    wait_until(replay_.requests[i].at, tell);
    clients.emplace_back([this, i] { ask(i); });
  }
  note_pace();
  outcome_.engine = paces_.empty() ? setup_.engine : live::mean_pace(paces_);
  while (ended_ < clients.size()) wait_until(seconds(SteadyClock::now()) + 0.1, tell);
  for (std::thread& client : clients) client.join();
  gateway_->stop([] { return true; });
  return std::move(outcome_);
}

void LiveWorld::wait_until(double moment, const std::function<void(double, std::size_t)>& tell) {
  const double now = seconds(SteadyClock::now());
  for (const auto& cloud : clouds_) cloud->pass(now);
  if (now >= told_ + kTellEvery) {
    told_ = now;
    tell(now, ended_);
    if (now < replay_.length) note_pace();
  }
  std::this_thread::sleep_until(began_ + from_seconds(moment));
}

void LiveWorld::note_pace() {
  const auto fitted = live::fitted_engine({{kHost, gateway_->admin_port()}}, setup_.engine);
  if (fitted) paces_.push_back(*fitted);
}

void LiveWorld::ask(std::size_t request) {
  const TraceRequest& one = replay_.requests[request];
  const live::Question question = question_of(request);
  draws_.expect(question.prompt, one.id);
  const live::Heard heard = live::ask({kHost, gateway_->api_port()}, question);
  note(request, heard);
  ++ended_;
}

live::Question LiveWorld::question_of(std::size_t request) const {
  const TraceRequest& one = replay_.requests[request];
  const policy::RequestFacts facts = asks_.facts(request);
  live::Question question;
  question.model = facts.model;
  question.prompt = live::prompt_of({one.id, one.prompt_tokens, replay_.prefix_of(one)});
  question.completion_tokens = one.completion_tokens;
  question.request_class = facts.class_header;
  question.label = facts.label;
  question.service_tier = facts.service_tier;
  const TracePromise& promise = asks_.promise(request);
  const auto milliseconds = [](double seconds) {
    return std::chrono::milliseconds(std::max(1L, std::lround(seconds * 1e3)));
  };
  if (promise.waits) {
    question.deadline = milliseconds(promise.deadline - one.at);
  } else {
    question.ttft_max = milliseconds(promise.ttft);
  }
  return question;
}

void LiveWorld::note(std::size_t request, const live::Heard& heard) {
  const auto& providers = setup_.settings->providers;
  const auto provider =
      std::find_if(providers.begin(), providers.end(),
                   [&](const config::ProviderTarget& one) { return one.name == heard.target; });
  const std::lock_guard lock(mutex_);
  SimulatedAnswer& answer = outcome_.answers[request];
  answer.failed = !heard.trouble.empty();
  if (answer.failed) ++outcome_.troubles[heard.trouble];
  answer.first_token = seconds(heard.first_token);
  answer.finish = seconds(heard.last_token);
  if (answer.failed || provider == providers.end()) return;
  answer.provider = static_cast<int>(provider - providers.begin());
  Usage usage;
  usage.prompt_tokens = replay_.requests[request].prompt_tokens;
  usage.completion_tokens = heard.completion_tokens;
  answer.cost = policy::cost_of(provider->price, usage);
}

}  // namespace

Result<LiveOutcome> replay_live(const SimulationSetup& setup, const simulate::Replay& replay,
                                const std::function<void(double, std::size_t)>& tell) {
  LiveWorld world(setup, replay);
  auto opened = world.open();
  if (!opened) return opened.error();
  return world.run(tell);
}

}  // namespace spillway
