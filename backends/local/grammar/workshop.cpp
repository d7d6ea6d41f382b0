#include "backends/local/grammar/workshop.h"

#include "backends/local/grammar/size_check.h"

#include <algorithm>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace spillway::local::grammar {
namespace {

constexpr int kThreads = 2;
constexpr int kLowestPriority = 19;

Error takes_too_long(const Form& form) {
  return {Errc::invalid_request,
          "'" + form.field +
              "' takes too long to prepare: make it simpler (shorter minLength, maxLength and "
              "repetitions, fewer properties that may be left out).",
          form.field, std::nullopt};
}

Error busy() {
  return {Errc::overloaded, "too many forms of answers are being prepared", "",
          std::chrono::milliseconds(1'000)};
}

Error closed() {
  return {Errc::backend_unavailable, "the local engine was stopped", "", std::nullopt};
}

void begin_thread(const char* name) {
  pthread_setname_np(pthread_self(), name);
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kLowestPriority);
}

}  // namespace

Workshop::Workshop(std::unique_ptr<Compiler> compiler, WorkshopLimits limits)
    : compiler_(std::move(compiler)), limits_(limits) {
  for (int i = 0; i < kThreads; ++i) threads_.emplace_back([this] { work(); });
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
  for (const Answer& answer : answers) answer(closed());
  for (std::thread& thread : threads_) thread.join();
}

void Workshop::ask(std::shared_ptr<const Form> form, Answer answer) {
  if (const auto fits = check_size(*form); !fits) return answer(fits.error());
  std::unique_lock lock(mutex_);
  if (auto known = find(*form)) {
    lock.unlock();
    return answer(std::move(known));
  }
  const auto same = std::find_if(orders_.begin(), orders_.end(),
                                 [&](const Order& order) { return *order.form == *form; });
  const bool is_late = same != orders_.end() && same->begun && Clock::now() >= same->late;
  if (is_late || closing_ || waiting() >= limits_.waiting_max) {
    const Error error = is_late ? takes_too_long(*form) : closing_ ? closed() : busy();
    lock.unlock();
    return answer(error);
  }
  if (same == orders_.end()) {
    orders_.push_back({std::move(form), {}, false, {}});
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

void Workshop::work() {
  begin_thread("forms");
  std::unique_lock lock(mutex_);
  while (true) {
    std::list<Order>::iterator order;
    changed_.wait(lock, [&] {
      order =
          std::find_if(orders_.begin(), orders_.end(), [](const Order& one) { return !one.begun; });
      return closing_ || order != orders_.end();
    });
    if (closing_) return;
    order->begun = true;
    order->late = Clock::now() + limits_.compiling;
    lock.unlock();
    changed_.notify_all();
    const auto grammar = compiler_->compile(*order->form);
    lock.lock();
    if (grammar) keep(*order->form, *grammar);
    const std::vector<Answer> answers = std::move(order->answers);
    orders_.erase(order);
    lock.unlock();
    for (const Answer& answer : answers) answer(grammar);
    lock.lock();
  }
}

void Workshop::watch() {
  begin_thread("forms-watch");
  std::unique_lock lock(mutex_);
  while (!closing_) {
    auto next = Clock::time_point::max();
    Order* late = nullptr;
    for (Order& order : orders_) {
      if (!order.begun || order.answers.empty()) continue;
      if (order.late <= Clock::now()) late = &order;
      next = std::min(next, order.late);
    }
    if (late != nullptr) {
      refuse_late(lock, *late);
    } else if (next == Clock::time_point::max()) {
      changed_.wait(lock);
    } else {
      changed_.wait_until(lock, next);
    }
  }
}

void Workshop::refuse_late(std::unique_lock<std::mutex>& lock, Order& order) {
  const std::vector<Answer> answers = std::move(order.answers);
  order.answers.clear();
  const Error error = takes_too_long(*order.form);
  lock.unlock();
  for (const Answer& answer : answers) answer(error);
  lock.lock();
}

}  // namespace spillway::local::grammar
