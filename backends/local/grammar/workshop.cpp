#include "backends/local/grammar/workshop.h"

#include "backends/contract/tenant_turns.h"
#include "backends/local/grammar/size_check.h"

#include <algorithm>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace spillway::local::grammar {
namespace {

constexpr int kAtATime = 6;
constexpr int kLateMax = 2;  // Beside these.
constexpr int kLowPriority = 10;

Error busy() {
  return {Errc::overloaded, "too many forms of answers are being prepared", "",
          std::chrono::milliseconds(1'000)};
}

Error closed() {
  return {Errc::backend_unavailable, "the local engine was stopped", "", std::nullopt};
}

void begin_thread(const char* name) {
  pthread_setname_np(pthread_self(), name);
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kLowPriority);
}

}  // namespace

Workshop::Workshop(std::unique_ptr<Compiler> compiler, WorkshopLimits limits)
    : compiler_(std::move(compiler)), limits_(limits) {
  for (int i = 0; i < kAtATime + kLateMax; ++i) threads_.emplace_back([this] { work(); });
  threads_.emplace_back([this] { watch(); });
}

Workshop::~Workshop() {
  std::unique_lock lock(mutex_);
  closing_ = true;
  std::vector<Answer> answers;
  for (Order& order : orders_) {
    std::move(order.answers.begin(), order.answers.end(), std::back_inserter(answers));
    order.answers.clear();
  }
  lock.unlock();
  changed_.notify_all();
  compiler_->stop();
  for (const Answer& answer : answers) answer(closed());
  for (std::thread& thread : threads_) thread.join();
}

void Workshop::ask(std::shared_ptr<const Form> form, const std::string& tenant, Answer answer) {
  if (const auto fits = check_size(*form); !fits) return answer(fits.error());
  std::unique_lock lock(mutex_);
  if (auto known = find(*form)) {
    lock.unlock();
    return answer(std::move(known));
  }
  const auto same = std::find_if(orders_.begin(), orders_.end(),
                                 [&](const Order& order) { return *order.form == *form; });
  const bool is_late = same != orders_.end() && same->is_late();
  const bool is_busy = waiting() >= limits_.waiting_max ||
                       waiting(tenant) >= limits_.tenant_waiting_max || has_late(tenant);
  if (is_late || closing_ || is_busy) {
    const Error error = is_late ? takes_too_long(*form) : closing_ ? closed() : busy();
    lock.unlock();
    return answer(error);
  }
  if (same == orders_.end()) {
    orders_.push_back({std::move(form), tenant, {}, false, Clock::now() + limits_.for_a_thread});
    orders_.back().answers.push_back(std::move(answer));
  } else {
    same->answers.push_back(std::move(answer));
  }
  lock.unlock();
  changed_.notify_all();
}

std::size_t Workshop::cached_bytes() const {
  std::lock_guard lock(mutex_);
  return cached_bytes_;
}

std::shared_ptr<const Grammar> Workshop::find(const Form& form) {
  const auto found =
      std::find_if(made_.begin(), made_.end(), [&](const Made& made) { return made.form == form; });
  if (found == made_.end()) return nullptr;
  made_.splice(made_.begin(), made_, found);
  return found->grammar;
}

void Workshop::keep(const Form& form, std::shared_ptr<const Grammar> grammar) {
  const auto bytes_of = [](const Made& made) { return made.grammar->bytes() + size_of(made.form); };
  made_.push_front({form, std::move(grammar)});
  cached_bytes_ += bytes_of(made_.front());
  while (cached_bytes_ > limits_.cache_bytes_max) {
    cached_bytes_ -= bytes_of(made_.back());
    made_.pop_back();
  }
}

std::size_t Workshop::waiting() const {
  std::size_t answers = 0;
  for (const Order& order : orders_) answers += order.answers.size();
  return answers;
}

std::size_t Workshop::waiting(const std::string& tenant) const {
  std::size_t answers = 0;
  for (const Order& order : orders_) answers += order.tenant == tenant ? order.answers.size() : 0;
  return answers;
}

bool Workshop::has_late(const std::string& tenant) const {
  return std::any_of(orders_.begin(), orders_.end(),
                     [&](const Order& order) { return order.tenant == tenant && order.is_late(); });
}

// What may be begun now; end: nothing.
std::list<Workshop::Order>::iterator Workshop::next() {
  const auto on_time = std::count_if(orders_.begin(), orders_.end(), [](const Order& order) {
    return order.begun && !order.is_late();
  });
  if (on_time >= kAtATime) return orders_.end();
  return next_in_turn(orders_);
}

void Workshop::work() {
  begin_thread("forms");
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return closing_ || (!getting_ready_ && next() != orders_.end()); });
    if (closing_) return;
    getting_ready_ = true;
    lock.unlock();
    const auto ready = compiler_->get_ready();
    lock.lock();
    getting_ready_ = false;
    const auto order = next();  // Who asked first may have been refused meanwhile.
    if (closing_ || order == orders_.end()) continue;
    order->begun = true;
    order->late = Clock::now() + limits_.compiling;
    let_others_first(orders_, order->tenant);
    lock.unlock();
    changed_.notify_all();
    const auto grammar = ready ? compiler_->compile(*order->form) : ready.error();
    lock.lock();
    if (grammar) keep(*order->form, *grammar);
    const std::vector<Answer> answers = std::move(order->answers);
    orders_.erase(order);
    lock.unlock();
    changed_.notify_all();
    for (const Answer& answer : answers) answer(grammar);
    lock.lock();
  }
}

void Workshop::watch() {
  begin_thread("forms-watch");
  std::unique_lock lock(mutex_);
  while (!closing_) {
    auto next = Clock::time_point::max();
    auto late = orders_.end();
    for (auto order = orders_.begin(); order != orders_.end(); ++order) {
      if (order->answers.empty()) continue;
      if (order->late <= Clock::now()) late = order;
      next = std::min(next, order->late);
    }
    if (late != orders_.end() && late->begun) {
      refuse_late(lock, *late);
    } else if (late != orders_.end()) {
      refuse_unbegun(lock, late);
    } else if (next == Clock::time_point::max()) {
      changed_.wait(lock);
    } else {
      changed_.wait_until(lock, next);
    }
  }
}

// No thread came free for it.
void Workshop::refuse_unbegun(std::unique_lock<std::mutex>& lock,
                              std::list<Order>::iterator order) {
  const std::vector<Answer> answers = std::move(order->answers);
  orders_.erase(order);
  lock.unlock();
  for (const Answer& answer : answers) answer(busy());
  lock.lock();
}

// Who stands behind it would wait for who knows how long.
void Workshop::refuse_late(std::unique_lock<std::mutex>& lock, Order& late) {
  const std::vector<Answer> answers = std::exchange(late.answers, {});
  const Error error = takes_too_long(*late.form);
  std::vector<Answer> behind;
  std::erase_if(orders_, [&](Order& order) {
    if (order.begun || order.tenant != late.tenant) return false;
    std::move(order.answers.begin(), order.answers.end(), std::back_inserter(behind));
    return true;
  });
  lock.unlock();
  changed_.notify_all();
  for (const Answer& answer : answers) answer(error);
  for (const Answer& answer : behind) answer(busy());
  lock.lock();
}

}  // namespace spillway::local::grammar
