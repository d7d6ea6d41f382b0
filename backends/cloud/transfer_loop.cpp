#include "backends/cloud/transfer_loop.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <mutex>
#include <pthread.h>
#include <stdexcept>
#include <sys/epoll.h>
#include <unistd.h>
#include <utility>

namespace spillway::cloud {

namespace {

constexpr long kIdleConnectionsMax = 1'024;
constexpr const char* kStopping = "the gateway is stopping";

void set_up_curl_once() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
      throw std::runtime_error("libcurl cannot be initialised");
    }
  });
}

std::uint32_t epoll_events(int what) {
  std::uint32_t events = 0;
  if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) events |= EPOLLIN;
  if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) events |= EPOLLOUT;
  return events;
}

int curl_events(std::uint32_t events) {
  int mask = 0;
  if ((events & (EPOLLIN | EPOLLHUP)) != 0) mask |= CURL_CSELECT_IN;
  if ((events & EPOLLOUT) != 0) mask |= CURL_CSELECT_OUT;
  if ((events & EPOLLERR) != 0) mask |= CURL_CSELECT_ERR;
  return mask;
}

}  // namespace

TransferLoop::TransferLoop() : inbox_(std::make_shared<Inbox>()) {
  set_up();
  // Signals are for the main thread; SIGPIPE, which TLS writes may raise, is for nobody.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), "cloud");
}

TransferLoop::~TransferLoop() {
  stop();
  curl_multi_cleanup(multi_);
  close(epoll_);
}

void TransferLoop::set_up() {
  set_up_curl_once();
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  multi_ = curl_multi_init();
  if (epoll_ < 0 || multi_ == nullptr) throw std::runtime_error("the cloud thread cannot start");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = inbox_->descriptor();
  epoll_ctl(epoll_, EPOLL_CTL_ADD, inbox_->descriptor(), &event);

  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &on_socket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &on_timer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, kIdleConnectionsMax);
}

void TransferLoop::stop() {
  inbox_->stop();
  if (thread_.joinable()) thread_.join();
}

int TransferLoop::on_socket(void*, int socket, int what, void* self, void* known) {
  auto& loop = *static_cast<TransferLoop*>(self);
  if (what == CURL_POLL_REMOVE) {
    epoll_ctl(loop.epoll_, EPOLL_CTL_DEL, socket, nullptr);
    return 0;
  }
  epoll_event event{};
  event.events = epoll_events(what);
  event.data.fd = socket;
  epoll_ctl(loop.epoll_, known == nullptr ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, socket, &event);
  if (known == nullptr) curl_multi_assign(loop.multi_, socket, self);
  return 0;
}

int TransferLoop::on_timer(void*, long timeout_ms, void* self) {
  auto& loop = *static_cast<TransferLoop*>(self);
  loop.timer_.reset();
  if (timeout_ms >= 0) loop.timer_ = SteadyClock::now() + std::chrono::milliseconds(timeout_ms);
  return 0;
}

void TransferLoop::run() {
  while (true) {
    Orders orders = inbox_->take();
    if (orders.stop) break;
    // Sockets are looked at in each round, lest a flood of orders starve them.
    const bool busy = !orders.empty();
    obey(std::move(orders));
    run_timer();
    end_overdue();
    wait(busy ? 0 : wait_ms());
  }
  end_all();
}

void TransferLoop::obey(Orders orders) {
  for (auto& transfer : orders.starts) begin(std::move(transfer));
  for (const TransferId id : orders.look_at) look_at(id);
}

void TransferLoop::begin(std::unique_ptr<Transfer> transfer) {
  if (transfer->abandoned()) return;
  void* easy = transfer->arm(SteadyClock::now(), earliest_due_);
  Transfer& begun = *(transfers_[transfer->id()] = std::move(transfer));
  if (curl_multi_add_handle(multi_, easy) == CURLM_OK) return;
  begun.fail("the gateway cannot open another transfer");
  remove(begun);
}

void TransferLoop::look_at(TransferId id) {
  const auto found = transfers_.find(id);
  if (found == transfers_.end()) return;
  Transfer& transfer = *found->second;
  if (transfer.abandoned() || !transfer.resume(SteadyClock::now())) remove(transfer);
}

void TransferLoop::wait(int timeout_ms) {
  std::array<epoll_event, 64> events;
  const int count = epoll_wait(epoll_, events.data(), events.size(), timeout_ms);
  for (int i = 0; i < count; ++i) {
    if (events[i].data.fd == inbox_->descriptor()) {
      inbox_->clear_wake_up();
      continue;
    }
    int running = 0;
    curl_multi_socket_action(multi_, events[i].data.fd, curl_events(events[i].events), &running);
  }
  if (count > 0) reap_completed();
}

int TransferLoop::wait_ms() const {
  const TimePoint next = std::min(timer_.value_or(TimePoint::max()), earliest_due_);
  if (next == TimePoint::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - SteadyClock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
}

void TransferLoop::run_timer() {
  if (!timer_ || SteadyClock::now() < *timer_) return;
  timer_.reset();
  int running = 0;
  curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running);
  reap_completed();
}

void TransferLoop::reap_completed() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    Transfer* transfer = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    transfer->complete(message->data.result);
    remove(*transfer);
  }
}

void TransferLoop::end_overdue() {
  const TimePoint now = SteadyClock::now();
  if (now < earliest_due_) return;
  earliest_due_ = TimePoint::max();
  std::vector<Transfer*> overdue;
  for (const auto& [id, transfer] : transfers_) {
    const TimePoint due = transfer->due();
    if (due <= now) overdue.push_back(transfer.get());
    if (due > now) earliest_due_ = std::min(earliest_due_, due);
  }
  for (Transfer* transfer : overdue) {
    transfer->expire(now);
    remove(*transfer);
  }
}

// A transfer that libcurl is not done with loses its connection by this.
void TransferLoop::remove(Transfer& transfer) {
  curl_multi_remove_handle(multi_, transfer.handle());
  transfers_.erase(transfer.id());
}

void TransferLoop::end_all() {
  Orders last = inbox_->close();
  for (const auto& transfer : last.starts) transfer->fail(kStopping);
  for (const auto& [id, transfer] : transfers_) {
    curl_multi_remove_handle(multi_, transfer->handle());
    transfer->fail(kStopping);
  }
  transfers_.clear();
}

}  // namespace spillway::cloud
