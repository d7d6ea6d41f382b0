#include "gateway/replay/first_answers.h"

#include <algorithm>
#include <iterator>

namespace spillway::replay {

Claim& Claim::operator=(Claim&& other) noexcept {
  if (this == &other) return *this;
  give_up();
  answers_ = std::exchange(other.answers_, nullptr);
  name_ = std::move(other.name_);
  return *this;
}

void Claim::keep(Answer answer, TimePoint now) {
  if (answers_ == nullptr) return;
  std::exchange(answers_, nullptr)->keep(name_, std::move(answer), now);
}

void Claim::give_up() {
  if (answers_ != nullptr) std::exchange(answers_, nullptr)->forget(name_);
}

FirstAnswers::Found FirstAnswers::look(const Name& name, const std::string& fingerprint,
                                       TimePoint now) {
  const std::lock_guard lock(mutex_);
  forget_old(now);
  const auto [entry, is_new] = entries_.try_emplace(name, Entry{fingerprint, nullptr, {}});
  if (is_new) return {State::first, Claim(*this, name), nullptr};
  if (entry->second.fingerprint != fingerprint) return {State::other, {}, nullptr};
  if (!entry->second.answer) return {State::busy, {}, nullptr};
  return {State::answered, {}, entry->second.answer};
}

void FirstAnswers::keep(const Name& name, Answer answer, TimePoint now) {
  const std::lock_guard lock(mutex_);
  const std::size_t bytes = answer.bytes();
  if (bytes > answer_bytes_max()) {
    entries_.erase(name);
    return;
  }
  Entry& entry = entries_[name];
  entry.answer = std::make_shared<const Answer>(std::move(answer));
  entry.kept = now;
  kept_.push_back(name);
  Share& share = shares_[name.tenant];
  share.kept.push_back(std::prev(kept_.end()));
  share.bytes += bytes;
  bytes_ += bytes;
  forget_old(now);
}

void FirstAnswers::forget(const Name& name) {
  const std::lock_guard lock(mutex_);
  entries_.erase(name);
}

void FirstAnswers::forget_old(TimePoint now) {
  while (!kept_.empty() && now - entries_.at(kept_.front()).kept >= limits_.keep)
    forget_oldest_of(shares_.find(kept_.front().tenant));
  while (bytes_ > limits_.bytes_max) {
    forget_oldest_of(std::ranges::max_element(
        shares_, {}, [](const auto& share) { return share.second.bytes; }));
  }
}

void FirstAnswers::forget_oldest_of(std::map<std::string, Share>::iterator share) {
  const auto oldest = share->second.kept.front();
  const auto entry = entries_.find(*oldest);
  const std::size_t bytes = entry->second.answer->bytes();
  bytes_ -= bytes;
  share->second.bytes -= bytes;
  share->second.kept.pop_front();
  if (share->second.kept.empty()) shares_.erase(share);
  entries_.erase(entry);
  kept_.erase(oldest);
}

}  // namespace spillway::replay
