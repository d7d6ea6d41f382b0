#include "backends/isolated/switchboard.h"

#include "backends/local/engine/executor.h"
#include "backends/local/engine/inbox.h"

#include <limits>
#include <utility>
#include <vector>

namespace spillway::isolated {
namespace {

constexpr std::size_t kBridgeCapacity = 256;  // Deltas a client may be behind.
constexpr int kAnyContext = std::numeric_limits<int>::max() / 2;

Error no_engine() {
  return {Errc::backend_unavailable, "the local engine is not running", "", std::nullopt};
}

Error cannot_be() { return {Errc::internal, "the engine says what cannot be", "", std::nullopt}; }

}  // namespace

Result<std::shared_ptr<Bridge>> Switchboard::submit(local::Ask ask,
                                                    boost::asio::any_io_executor consumer) {
  std::vector<SequenceStatus> unseen;
  for (const auto& prompt : *ask.prompts) {
    const int cached = cached_tokens(ask.owner, prompt);
    const int unread = static_cast<int>(prompt.size()) - cached;
    unseen.insert(unseen.end(), static_cast<std::size_t>(ask.choices),
                  {unread, cached, 0, ask.tokens_max, ask.lane});
  }
  std::string frame;
  std::lock_guard lock(mutex_);
  if (!loaded_ || closed_ || !status_.ready) return no_engine();
  if (status_now().is_full_for(ask.answers())) return local::full_for_now();
  const StreamId id = ++last_id_;
  encode(Order(Question{id, *ask.prompts, std::move(ask.sampling), ask.tokens_max, ask.lane,
                        std::move(ask.owner), ask.form ? std::optional(*ask.form) : std::nullopt,
                        std::move(ask.begun), ask.choices}),
         frame);
  if (!flush_now() || !orders_->write(frame)) return local::full_for_now();
  orders_->wake();
  unseen_.insert(unseen_.end(), unseen.begin(), unseen.end());
  auto on_room = [board = weak_from_this(), id] {
    if (const auto alive = board.lock()) alive->heed_consumer(id);
  };
  auto bridge = std::make_shared<Bridge>(std::move(consumer), kBridgeCapacity, std::move(on_room));
  streams_.emplace(id, Stream{bridge});
  return bridge;
}

int Switchboard::context_max() const {
  std::lock_guard lock(mutex_);
  return context_max_ > 0 ? context_max_ : kAnyContext;
}

int Switchboard::cached_tokens(std::string_view owner, std::span<const std::int32_t> prompt) const {
  std::unique_lock lock(mutex_);
  const auto prefixes = prefixes_;
  lock.unlock();
  return prefixes ? prefixes->cached_tokens(owner, prompt) : 0;
}

EngineStatus Switchboard::status() const {
  std::lock_guard lock(mutex_);
  return status_now();
}

EngineCounters Switchboard::counters() const {
  std::lock_guard lock(mutex_);
  return counters_;
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
  loaded_ = false;
  status_.ready = false;
  status_.running.clear();
  status_.waiting.clear();
  step_began_.reset();
  counters_ = {};
  unseen_.clear();
  seen_ = 0;
  prefixes_.reset();
  const auto streams = std::exchange(streams_, {});
  lock.unlock();
  for (const auto& [id, stream] : streams) stream.bridge->fail(why);
}

bool Switchboard::has_work() const {
  std::lock_guard lock(mutex_);
  // Whose clients have left it may be stuck with.
  return !streams_.empty() || !status_.running.empty() || !status_.waiting.empty();
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

// The engine's picture, and behind it those who are on their way there.
EngineStatus Switchboard::status_now() const {
  EngineStatus status = status_;
  status.ready = loaded_ && !closed_ && status_.ready;
  for (const SequenceStatus& one : unseen_) queue_up(status.waiting, one);
  if (step_began_) status.step_elapsed = seconds_between(*step_began_, SteadyClock::now());
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

Result<void> Switchboard::on(Loaded& word) {
  const int tokens = word.status.kv_tokens_total;
  if (tokens < 0 || tokens > std::max(kv_tokens_max_, local::kBlockTokens)) return cannot_be();
  std::lock_guard lock(mutex_);
  loaded_ = true;
  context_max_ = word.status.context_max;
  status_ = std::move(word.status);
  prefixes_ =
      std::make_shared<local::PrefixTree>(tokens / local::kBlockTokens, local::kBlockTokens);
  return {};
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

Result<void> Switchboard::on(Picture& word) {
  std::lock_guard lock(mutex_);
  if (!loaded_) return {};  // It measures itself.
  const std::uint64_t seen = word.counters.accepted + word.counters.refused;
  if (seen < seen_ || seen - seen_ > unseen_.size()) return cannot_be();
  unseen_.erase(unseen_.begin(), unseen_.begin() + static_cast<std::ptrdiff_t>(seen - seen_));
  seen_ = seen;
  status_ = std::move(word.status);
  step_began_ = word.step_began;
  counters_ = word.counters;
  return {};
}

Result<void> Switchboard::on(PrefixInserted& word) {
  std::lock_guard lock(mutex_);
  const int blocks = status_.kv_tokens_total / local::kBlockTokens;
  const bool fits = prefixes_ && word.block >= 0 && word.block < blocks &&
                    word.tokens.size() == local::kBlockTokens && !prefixes_->holds(word.block);
  if (!fits) return cannot_be();
  prefixes_->insert(word.owner, word.parent, word.tokens, word.block);
  return {};
}

Result<void> Switchboard::on(PrefixErased& word) {
  std::lock_guard lock(mutex_);
  const int blocks = status_.kv_tokens_total / local::kBlockTokens;
  if (!prefixes_ || word.block < 0 || word.block >= blocks) return cannot_be();
  prefixes_->erase(word.block);
  return {};
}

// The supervisor's.
Result<void> Switchboard::on(Farewell&) { return {}; }

}  // namespace spillway::isolated
