#include "gateway/playback/simulation.h"

#include "gateway/playback/simulated_providers.h"
#include "gateway/playback/trace_asks.h"
#include "gateway/policy/auth.h"
#include "gateway/policy/choice.h"
#include "gateway/policy/fleet_state.h"
#include "gateway/policy/held_work.h"
#include "gateway/policy/router.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <queue>
#include <unordered_map>
#include <utility>

namespace spillway {
namespace {

using policy::Turn;
using simulate::CloudOutcome;
using simulate::CloudReply;
using simulate::EngineEvent;
using simulate::EngineEventKind;
using simulate::TraceRequest;

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr double kUsualExposure = 1.0;    // Of Remaining: as long as answers go on, in the mean.
constexpr std::size_t kServersAsked = 2;  // Of one target, by one attempt.
constexpr double kLookEvery = 0.5;        // Seconds, at what is held while nothing else happens.

// The clock begins away from zero, which means "never" in some places.
TimePoint at_time(double seconds) { return TimePoint{} + from_seconds(1'000.0 + seconds); }

policy::WallClock later(const policy::WallClock& clock, double seconds) {
  constexpr double kDay = 86'400.0;
  const double days = std::floor((clock.seconds + seconds) / kDay);
  return {(clock.weekday + static_cast<int>(days)) % 7, clock.seconds + seconds - days * kDay};
}

config::Milliseconds milliseconds(double seconds) {
  return config::Milliseconds(std::llround(seconds * 1e3));
}

// A request on its way through the candidates of its plan.
struct Flight {
  policy::Plan plan;
  std::size_t next = 0;   // Candidate.
  bool was_full = false;  // One that was tried,
  bool failed = false;    // …or it failed.
  bool retries_used_up = false;
  std::shared_ptr<policy::Servers> servers;
  policy::ServerSet among = policy::kAllServers;  // Of the candidate's, not asked yet.
  std::size_t servers_asked = 0;
  policy::Visit visit;

  bool only_full() const { return was_full && !failed; }
};

enum class Moment { first_token, finished, failed, impatient };

struct Coming {
  double at = 0.0;
  std::uint64_t order = 0;  // Of those at the same time, the first to be known comes first.
  Moment moment = Moment::failed;
  std::size_t request = 0;

  bool operator>(const Coming& other) const {
    return std::pair(at, order) > std::pair(other.at, other.order);
  }
};

class World {
 public:
  World(const SimulationSetup& setup, const simulate::Replay& replay)
      : setup_(setup),
        replay_(replay),
        asks_(setup.settings, {setup.model, setup.batch_class}, replay),
        router_(asks_.widened()),
        engine_(setup.engine),
        providers_(setup, replay),
        answers_(replay.requests.size()) {
    fleet_.adopt(*router_.settings(), at_time(0.0));
    held_.adopt(*router_.settings());
  }

  Result<void> open();
  std::vector<SimulatedAnswer> run();

 private:
  double next_moment();
  void happen(const EngineEvent& event);
  void happen(const Coming& coming);
  void leave_engine(std::size_t request);
  void arrive(std::size_t request);
  Result<policy::Plan> plan(std::size_t request, policy::Turn turn);
  void release_held();

  policy::RequestFacts facts_of(std::size_t request) const;
  policy::FleetFacts see_engine();
  policy::FleetFacts look();
  void take(std::size_t request, Result<policy::Plan> plan,
            policy::Turn turn = policy::Turn::unknown);
  void set_out(std::size_t request);
  bool come_again(std::size_t request, policy::Turn turn);
  void hand_to_engine(std::size_t request, const policy::Plan& plan, bool first);
  void try_next(std::size_t request);
  bool ask_provider(std::size_t request, Flight& flight, const policy::Candidate& candidate);
  void expect(double at, Moment moment, std::size_t request);
  std::string_view class_of(std::size_t request) const {
    return asks_.promise(request).request_class->name;
  }
  void completed(std::size_t request);
  void settle(std::size_t request, bool was_expected);

  TimePoint now() const { return at_time(now_); }
  const TraceRequest& asked(std::size_t request) const { return replay_.requests[request]; }

  const SimulationSetup& setup_;
  const simulate::Replay& replay_;
  const TraceAsks asks_;
  const policy::Router router_;
  policy::FleetState fleet_;
  policy::HeldWork held_;
  simulate::ReferenceEngine engine_;
  EngineStatus status_;
  StepModel profile_;  // What a step costs before any was run.
  SimulatedProviders providers_;
  std::vector<SimulatedAnswer> answers_;
  std::unordered_map<std::size_t, Flight> flights_;
  std::unordered_map<std::size_t, policy::Wait> waits_;              // Of those that may wait.
  std::unordered_map<std::size_t, policy::Prediction> predictions_;  // Until the first token.
  std::priority_queue<Coming, std::vector<Coming>, std::greater<>> coming_;
  std::uint64_t order_ = 0;
  std::size_t arrivals_ = 0;
  double now_ = 0.0;
  double looked_ = -kLookEvery;
};

// What the trace leaves to the setup must be there: the model, and the class of batch requests.
Result<void> World::open() {
  engine_.status(0.0, status_);
  profile_ = status_.step;
  bool seen[2] = {};
  for (std::size_t i = 0; i < replay_.requests.size(); ++i) {
    const TraceRequest& one = asked(i);
    if (seen[one.batch] || one.named || one.told.model != 0) continue;
    seen[one.batch] = true;
    policy::RequestFacts facts = asks_.facts(i);
    facts.prompt_tokens = 1;
    if (one.batch && asks_.promise(i).request_class->name != setup_.batch_class) {
      return Error{Errc::invalid_request,
                   "the policy has no class `" + setup_.batch_class +
                       "` for the trace's batch requests: name one with --batch-class",
                   "", std::nullopt};
    }
    const auto plan = router_.plan(facts, look());
    const bool asked_wrongly = !plan && (plan.error().code == Errc::invalid_request ||
                                         plan.error().code == Errc::model_not_found);
    if (asked_wrongly) return plan.error();
  }
  return {};
}

std::vector<SimulatedAnswer> World::run() {
  while (true) {
    const double at = next_moment();
    if (at == kNever) return std::move(answers_);
    now_ = at;
    bool news = false;
    for (const EngineEvent& event : engine_.advance(now_)) {
      happen(event);
      news = true;
    }
    while (!coming_.empty() && coming_.top().at <= now_) {
      const Coming coming = coming_.top();
      coming_.pop();
      happen(coming);
    }
    while (arrivals_ < replay_.requests.size() && asked(arrivals_).at <= now_) {
      arrive(arrivals_++);
      news = true;
    }
    if (news || now_ >= looked_ + kLookEvery) release_held();
  }
}

double World::next_moment() {
  double at = std::min(engine_.next_event(), coming_.empty() ? kNever : coming_.top().at);
  if (arrivals_ < replay_.requests.size()) at = std::min(at, asked(arrivals_).at);
  if (held_.size() > 0) at = std::min(at, std::max(now_, looked_ + kLookEvery));
  return at;
}

void World::happen(const EngineEvent& event) {
  if (event.kind == EngineEventKind::step_ended) return;
  SimulatedAnswer& answer = answers_[event.id];
  if (event.kind == EngineEventKind::finished) {
    answer.finish = event.at;
    settle(event.id, true);
    return completed(event.id);
  }
  answer.first_token = event.at;
  flights_.erase(event.id);  // It may have had patience with the engine.
  const auto predicted = predictions_.find(event.id);
  if (predicted == predictions_.end()) return;
  const double took = event.at - asked(event.id).at;
  fleet_.local_first_token(predicted->second, status_.step, took, now());
  predictions_.erase(predicted);
}

void World::happen(const Coming& coming) {
  if (coming.moment == Moment::impatient) return leave_engine(coming.request);
  Flight& flight = flights_.at(coming.request);
  SimulatedAnswer& answer = answers_[coming.request];
  if (coming.moment == Moment::first_token) {
    answer.first_token = coming.at;
    return flight.servers->answered(flight.visit, now());
  }
  if (coming.moment == Moment::failed) {
    const Error error{Errc::backend_unavailable, "", "", std::nullopt};
    flight.servers->failed(flight.visit, error, now());
    flight.servers->leave(flight.visit);
    flight.failed = true;
    const policy::Candidate& candidate = flight.plan.candidates[flight.next - 1];
    if (ask_provider(coming.request, flight, candidate)) return;
    return try_next(coming.request);
  }
  answer.finish = coming.at;
  flight.servers->finished(flight.visit, asked(coming.request).completion_tokens, now());
  flight.servers->leave(flight.visit);
  settle(coming.request, policy::is_expected(flight.plan, flight.plan.candidates[flight.next - 1]));
  flights_.erase(coming.request);
  completed(coming.request);
}

// As Course does it with who is silent for too long.
void World::leave_engine(std::size_t request) {
  if (!flights_.contains(request)) return;
  if (!engine_.take_back(request, true)) {
    flights_.erase(request);
    return;
  }
  predictions_.erase(request);
  set_out(request);
}

void World::arrive(std::size_t request) {
  auto made = plan(request, policy::Turn::unknown);
  if (made) fleet_.decided(*made, facts_of(request));
  take(request, std::move(made));
}

Result<policy::Plan> World::plan(std::size_t request, policy::Turn turn) {
  const policy::RequestFacts facts = facts_of(request);
  const auto allowed = policy::check_model({facts.key, nullptr}, facts.model);
  if (!allowed) return allowed.error();
  return router_.plan(facts, look(), turn);
}

// As WaitingRoom does it, at every step of the engine.
void World::release_held() {
  if (held_.size() == 0) return;
  looked_ = now_;
  const policy::FleetFacts facts = see_engine();
  if (held_.reckoning_due(now()))
    held_.reckon(status_, policy::cloud_room(*setup_.settings, facts), now());
  while (const auto released = held_.next(status_, now())) {
    take(released->id, plan(released->id, released->turn), released->turn);
    see_engine();
  }
}

policy::RequestFacts World::facts_of(std::size_t request) const {
  const TraceRequest& one = asked(request);
  policy::RequestFacts facts = asks_.facts(request);
  facts.draw = one.id;
  facts.cached_tokens = engine_.cached_tokens(replay_.prefix_of(one), one.prompt_tokens);
  facts.arrived = at_time(one.at);
  return facts;
}

// The reference engine keeps room for whole answers, whose lengths nobody knows: taken off is what
// those under way are expected to need still. Where a prompt is not let in for want of room,
// there is less than it takes.
policy::FleetFacts World::see_engine() {
  engine_.status(now_, status_);
  if (setup_.without_drift) status_.step = profile_;
  policy::FleetFacts facts = fleet_.facts(&status_, now());
  const policy::Remaining remaining = facts.answer_length.remaining();
  double expected = 0.0;
  for (const SequenceStatus& one : status_.running)
    expected += std::min<double>(remaining.tokens(one.generated, kUsualExposure),
                                 one.tokens_max - one.generated);
  status_.kv_tokens_free = std::max(0, status_.kv_tokens_free - static_cast<int>(expected));
  if (const int refused = engine_.prompt_without_room(); refused > 0)
    status_.kv_tokens_free = std::min(status_.kv_tokens_free, refused);
  return facts;
}

policy::FleetFacts World::look() {
  policy::FleetFacts facts = see_engine();
  if (setup_.without_drift) facts.ttft_correction = 1.0;
  if (!setup_.without_worth) facts.gpu_second_worth = held_.gpu_second_worth();
  facts.clock = later(setup_.starts, now_);
  return facts;
}

void World::take(std::size_t request, Result<policy::Plan> plan, policy::Turn turn) {
  SimulatedAnswer& answer = answers_[request];
  answer.decided = now_;
  if (!plan) {
    if (plan.error().code == Errc::overloaded && come_again(request, turn)) return;
    answer.failed = true;
    answer.refusal = plan.error().code;
    answer.rule = plan.error().rule;
    return;
  }
  answer.reason = plan->reason;
  answer.rule = plan->rule;
  if (plan->wait) {
    auto& [id, wait] = *waits_.emplace(request, *plan->wait).first;
    wait.tenant = asks_.tenant(request);
    return held_.hold(id, wait, status_, now());
  }
  const bool is_local = plan->candidates.front().local;
  const double patience = plan->candidates.front().patience;
  if (is_local) hand_to_engine(request, *plan, true);
  if (is_local && !std::isfinite(patience)) return;
  Flight& flight = flights_[request];
  flight.plan = std::move(*plan);
  if (!is_local) return set_out(request);
  flight.next = 1;
  expect(now_ + patience, Moment::impatient, request);
}

void World::set_out(std::size_t request) {
  const Flight& flight = flights_.at(request);
  SimulatedAnswer& answer = answers_[request];
  answer.order = {};
  for (std::size_t i = flight.next; i < flight.plan.candidates.size(); ++i) {
    const policy::Candidate& one = flight.plan.candidates[i];
    answer.order.push_back(
        static_cast<std::int8_t>(one.local ? -1 : providers_.place_of(one.target)));
  }
  try_next(request);
}

// As Pipeline does it where everybody is full.
bool World::come_again(std::size_t request, policy::Turn turn) {
  const auto known = waits_.find(request);
  if (known == waits_.end() || now() >= known->second.deadline) return false;
  known->second.again = true;
  known->second.not_here = turn == policy::Turn::local;
  held_.hold(request, known->second, status_, now());
  return true;
}

void World::hand_to_engine(std::size_t request, const policy::Plan& plan, bool first) {
  const TraceRequest& one = asked(request);
  const auto local =
      std::find_if(plan.candidates.begin(), plan.candidates.end(),
                   [](const policy::Candidate& candidate) { return candidate.local; });
  const bool background = local->lane == Lane::background;
  if (!background) {
    held_.foreground(policy::gpu_seconds(status_, one.prompt_tokens, plan.completion_tokens),
                     now());
    if (first && plan.local) {
      answers_[request].predicted_ttft = plan.local->ttft;
      answers_[request].ttft_bound = plan.local->ttft_bound;
      predictions_[request] = *plan.local;
    }
  }
  answers_[request].sent = now_;
  if (!engine_.fits(one.prompt_tokens, one.completion_tokens)) {
    answers_[request].failed = true;
    return;
  }
  engine_.hand_in(
      {.id = request,
       .prompt_tokens = one.prompt_tokens,
       .completion_tokens = one.completion_tokens,
       .completion_cap = one.told.tokens_max > 0 ? one.told.tokens_max
                                                 : setup_.engine.kv_tokens - one.prompt_tokens,
       .batch = background,
       .prefix_ids = replay_.prefix_of(one)},
      now_);
}

// As Course does it before anything is read: the candidates in order, until one answers.
void World::try_next(std::size_t request) {
  Flight& flight = flights_.at(request);
  while (flight.next < flight.plan.candidates.size()) {
    const policy::Candidate& candidate = flight.plan.candidates[flight.next++];
    if (candidate.not_for_full && flight.only_full()) continue;
    if (!candidate.local && flight.retries_used_up) continue;
    if (candidate.local) {
      hand_to_engine(request, flight.plan, false);
      flights_.erase(request);
      return;
    }
    flight.among = policy::kAllServers;
    flight.servers_asked = 0;
    if (ask_provider(request, flight, candidate)) return;
    flight.was_full = true;
  }
  const bool may_come_again = flight.only_full() || flight.retries_used_up;
  flights_.erase(request);
  if (may_come_again && come_again(request, policy::Turn::cloud)) return;
  answers_[request].failed = true;
  settle(request, false);
}

// As Dispatcher does it: one of its servers, then another. False: none could be asked, or all of
// these refused at once.
bool World::ask_provider(std::size_t request, Flight& flight, const policy::Candidate& candidate) {
  const TraceRequest& one = asked(request);
  SimulatedAnswer& answer = answers_[request];
  const int place = providers_.place_of(candidate.target);
  for (; flight.servers_asked < kServersAsked; ++flight.servers_asked) {
    policy::Call call;
    call.asking.promise = candidate.promise;
    call.asking.at_batch_rate = candidate.at_batch_rate;
    call.among = flight.among;
    if (answer.attempts > 0) call.occasion = policy::Occasion::again;
    const policy::Entered entered = fleet_.enter(candidate.target, call, now());
    flight.retries_used_up = entered.retries_used_up;
    if (!entered.visit) return false;
    flight.servers = entered.servers;
    flight.visit = *entered.visit;
    flight.among &= ~policy::only(flight.visit.server);
    const CloudReply reply =
        providers_.ask(place, flight.visit.server, one, answer.attempts++, now_);
    if (reply.outcome == CloudOutcome::limited) {
      const Error error{Errc::rate_limited, "", "", milliseconds(reply.retry_after)};
      flight.servers->failed(flight.visit, error, now());
      flight.servers->leave(flight.visit);
      continue;
    }
    ++flight.servers_asked;
    if (reply.outcome != CloudOutcome::answered) {
      expect(reply.finish, Moment::failed, request);
      return true;
    }
    answer.sent = now_;
    answer.provider = place;
    answer.cost = providers_.cost_of(candidate, one, reply);
    expect(reply.first_token, Moment::first_token, request);
    expect(reply.finish, Moment::finished, request);
    return true;
  }
  return false;
}

void World::expect(double at, Moment moment, std::size_t request) {
  coming_.push({at, order_++, moment, request});
}

void World::completed(std::size_t request) {
  const policy::RequestFacts facts = asks_.facts(request);
  fleet_.completed({.request_class = class_of(request),
                    .key = facts.key ? std::string_view(facts.key->name) : "",
                    .model = facts.model,
                    .prompt_tokens = facts.prompt_tokens,
                    .completion_tokens = asked(request).completion_tokens});
}

// As Pipeline::account does it.
void World::settle(std::size_t request, bool was_expected) {
  const TracePromise& promise = asks_.promise(request);
  const SimulatedAnswer& answer = answers_[request];
  policy::Settled settled{.local = answer.provider < 0 && !answer.failed,
                          .was_expected = was_expected,
                          .cost = answer.cost};
  if (!promise.waits) {
    settled.kept = !answer.failed && answer.first_token - asked(request).at <= promise.ttft;
    settled.predicted_share = answer.predicted_ttft / promise.ttft;
  }
  fleet_.settled(class_of(request), settled, now());
}

}  // namespace

Result<std::vector<SimulatedAnswer>> simulate_replay(const SimulationSetup& setup,
                                                     const simulate::Replay& replay) {
  World world(setup, replay);
  auto opened = world.open();
  if (!opened) return opened.error();
  return world.run();
}

}  // namespace spillway
