#include "backends/isolated/switchboard.h"

#include "backends/local/engine/inbox.h"

#include <utility>
#include <vector>

namespace spillway::isolated {
namespace {

constexpr std::size_t kBridgeCapacity = 256;  // Deltas a client may be behind.

Error no_engine() {
  return {Errc::backend_unavailable, "the local engine is not running", "", std::nullopt};
}

}  // namespace

Result<std::shared_ptr<Bridge>> Switchboard::submit(local::Ask ask,
                                                    boost::asio::any_io_executor consumer) {
  std::vector<local::WaitingPlace> places;
  for (const auto& prompt : *ask.prompts) places.push_back(expected(ask, prompt));
  std::string frame;
  std::lock_guard lock(mutex_);
  if (!is_ready()) return no_engine();
  if (status_now().is_full_for(ask.answers())) return local::full_for_now();
  const StreamId id = ++last_id_;
  encode(Order(Question{id, *ask.prompts, std::move(ask.sampling), ask.tokens_max, ask.lane,
                        std::move(ask.owner), ask.form ? std::optional(*ask.form) : std::nullopt,
                        std::move(ask.begun), ask.choices}),
         frame);
  if (!flush_now() || !orders_->write(frame)) return local::full_for_now();
  orders_->wake();
  for (local::WaitingPlace& place : places) mirror_.expect(std::move(place));
  auto on_room = [board = weak_from_this(), id] {
    if (const auto alive = board.lock()) alive->heed_consumer(id);
  };
  auto bridge = std::make_shared<Bridge>(std::move(consumer), kBridgeCapacity, std::move(on_room));
  streams_.emplace(id, Stream{bridge});
  return bridge;
}

int Switchboard::context_max() const {
  std::lock_guard lock(mutex_);
  return mirror_.context_max();
}

int Switchboard::cached_tokens(std::string_view owner, std::span<const std::int32_t> prompt) const {
  return look_up(owner, prompt).worth;
}

EngineStatus Switchboard::status() const {
  std::lock_guard lock(mutex_);
  return status_now();
}

EngineCounters Switchboard::counters() const {
  std::lock_guard lock(mutex_);
  return mirror_.counters();
}

void Switchboard::connect(const Line& line, const std::string& settings) {
  std::lock_guard lock(mutex_);
  orders_.emplace(line.orders_out());
  send_now(Hello{settings});
}

Result<void> Switchboard::heed(Word word) {
  return std::visit([this](auto& one) { return on(one); }, word);
}

void Switchboard::disconnect(const Error& why) {
  std::unique_lock lock(mutex_);
  orders_.reset();
  backlog_.clear();
  mirror_.forget();
  const auto streams = std::exchange(streams_, {});
  lock.unlock();
  for (const auto& [id, stream] : streams) stream.bridge->fail(why);
}

bool Switchboard::has_work() const {
  std::lock_guard lock(mutex_);
  // Whose clients have left it may be stuck with.
  return !streams_.empty() || mirror_.has_work();
}

void Switchboard::send(const Order& order) {
  std::lock_guard lock(mutex_);
  if (orders_) send_now(order);
}

void Switchboard::close(Deadline drain_until) {
  std::lock_guard lock(mutex_);
  closed_ = true;
  if (orders_) send_now(Stop{drain_until});
}

bool Switchboard::flush() {
  std::lock_guard lock(mutex_);
  return !orders_ || flush_now();
}

// Asked before the mutex is held: it takes a prompt's length of time.
Switchboard::Cached Switchboard::look_up(std::string_view owner,
                                         std::span<const std::int32_t> prompt) const {
  std::unique_lock lock(mutex_);
  const auto prefixes = mirror_.prefixes();
  if (!prefixes) return {std::vector<int>(mirror_.replicas()), 0};
  lock.unlock();
  std::vector<int> cached = cached_in_each(*prefixes, owner, prompt);
  lock.lock();
  const int worth = mirror_.worth_of_cache(cached, static_cast<int>(prompt.size()));
  return {std::move(cached), worth};
}

local::WaitingPlace Switchboard::expected(const local::Ask& ask,
                                          std::span<const std::int32_t> prompt) const {
  Cached cached = look_up(ask.owner, prompt);
  const int unread = static_cast<int>(prompt.size()) - cached.worth;
  const SequenceStatus sequence{unread, cached.worth, 0, ask.tokens_max, ask.lane};
  const auto choices = static_cast<std::size_t>(ask.choices);
  return {0, std::vector<SequenceStatus>(choices, sequence), std::move(cached.in_each)};
}

std::shared_ptr<Bridge> Switchboard::find(StreamId id) const {
  std::lock_guard lock(mutex_);
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second.bridge;
}

std::shared_ptr<Bridge> Switchboard::take(StreamId id) {
  std::lock_guard lock(mutex_);
  const auto node = streams_.extract(id);
  return node ? node.mapped().bridge : nullptr;
}

// On the consumer's thread: it took something, or left.
void Switchboard::heed_consumer(StreamId id) {
  std::lock_guard lock(mutex_);
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  if (found->second.bridge->abandoned()) {
    streams_.erase(found);
    if (orders_) send_now(Cancelled{id});
  } else if (std::exchange(found->second.paused, false) && orders_) {
    send_now(Resumed{id});
  }
}

EngineStatus Switchboard::status_now() const {
  EngineStatus status = mirror_.status();
  status.ready = is_ready();
  return status;
}

bool Switchboard::flush_now() {
  while (!backlog_.empty() && orders_->write(backlog_.front())) backlog_.pop_front();
  orders_->wake();
  return backlog_.empty();
}

void Switchboard::send_now(const Order& order) {
  std::string frame;
  encode(order, frame);
  backlog_.push_back(std::move(frame));
  (void)flush_now();
}

Result<void> Switchboard::on(Piece& word) {
  const auto bridge = find(word.id);
  if (!bridge) return {};  // Its client has left meanwhile.
  bridge->push(std::move(word.delta));
  std::lock_guard lock(mutex_);  // Before the bridge may ask for more.
  const auto found = streams_.find(word.id);
  if (found == streams_.end() || found->second.paused || !bridge->full()) return {};
  found->second.paused = true;
  send_now(Paused{word.id});
  return {};
}

Result<void> Switchboard::on(Done& word) {
  if (const auto bridge = take(word.id)) bridge->finish();
  return {};
}

Result<void> Switchboard::on(Failure& word) {
  if (const auto bridge = take(word.id)) bridge->fail(std::move(word.error));
  return {};
}

// The supervisor's.
Result<void> Switchboard::on(Farewell&) { return {}; }

Result<void> Switchboard::on(auto& word) {
  std::lock_guard lock(mutex_);
  return mirror_.on(word);
}

}  // namespace spillway::isolated
