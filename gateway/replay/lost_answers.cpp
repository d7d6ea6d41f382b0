#include "gateway/replay/lost_answers.h"

#include <algorithm>
#include <utility>

namespace spillway::replay {

LostAnswers::Sending::Sending(LostAnswers& answers, Name name, Answer answer, std::size_t bytes)
    : answers_(answers), name_(std::move(name)), answer_(std::move(answer)), bytes_(bytes) {}

LostAnswers::Sending::~Sending() { answers_.on_their_way_ -= bytes_; }

void LostAnswers::Sending::lost(TimePoint now) {
  auto answer = std::make_shared<const Answer>(std::move(answer_));
  answers_.keep({std::move(name_), std::move(answer), bytes_, now}, now);
}

std::shared_ptr<LostAnswers::Sending> LostAnswers::send(Name name, Answer answer) {
  const std::size_t bytes = answer.bytes() + name.tenant.size() + name.key.size();
  if (bytes > limits_.bytes_max / 4) return nullptr;
  if (on_their_way_.fetch_add(bytes) + bytes > limits_.bytes_max) {
    on_their_way_ -= bytes;
    return nullptr;
  }
  return std::make_shared<Sending>(*this, std::move(name), std::move(answer), bytes);
}

std::shared_ptr<const Answer> LostAnswers::take(const Name& name, TimePoint now) {
  const std::lock_guard lock(mutex_);
  forget_old(now);
  const auto found = std::ranges::find(entries_, name, &Entry::name);
  if (found == entries_.end()) return nullptr;
  auto answer = found->answer;
  forget(found);
  return answer;
}

void LostAnswers::keep(Entry entry, TimePoint now) {
  const std::lock_guard lock(mutex_);
  bytes_[entry.name.tenant] += entry.bytes;
  bytes_sum_ += entry.bytes;
  entries_.push_back(std::move(entry));
  forget_old(now);
}

void LostAnswers::forget_old(TimePoint now) {
  while (!entries_.empty() && now - entries_.front().lost >= limits_.keep) forget(entries_.begin());
  while (bytes_sum_ > limits_.bytes_max || entries_.size() > limits_.answers_max)
    forget(oldest_of_the_largest());
}

void LostAnswers::forget(Entries::iterator entry) {
  const auto share = bytes_.find(entry->name.tenant);
  share->second -= entry->bytes;
  if (share->second == 0) bytes_.erase(share);
  bytes_sum_ -= entry->bytes;
  entries_.erase(entry);
}

LostAnswers::Entries::iterator LostAnswers::oldest_of_the_largest() {
  const auto share =
      std::ranges::max_element(bytes_, {}, [](const auto& one) { return one.second; });
  return std::ranges::find_if(
      entries_, [&](const Entry& entry) { return entry.name.tenant == share->first; });
}

}  // namespace spillway::replay
