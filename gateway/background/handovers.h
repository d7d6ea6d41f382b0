// The lines of batches that leave through providers' batches APIs: which and when
// (policy/handover.h), what is sent, and what becomes of it, until each has its result or is to be
// asked for here after all.
//
// A part of the BatchRunner, on its thread; handovers.cpp sends, handovers_back.cpp waits and takes
// back. A handover is a coroutine beside those of the lines, and goes on after a kill from what is
// on the disk: a provider's batch is looked for by our label before one is made, and each of its
// answers is booked under an id of its own, once.
#pragma once

#include "backends/contract/batch_desk.h"
#include "gateway/batch/batch.h"
#include "gateway/batch/handover.h"
#include "gateway/batch/handover_store.h"
#include "gateway/request/handover.h"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace spillway {

class BatchRunner;
struct BatchWork;

class Handovers {
 public:
  explicit Handovers(BatchRunner& runner) : runner_(runner) {}

  // Before any line of the batch begins: goes on with what was handed over before, thinks about the
  // rest, and from then on thinks again. Its coroutines are counted in BatchWork::aside.
  boost::asio::awaitable<void> begin(std::shared_ptr<BatchWork> work);

 private:
  struct Away;
  struct Parcel;
  using Milliseconds = std::chrono::milliseconds;

  boost::asio::awaitable<void> resume(std::shared_ptr<BatchWork> work);
  boost::asio::awaitable<void> oversee(std::shared_ptr<BatchWork> work);
  boost::asio::awaitable<void> consider(std::shared_ptr<BatchWork> work);
  boost::asio::awaitable<void> hand_over(std::shared_ptr<BatchWork> work, std::string target,
                                         int lines);
  boost::asio::awaitable<int> hand_over_some(std::shared_ptr<BatchWork> work, std::string target,
                                             int lines);
  boost::asio::awaitable<bool> fill(BatchWork& work, Parcel& parcel, int lines);
  boost::asio::awaitable<bool> add(BatchWork& work, Parcel& parcel, const batch::LineRef& line);
  boost::asio::awaitable<bool> send(BatchWork& work, Parcel& parcel);
  Async<WrittenLine> write_down(BatchWork& work, const batch::LineRef& line, std::string target,
                                std::string label);
  static std::string label_of(const batch::Handover& about, const batch::LineRef& line) {
    return about.id + "/" + std::to_string(line.number);
  }
  double engine_pace(const BatchWork& work, const WrittenLine& line) const;
  std::shared_ptr<Away> away_of(const BatchWork& work, batch::Handover about) const;
  void start_aside(std::shared_ptr<BatchWork> work, boost::asio::awaitable<void> task);

  boost::asio::awaitable<void> conduct(std::shared_ptr<BatchWork> work, std::shared_ptr<Away> away);
  boost::asio::awaitable<Milliseconds> step(BatchWork& work, Away& away);
  boost::asio::awaitable<void> find_or_create(BatchWork& work, Away& away, BatchDesk& desk);
  boost::asio::awaitable<void> look(BatchWork& work, Away& away, BatchDesk& desk);
  void lose(Away& away);
  boost::asio::awaitable<void> note(BatchWork& work, Away& away, ProviderBatch told);
  boost::asio::awaitable<void> take_back(BatchWork& work, Away& away);
  boost::asio::awaitable<void> take_file(BatchWork& work, Away& away, std::string file);
  boost::asio::awaitable<std::optional<std::string>> fetch(BatchWork& work, const Away& away,
                                                           BatchDesk& desk, std::string file);
  boost::asio::awaitable<void> keep(BatchWork& work, Away& away,
                                    std::vector<batch::LineResult> results);
  boost::asio::awaitable<std::optional<batch::LineResult>> give_back(BatchWork& work,
                                                                     const Away& away,
                                                                     batch::LineRef line,
                                                                     BatchAnswer answer);
  boost::asio::awaitable<void> close(BatchWork& work, Away& away);

  // Null: the target is gone, or has no batches.
  std::shared_ptr<BatchDesk> desk_of(const std::string& target) const;
  std::int64_t seconds_left(const BatchWork& work, const Away& away) const;
  std::int64_t waits_until(const BatchWork& work, const Away& away) const;

  BatchRunner& runner_;
};

}  // namespace spillway
