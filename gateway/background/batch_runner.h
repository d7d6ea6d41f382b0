// Runs batches: looks at their lines, asks them through the pipeline, writes down what came, and
// goes on where a killed process stopped.
//
// On a thread of its own; what touches the disk runs on the disk's, and what parses lines by the
// megabyte on another. A batch is one coroutine, each
// of its lines that runs another, and Turns says whose turn it is. What cannot be written down is
// tried again until it can: a full disk holds batches up and loses nothing.
#pragma once

#include "gateway/account/account.h"
#include "gateway/background/background.h"
#include "gateway/background/bell.h"
#include "gateway/background/handovers.h"
#include "gateway/batch/batch_store.h"
#include "gateway/batch/handover_store.h"
#include "gateway/batch/turns.h"
#include "gateway/files/cabinet.h"
#include "gateway/fleet/edition.h"
#include "gateway/policy/admission.h"
#include "gateway/request/errand.h"
#include "gateway/store/disk_thread.h"

#include <functional>
#include <map>
#include <memory>
#include <string>

namespace spillway {

struct BatchWork;

class BatchRunner {
 public:
  // All must outlive it.
  struct Doors {
    const CurrentEdition& editions;
    const policy::Admission& admission;
    store::DiskThread& disk;
    files::Cabinet& cabinet;
    batch::BatchStore& batches;
    batch::HandoverStore& handovers;
    account::Account* account;  // Null where no ledger is kept.
    Errands errands;
    // Lines a second that the local engine is expected to get done, of so many tokens each.
    std::function<double(int prompt_tokens, double completion_tokens)> engine_pace;
    std::function<void(const std::string& why)> complain;  // The disk does not take what it should.
    std::function<void(const std::string& why)> warn;      // Nor does a provider's batch.
  };

  BatchRunner(Doors doors, int concurrency);
  ~BatchRunner();  // stop()s.

  // Goes on with what had not ended; the owner, once.
  void start();

  // A batch was made, or its client wants no more of it; any thread.
  void take(batch::Batch batch);
  void cancel(std::string id);

  // No line begins any more, those that run go on. Owner.
  void begin_drain();
  bool wait_idle(Deadline deadline) { return background_.wait_idle(deadline); }

  // Cancels the lines that run, which begin again at the next start, and ends the thread. Owner.
  void stop();

 private:
  friend class Handovers;
  using Work = BatchWork;
  using Disk = std::function<Result<void>()>;

  boost::asio::awaitable<void> resume();
  void launch(batch::Batch batch);
  boost::asio::awaitable<void> run(std::shared_ptr<Work> work);
  boost::asio::awaitable<void> validate(Work& work);
  boost::asio::awaitable<void> run_lines(std::shared_ptr<Work> work);
  boost::asio::awaitable<bool> begin_lines(std::shared_ptr<Work> work);
  boost::asio::awaitable<void> finish(Work& work);
  Result<void> publish(const std::string& id);

  void begin_line(std::shared_ptr<Work> work, batch::LineRef line, batch::Turns::Place place);
  boost::asio::awaitable<void> run_line(std::shared_ptr<Work> work, batch::LineRef line,
                                        batch::Turns::Place place);
  boost::asio::awaitable<void> record(Work& work, std::vector<batch::LineResult> results);
  boost::asio::awaitable<batch::Turns::Place> place_for(Work& work);
  bool must_wait(const Work& work, const batch::LineRef& line) const;
  boost::asio::awaitable<bool> insist(const Disk& work, const std::string& whose);

  bool over(const Work& work) const;
  std::chrono::milliseconds time_for_a_line(const Work& work) const;
  static void cancel_lines(Work& work);

  const Doors doors_;
  const int concurrency_;
  batch::Turns turns_;
  std::map<std::string, std::shared_ptr<Work>> works_;
  Bell stopping_bell_;
  bool stopping_ = false;
  TimePoint complained_{};
  store::DiskThread judging_{"batch-lines"};  // Its tenants take turns, as on the disk's thread.
  Handovers handovers_{*this};
  Background background_{"batches"};  // Last: its coroutines use all of the above.
};

}  // namespace spillway
