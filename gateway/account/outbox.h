// The slots of all requests that may still cost something: a file in the state directory, mapped
// into memory.
//
// What is written here outlives the process (kill -9) without a system call; that it outlives the
// machine is for the ledger thread, who books it. `claim` and `put` are for any thread, without
// locks; `take_settled` and `give_back` for the ledger thread alone. A request's post needs no
// room that its hold did not have.
#pragma once

#include "backends/contract/error.h"
#include "gateway/account/slot.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace spillway::account {

class Outbox {
 public:
  using Index = std::uint32_t;

  // Maps the file, created with `slots` places if it is not there; a file that is there keeps its
  // size. One of another version is begun anew, unless something in it waits to be booked: then it
  // is refused. The disk space is taken at once: writing to it cannot fail later.
  static Result<std::unique_ptr<Outbox>> open(const std::string& path, std::size_t slots);
  ~Outbox();
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  // A free place, or nothing: the ledger is that far behind.
  std::optional<Index> claim();

  // Its request is over.
  void put(Index settled);

  // All that were put since the last time.
  std::vector<Index> take_settled();

  // Booked: its place is free again.
  void give_back(Index booked);

  // What a dead process left behind: the slots that are not free. To be looked at before the first
  // claim.
  std::vector<Index> left_behind() const;

  Slot& at(Index index) { return slots_[index]; }
  const Slot& at(Index index) const { return slots_[index]; }
  std::size_t size() const { return size_; }

 private:
  struct Mapping;
  explicit Outbox(std::unique_ptr<Mapping> mapping);

  const std::unique_ptr<Mapping> mapping_;
  Slot* const slots_;
  const std::size_t size_;

  // Stacks of indices through `next_`; kNone ends them. The upper half of `free_` changes with
  // every pop, so that one that was taken and came back is not mistaken for the same.
  std::vector<std::atomic<Index>> next_;
  std::atomic<std::uint64_t> free_;
  std::atomic<Index> settled_;
};

}  // namespace spillway::account
