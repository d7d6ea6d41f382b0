#include "gateway/reload/shadow.h"

#include "gateway/policy/choice.h"
#include "gateway/reload/recorded.h"

#include <algorithm>
#include <chrono>
#include <pthread.h>
#include <utility>

namespace spillway {
namespace {

constexpr std::chrono::milliseconds kLookEvery{20};
constexpr std::size_t kQueuedMax = 1'024;
constexpr std::size_t kChoicesKept = 1'000;

}  // namespace

// A request, and what the policy in force made of it.
struct Shadow::Asked {
  std::string id;
  Recorded recorded;
  std::string request_class;  // Empty: it was refused before it had one.
  policy::Choice in_force;
  bool sent = false;
};

Shadow::Shadow() : thread_([this] { run(); }) {}

Shadow::~Shadow() { stop(); }

void Shadow::follow(const std::string& path, std::shared_ptr<const config::Settings> settings) {
  {
    std::lock_guard lock(told_mutex_);
    told_ = {.policy = path, .problem = "", .sha256 = settings->sha256};
    moves_.clear();
    last_.clear();
    kept_ = 0;
  }
  std::lock_guard lock(queue_mutex_);
  queue_.clear();
  router_ = std::make_shared<const policy::Router>(std::move(settings));
  follows_ = true;
  changed_.notify_one();
}

void Shadow::stand_down(const std::string& path, const std::string& problem) {
  {
    std::lock_guard lock(queue_mutex_);
    follows_ = false;
    queue_.clear();
    router_ = nullptr;
  }
  std::lock_guard lock(told_mutex_);
  told_ = {.policy = path, .problem = problem};
  moves_.clear();
}

void Shadow::consider(std::string_view id, const policy::RequestFacts& request,
                      const std::shared_ptr<const Moment>& moment,
                      const Result<policy::Plan>& made) {
  if (!follows_.load(std::memory_order_relaxed)) return;
  Asked asked{.id = std::string(id),
              .recorded = Recorded(request, moment, policy::Turn::unknown),
              .request_class = made ? made->request_class->name : "",
              .in_force = policy::choice_of(made),
              .sent = made.has_value()};
  std::unique_lock lock(queue_mutex_);
  if (queue_.size() < kQueuedMax) return queue_.push_back(std::move(asked));
  lock.unlock();
  std::lock_guard told_lock(told_mutex_);
  ++told_.skipped;
}

ShadowState Shadow::state() const {
  std::lock_guard lock(told_mutex_);
  ShadowState state = told_;
  state.moves = moves_.list();
  return state;
}

std::optional<ShadowChoice> Shadow::find(std::string_view id) const {
  std::lock_guard lock(told_mutex_);
  const auto found =
      std::find_if(last_.begin(), last_.end(), [&](const auto& one) { return one.id == id; });
  return found == last_.end() ? std::nullopt : std::optional(*found);
}

void Shadow::stop() {
  {
    std::lock_guard lock(queue_mutex_);
    stopped_ = true;
    follows_ = false;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

// Nobody wakes it for a request: that would cost the request more than all the rest.
void Shadow::run() {
  pthread_setname_np(pthread_self(), "shadow");
  std::unique_lock lock(queue_mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopped_ || router_; });
    if (stopped_) return;
    const auto router = router_;
    const auto all = std::exchange(queue_, {});
    lock.unlock();
    for (const Asked& asked : all) compare(*router, asked);
    lock.lock();
    changed_.wait_for(lock, kLookEvery, [this] { return stopped_; });
  }
}

void Shadow::compare(const policy::Router& router, const Asked& asked) {
  const auto plan = asked.recorded.plan_by(router);
  policy::Choice chosen = policy::choice_of(plan);
  ShadowChoice choice{
      .id = asked.id,
      .target = std::move(chosen.target),
      .reason = plan ? std::string(policy::name_of(plan->reason)) : plan.error().message,
      .rule = std::string(plan ? plan->rule : plan.error().rule),
      .cost = chosen.cost};
  choice.differs = choice.target != asked.in_force.target;
  keep(router.settings()->sha256, asked, std::move(choice), plan && asked.sent);
}

void Shadow::keep(const std::string& sha256, const Asked& asked, ShadowChoice choice,
                  bool both_sent) {
  std::lock_guard lock(told_mutex_);
  if (told_.sha256 != sha256) return;  // Another policy has taken its place.
  ++(choice.differs ? told_.differed : told_.agreed);
  const std::int64_t change = both_sent ? choice.cost - asked.in_force.cost : 0;
  if (both_sent) {
    told_.cost_in_force += asked.in_force.cost;
    told_.cost_of_shadow += choice.cost;
  }
  if (choice.differs) moves_.add(asked.request_class, asked.in_force.target, choice.target, change);
  if (last_.size() < kChoicesKept) {
    last_.push_back(std::move(choice));
  } else {
    last_[kept_ % kChoicesKept] = std::move(choice);
  }
  ++kept_;
}

}  // namespace spillway
