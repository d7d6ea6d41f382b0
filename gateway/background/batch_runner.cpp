#include "gateway/background/batch_runner.h"

#include "gateway/background/batch_work.h"
#include "gateway/batch/line.h"
#include "gateway/batch/validation.h"
#include "gateway/wall_clock.h"

#include <boost/asio/this_coro.hpp>

#include <memory>
#include <utility>

namespace spillway {
namespace net = boost::asio;

namespace {

using batch::State;

constexpr int kLinesExpired = 256;  // At a time.
constexpr std::chrono::seconds kTryAgain{1};
constexpr std::chrono::seconds kComplainAgain{30};
constexpr std::chrono::seconds kStopGrace{5};

}  // namespace

BatchRunner::BatchRunner(Doors doors, int concurrency)
    : doors_(std::move(doors)), concurrency_(concurrency), turns_(concurrency) {}

BatchRunner::~BatchRunner() { stop(); }

void BatchRunner::start() {
  background_.start(resume(), [] {});
}

net::awaitable<void> BatchRunner::resume() {
  std::vector<batch::Batch> unfinished;
  const Disk read = [&]() -> Result<void> {
    auto found = doors_.batches.unfinished();
    if (!found) return found.error();
    unfinished = std::move(*found);
    return {};
  };
  const std::string nobody;
  const bool known = co_await insist(read, nobody);
  if (!known) co_return;
  for (batch::Batch& each : unfinished) launch(std::move(each));
}

void BatchRunner::take(batch::Batch batch) {
  background_.post([this, batch = std::move(batch)]() mutable { launch(std::move(batch)); });
}

void BatchRunner::launch(batch::Batch batch) {
  if (stopping_ || works_.count(batch.id) > 0) return;
  if (doors_.errands.count(batch.endpoint) == 0) {
    doors_.complain("nothing here serves " + batch.endpoint);
    return;
  }
  const std::string id = batch.id;
  const auto work = std::make_shared<Work>();
  work->cancelled = batch.state == State::cancelling;
  work->cancelled_at = unix_seconds();
  work->about = std::move(batch);
  works_[id] = work;
  background_.start(run(work), [this, id] { works_.erase(id); });
}

void BatchRunner::cancel(std::string id) {
  background_.post([this, id = std::move(id)] {
    const auto found = works_.find(id);
    if (found == works_.end()) return;
    found->second->cancelled = true;
    found->second->cancelled_at = unix_seconds();
    cancel_lines(*found->second);
    turns_.wake();
  });
}

void BatchRunner::begin_drain() {
  background_.post([this] {
    stopping_ = true;
    stopping_bell_.ring();
    turns_.wake();
    for (const auto& [id, work] : works_) {
      work->given_up.ring();
      work->changed.ring();
    }
  });
}

void BatchRunner::stop() {
  begin_drain();
  background_.post([this] {
    for (const auto& [id, work] : works_) cancel_lines(*work);
  });
  wait_idle(SteadyClock::now() + kStopGrace);
  judging_.stop();
  background_.stop();
}

net::awaitable<void> BatchRunner::run(std::shared_ptr<Work> work) {
  co_await net::this_coro::throw_if_cancelled(false);
  if (work->about.state == State::validating) co_await validate(*work);
  const bool has_lines =
      work->about.state == State::in_progress || work->about.state == State::cancelling;
  if (has_lines) co_await run_lines(work);
  if (!stopping_ && work->about.state != State::failed) co_await finish(*work);
}

net::awaitable<void> BatchRunner::validate(Work& work) {
  bool whole = false;
  while (!whole && !over(work)) {
    std::shared_ptr<batch::Validation> validation;
    const Disk begin = [&]() -> Result<void> {
      auto begun = batch::Validation::begin(doors_.batches, work.about);
      if (!begun) return begun.error();
      validation = std::make_shared<batch::Validation>(std::move(*begun));
      return {};
    };
    const Disk step = [&]() -> Result<void> {
      const auto stepped = validation->step(unix_seconds());
      if (!stepped) return stepped.error();
      whole = *stepped;
      return {};
    };
    const Disk judge = [&]() -> Result<void> {
      validation->judge();
      return {};
    };
    bool going = co_await insist(begin, work.about.tenant);
    while (going && !whole && !over(work)) {
      const auto stepped = co_await doors_.disk.run(step, work.about.tenant);
      going = stepped.has_value();
      if (going && !whole) (void)co_await judging_.run(judge, work.about.tenant);
    }
    if (!whole && !over(work)) co_await work.given_up.wait(SteadyClock::now() + kTryAgain);
  }
  const Disk read = [&]() -> Result<void> {
    auto found = doors_.batches.find(work.about.id);
    if (!found) return found.error();
    work.about = std::move(*found);
    return {};
  };
  co_await insist(read, work.about.tenant);
}

net::awaitable<void> BatchRunner::finish(Work& work) {
  const Disk begin = [&]() -> Result<void> {
    const auto now = doors_.batches.find(work.about.id);
    if (!now) return now.error();
    const bool undone = now->state == State::validating || now->lines_left() > 0;
    const State ends_as = work.cancelled ? State::cancelled
                          : undone       ? State::expired
                                         : State::completed;
    auto begun = doors_.batches.begin_end(work.about.id, ends_as, unix_seconds());
    if (!begun) return begun.error();
    work.about = std::move(*begun);
    return {};
  };
  bool going = co_await insist(begin, work.about.tenant);
  bool left = work.about.ends_as == State::expired && work.about.lines > 0;
  const Disk expire = [&]() -> Result<void> {
    const auto lines = doors_.batches.undone(work.about.id, 0, kLinesExpired);
    if (!lines) return lines.error();
    left = !lines->empty();
    std::vector<batch::LineResult> results;
    for (const batch::LineRef& line : *lines) results.push_back(batch::expired_result(line));
    return doors_.batches.record(work.about.id, results);
  };
  while (going && left) going = co_await insist(expire, work.about.tenant);
  const Disk publish = [&] { return this->publish(work.about.id); };
  if (going) co_await insist(publish, work.about.tenant);
}

// On the disk's thread: results become files of the tenant's.
Result<void> BatchRunner::publish(const std::string& id) {
  const auto batch = doors_.batches.find(id);
  if (!batch) return batch.error();
  files::File file{"", batch->tenant, "", "batch_output", 0, unix_seconds(), std::nullopt};
  if (batch->output_expires_after) file.expires = file.created + *batch->output_expires_after;
  auto done = doors_.batches.trim(*batch);
  if (done && batch->output_bytes > 0) {
    file.id = batch->output_file;
    file.name = id + "_output.jsonl";
    file.bytes = batch->output_bytes;
    done = doors_.cabinet.files.adopt(file, doors_.batches.output_path(id));
  }
  if (done && batch->error_bytes > 0) {
    file.id = batch->error_file;
    file.name = id + "_error.jsonl";
    file.bytes = batch->error_bytes;
    done = doors_.cabinet.files.adopt(file, doors_.batches.error_path(id));
  }
  if (!done) return done;
  const auto ended = doors_.batches.end(id, unix_seconds());
  (void)doors_.cabinet.files.expire(unix_seconds());  // Its input may have waited for this.
  if (!ended) return ended.error();
  return {};
}

// False: the gateway stops before it worked.
net::awaitable<bool> BatchRunner::insist(const Disk& work, const std::string& whose) {
  while (true) {
    const auto done = co_await doors_.disk.run(work, whose);
    if (done) co_return true;
    if (stopping_) co_return false;
    const TimePoint now = SteadyClock::now();
    if (now >= complained_ + kComplainAgain) {
      complained_ = now;
      doors_.complain(done.error().message);
    }
    co_await stopping_bell_.wait(now + kTryAgain);
  }
}

bool BatchRunner::over(const Work& work) const {
  return stopping_ || work.cancelled || unix_seconds() >= work.about.expires;
}

}  // namespace spillway
