#include "gateway/replay/lost_answers.h"

#include <algorithm>
#include <utility>

namespace spillway::replay {

void LostAnswers::Shares::add(const std::string& tenant, std::size_t bytes) {
  bytes_[tenant] += bytes;
  all_ += bytes;
}

void LostAnswers::Shares::take_off(const std::string& tenant, std::size_t bytes) {
  const auto share = bytes_.find(tenant);
  share->second -= bytes;
  if (share->second == 0) bytes_.erase(share);
  all_ -= bytes;
}

std::size_t LostAnswers::Shares::of(const std::string& tenant) const {
  const auto share = bytes_.find(tenant);
  return share == bytes_.end() ? 0 : share->second;
}

const std::string& LostAnswers::Shares::largest() const {
  return std::ranges::max_element(bytes_, {}, [](const auto& one) { return one.second; })->first;
}

LostAnswers::Sending::Sending(LostAnswers& answers, Name name, Answer answer, std::size_t bytes)
    : answers_(answers),
      tenant_(name.tenant),
      name_(std::move(name)),
      answer_(std::move(answer)),
      bytes_(bytes) {}

LostAnswers::Sending::~Sending() {
  const std::lock_guard lock(answers_.mutex_);
  answers_.on_their_way_.take_off(tenant_, bytes_);
}

void LostAnswers::Sending::lost(TimePoint now) {
  auto answer = std::make_shared<const Answer>(std::move(answer_));
  answers_.keep({std::move(name_), std::move(answer), bytes_, now}, now);
}

std::shared_ptr<LostAnswers::Sending> LostAnswers::send(Name name, Answer answer) {
  const std::size_t bytes = answer.bytes() + name.tenant.size() + name.key.size();
  {
    const std::lock_guard lock(mutex_);
    if (on_their_way_.of(name.tenant) + bytes > limits_.bytes_max / 4) return nullptr;
    if (on_their_way_.all() + bytes > limits_.bytes_max) return nullptr;
    on_their_way_.add(name.tenant, bytes);
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
  lost_.add(entry.name.tenant, entry.bytes);
  entries_.push_back(std::move(entry));
  forget_old(now);
}

void LostAnswers::forget_old(TimePoint now) {
  while (!entries_.empty() && now - entries_.front().lost >= limits_.keep) forget(entries_.begin());
  while (lost_.all() > limits_.bytes_max || entries_.size() > limits_.answers_max)
    forget(oldest_of_the_largest());
}

void LostAnswers::forget(Entries::iterator entry) {
  lost_.take_off(entry->name.tenant, entry->bytes);
  entries_.erase(entry);
}

LostAnswers::Entries::iterator LostAnswers::oldest_of_the_largest() {
  return std::ranges::find_if(
      entries_, [&](const Entry& entry) { return entry.name.tenant == lost_.largest(); });
}

}  // namespace spillway::replay
