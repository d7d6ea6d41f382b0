#include "gateway/account/ledger.h"

#include "gateway/account/calendar.h"

#include <algorithm>
#include <utility>

namespace spillway::account {
namespace {

using std::chrono::milliseconds;

// A group is committed when it has so many entries or its first has waited so long.
constexpr std::int64_t kGroup = 256;
constexpr milliseconds kGather{2};
constexpr std::size_t kTransactionMax = 4'096;

constexpr milliseconds kTryAgain{200};      // After a failure of the disk.
constexpr int kLastTries = 5;               // When stopping.
constexpr std::int64_t kLongLived = 1'000;  // Milliseconds after which a hold is written down.
constexpr milliseconds kHousekeeping{500};

// What more targets gave is booked with the last one.
void add(const PostedLeg& more, Leg& leg) {
  leg.estimated = leg.estimated || more.estimated;
  leg.usage.prompt_tokens += more.usage.prompt_tokens;
  leg.usage.completion_tokens += more.usage.completion_tokens;
  leg.usage.cached_tokens += more.usage.cached_tokens;
  leg.usage.reasoning_tokens += more.usage.reasoning_tokens;
  leg.usage.cache_written_tokens += more.usage.cache_written_tokens;
  leg.amount += std::max<NanoUsd>(0, more.amount);
}

void write(const Posting& posting, Slot& slot) {
  slot.settled_at = wall_milliseconds();
  slot.request_class = posting.request_class;
  slot.endpoint = posting.endpoint;
  slot.model = posting.model;
  slot.avoided = posting.avoided;
  slot.legs_used = 0;
  for (const PostedLeg& posted : posting.legs) {
    if (slot.legs_used == kLegsMax) {
      add(posted, slot.legs[kLegsMax - 1]);
      continue;
    }
    Leg& leg = slot.legs[slot.legs_used++];
    leg.target = posted.target;
    leg.model = posted.model;
    leg.local = posted.local;
    leg.estimated = posted.estimated;
    leg.usage = posted.usage;
    leg.amount = std::max<NanoUsd>(0, posted.amount);
  }
  slot.checksum = checksum_of(slot);
}

}  // namespace

Result<std::unique_ptr<Ledger>> Ledger::open(const store::Directory& directory,
                                             std::unique_ptr<Journal> journal, std::size_t slots,
                                             LedgerEars ears) {
  auto outbox = Outbox::open(directory.file("ledger.outbox"), slots);
  if (!outbox) return outbox.error();
  std::unique_ptr<Ledger> ledger(
      new Ledger(std::move(*outbox), std::move(journal), std::move(ears)));
  auto recovered = ledger->recover();
  if (!recovered) return recovered.error();
  ledger->thread_ = std::thread(&Ledger::run, ledger.get());
  return ledger;
}

Ledger::Ledger(std::unique_ptr<Outbox> outbox, std::unique_ptr<Journal> journal, LedgerEars ears)
    : outbox_(std::move(outbox)),
      journal_(std::move(journal)),
      ears_(std::move(ears)),
      hold_written_(outbox_->size()) {}

Ledger::~Ledger() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  arrived_.notify_all();
  if (thread_.joinable()) thread_.join();
}

// What was settled is booked; what was held has a process no more that could tell what it cost.
Result<void> Ledger::recover() {
  std::vector<Due> settled;
  std::vector<const Slot*> held;
  const std::vector<Outbox::Index> left = outbox_->left_behind();
  for (const Outbox::Index index : left) {
    const Slot& slot = outbox_->at(index);
    const bool whole =
        slot.state.load() == SlotState::settled && slot.checksum == checksum_of(slot);
    if (whole) settled.push_back({&slot, true});
    if (!whole) held.push_back(&slot);
  }
  auto written = journal_->write_holds(held);
  if (!written) return written.error();
  auto booked = journal_->book(settled);
  if (!booked) return booked.error();
  const std::int64_t now = wall_milliseconds();
  auto lost = journal_->end_lost_holds(now);
  if (!lost) return lost.error();
  counters_.in_doubt = *lost;
  for (const Outbox::Index index : left) outbox_->give_back(index);
  auto spent = journal_->spent(now);
  if (!spent) return spent.error();
  spent_before_ = std::move(*spent);
  return {};
}

std::optional<Outbox::Index> Ledger::hold(const HoldTerms& terms) {
  const auto index = outbox_->claim();
  if (!index) return std::nullopt;
  Slot& slot = outbox_->at(*index);
  slot.id = terms.id;
  slot.tenant = terms.tenant;
  slot.key = terms.key;
  slot.project = terms.project;
  slot.held_at = wall_milliseconds();
  slot.held.store(terms.amount, std::memory_order_relaxed);
  slot.state.store(SlotState::held, std::memory_order_release);
  return index;
}

void Ledger::raise(Outbox::Index hold, NanoUsd amount) {
  outbox_->at(hold).held.store(amount, std::memory_order_relaxed);
}

void Ledger::settle(Outbox::Index hold, const Posting& posting) {
  Slot& slot = outbox_->at(hold);
  write(posting, slot);
  slot.state.store(SlotState::settled, std::memory_order_release);
  const std::int64_t before = lag_.fetch_add(1, std::memory_order_acq_rel);
  outbox_->put(hold);
  if (before != 0 && before != kGroup - 1) return;
  const std::lock_guard lock(mutex_);  // So that the thread is not between its look and its wait.
  arrived_.notify_one();
}

void Ledger::run() {
  int tries = 0;
  while (true) {
    gather();
    book();
    write_old_holds();
    const std::lock_guard lock(mutex_);
    if (stopping_ && (lag_ == 0 || ++tries == kLastTries)) return;
  }
}

// Waits until there is a group to book.
void Ledger::gather() {
  std::unique_lock lock(mutex_);
  if (!writable_) {
    arrived_.wait_for(lock, kTryAgain, [this] { return stopping_; });
    return;
  }
  const bool some =
      arrived_.wait_for(lock, kHousekeeping, [this] { return lag_ > 0 || stopping_; });
  if (some) arrived_.wait_for(lock, kGather, [this] { return lag_ >= kGroup || stopping_; });
}

void Ledger::book() {
  for (const Outbox::Index index : outbox_->take_settled()) due_.push_back(index);
  while (!due_.empty()) {
    const std::size_t first = due_.size() - std::min(due_.size(), kTransactionMax);
    std::vector<Due> group;
    for (std::size_t i = first; i < due_.size(); ++i)
      group.push_back({&outbox_->at(due_[i]), hold_written_[due_[i]]});
    const TimePoint began = SteadyClock::now();
    const auto booked = journal_->book(group);
    note(booked, began);
    if (!booked) return;
    for (const Slot* slot : booked->repeated) {
      if (ears_.repeated) ears_.repeated(*slot);
    }
    for (std::size_t i = first; i < due_.size(); ++i) {
      hold_written_[due_[i]] = false;
      outbox_->give_back(due_[i]);
    }
    due_.resize(first);
    {
      const std::lock_guard lock(mutex_);  // So that nobody is between its look and its wait.
      lag_.fetch_sub(static_cast<std::int64_t>(group.size()), std::memory_order_acq_rel);
    }
    booked_.notify_all();
  }
}

void Ledger::note(const Result<Booked>& booked, TimePoint began) {
  const bool was_writable = writable_.exchange(booked.has_value(), std::memory_order_relaxed);
  if (was_writable != booked.has_value() && ears_.trouble)
    ears_.trouble(booked ? std::nullopt : std::optional(booked.error()));
  const std::lock_guard lock(mutex_);
  if (!booked) {
    ++counters_.errors;
    return;
  }
  ++counters_.commits;
  counters_.entries += booked->entries;
  counters_.repeated += booked->repeated.size();
  counters_.append_seconds.observe(seconds_between(began, SteadyClock::now()));
}

void Ledger::write_old_holds() {
  if (SteadyClock::now() - looked_at_holds_ < kHousekeeping) return;
  looked_at_holds_ = SteadyClock::now();
  const std::int64_t old = wall_milliseconds() - kLongLived;
  std::vector<const Slot*> held;
  std::vector<Outbox::Index> indices;
  for (std::size_t i = 0; i < outbox_->size(); ++i) {
    const Slot& slot = outbox_->at(static_cast<Outbox::Index>(i));
    if (hold_written_[i] || slot.state.load(std::memory_order_acquire) != SlotState::held) continue;
    if (slot.held_at > old) continue;
    held.push_back(&slot);
    indices.push_back(static_cast<Outbox::Index>(i));
  }
  if (held.empty() || !journal_->write_holds(held)) return;
  for (const Outbox::Index index : indices) hold_written_[index] = true;
}

LedgerCounters Ledger::counters() const {
  const std::lock_guard lock(mutex_);
  LedgerCounters counters = counters_;
  counters.lag = lag_.load(std::memory_order_relaxed);
  return counters;
}

bool Ledger::flush(milliseconds limit) {
  std::unique_lock lock(mutex_);
  return booked_.wait_for(lock, limit, [this] { return lag_ == 0; });
}

}  // namespace spillway::account
