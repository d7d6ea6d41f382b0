// The lines of a batch: begun in turns, asked, asked again, written down.
#include "gateway/background/batch_line.h"
#include "gateway/background/batch_runner.h"
#include "gateway/background/batch_work.h"
#include "gateway/batch/line.h"
#include "gateway/wall_clock.h"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>

namespace spillway {
namespace net = boost::asio;

namespace {

using std::chrono::milliseconds;

constexpr int kLinesFetched = 256;
constexpr milliseconds kCrowdedRest{20};
constexpr milliseconds kLineTimeLeast{30'000};

}  // namespace

// Until none is left: what a fault of ours lost is begun again, and so is what comes back from a
// provider's batch without an answer.
net::awaitable<void> BatchRunner::run_lines(std::shared_ptr<Work> work) {
  co_await handovers_.begin(work);
  while (!over(*work)) {
    const int returns = work->returns;
    const bool any = co_await begin_lines(work);
    while (work->alive > 0 && !over(*work)) co_await work->changed.wait(work->expiry());
    if (any || work->returns != returns) continue;
    if (work->lines_away == 0) break;
    if (!over(*work)) co_await work->changed.wait(work->expiry());
  }
  work->lines_over = true;
  if (!stopping_) cancel_lines(*work);
  while (work->alive > 0 || work->aside > 0) {
    co_await work->changed.wait();
    if (work->cancelled) cancel_lines(*work);
  }
}

// Begins every line that is not done, each once; false if there is none.
net::awaitable<bool> BatchRunner::begin_lines(std::shared_ptr<Work> work) {
  const Disk count = [&]() -> Result<void> {
    auto round = doors_.batches.begin_round(work->about.id);
    if (!round) return round.error();
    work->round = *round;
    return {};
  };
  const bool counted = co_await insist(count, work->about.tenant);
  if (!counted) co_return false;
  std::vector<batch::LineRef> lines;
  int last = 0;
  work->begun_up_to = 0;
  const Disk fetch = [&]() -> Result<void> {
    auto found = doors_.batches.undone(work->about.id, last, kLinesFetched);
    if (!found) return found.error();
    lines = std::move(*found);
    return {};
  };
  while (!over(*work)) {
    const int handings = work->handings;
    const bool fetched = co_await insist(fetch, work->about.tenant);
    if (!fetched || lines.empty()) break;
    for (batch::LineRef& line : lines) {
      // Those that wait to be asked again have no place, but are in memory.
      while (must_wait(*work, line) && !over(*work)) co_await work->changed.wait(work->expiry());
      auto place = co_await place_for(*work);
      if (!place) co_return last > 0;
      if (must_wait(*work, line) || work->handings != handings) break;  // It may be leaving.
      last = work->begun_up_to = line.number;
      begin_line(work, std::move(line), std::move(place));
    }
  }
  co_return last > 0;
}

bool BatchRunner::must_wait(const Work& work, const batch::LineRef& line) const {
  return work.alive >= 2 * concurrency_ || line.number >= work.begin_below;
}

net::awaitable<batch::Turns::Place> BatchRunner::place_for(Work& work) {
  while (!over(work)) {
    auto place = co_await turns_.take(work.about.tenant, work.expiry());
    if (place) co_return place;
  }
  co_return batch::Turns::Place();
}

void BatchRunner::begin_line(std::shared_ptr<Work> work, batch::LineRef line,
                             batch::Turns::Place place) {
  const auto signal = work->running.emplace(work->running.end());
  ++work->alive;
  const auto ended = [work, signal] {
    work->running.erase(signal);
    --work->alive;
    work->changed.ring();
  };
  background_.start(run_line(work, std::move(line), std::move(place)), ended, signal->slot());
}

net::awaitable<void> BatchRunner::run_line(std::shared_ptr<Work> work, batch::LineRef line,
                                           batch::Turns::Place place) {
  co_await net::this_coro::throw_if_cancelled(false);
  std::string text;
  const Disk read = [&]() -> Result<void> {
    auto found = doors_.batches.read(work->about.id, line);
    if (!found) return found.error();
    text = std::move(*found);
    return {};
  };
  const bool known = co_await insist(read, work->about.tenant);
  if (!known) co_return;
  const Errand& ask = doors_.errands.find(work->about.endpoint)->second;
  int attempt = 0;
  while (place) {
    // Who comes to be served is let in first.
    while (doors_.admission.crowded() && !over(*work))
      co_await work->given_up.wait(SteadyClock::now() + kCrowdedRest);
    if (over(*work)) co_return;
    LineTerms terms;
    terms.request_class = doors_.editions.get()->settings->batch.request_class;
    terms.deadline = time_for_a_line(*work);
    terms.round = work->round;
    terms.attempt = attempt++;
    LineWriter answer;
    http::Request raw = request_of(work->about, line, text, terms);
    std::string id = raw.id;
    OnBehalf whose{work->about.tenant, work->about.key_name, true};
    auto asking = ask(std::move(whose), std::move(raw), answer);
    co_await std::move(asking);
    if (answer.status() != 200 && over(*work)) co_return;
    const auto wait = answer.again_in(attempt);
    if (!wait) {
      const auto& local = doors_.editions.get()->settings->local;
      if (!local.empty() && answer.target() == local.front().name) ++work->lines_here;
      std::vector<batch::LineResult> result;
      result.push_back(batch::result_of(line, answer.take(std::move(id))));
      co_await record(*work, std::move(result));
      co_return;
    }
    place = batch::Turns::Place();  // Others may have it meanwhile.
    co_await work->given_up.wait(SteadyClock::now() + *wait);
    place = co_await place_for(*work);
  }
}

// One of the lines writes down what all have so far; the others wait until theirs is safe.
net::awaitable<void> BatchRunner::record(Work& work, std::vector<batch::LineResult> results) {
  work.queued += results.size();
  const auto ticket = work.queued;
  std::move(results.begin(), results.end(), std::back_inserter(work.results));
  while (work.recording && work.recorded < ticket) co_await work.written.wait();
  if (work.recorded >= ticket) co_return;
  work.recording = true;
  const auto group = std::exchange(work.results, {});
  const Disk write = [&] { return doors_.batches.record(work.about.id, group); };
  const bool written = co_await insist(write, work.about.tenant);
  work.recording = false;
  work.recorded += written ? group.size() : 0;
  work.written.ring();
}

// A line's share of the batch's time: as much as lets all lines of its tenant that wait be run, a
// few at once, one group after the other, while other tenants take their turns. Little work may
// wait long for the engine's idle time; much may not.
milliseconds BatchRunner::time_for_a_line(const Work& work) const {
  const auto left =
      milliseconds(std::max<std::int64_t>(1, work.about.expires - unix_seconds()) * 1'000);
  if (work.may_hand_over) return left;  // What the engine does not get to leaves at one go.
  std::int64_t lines = 0;
  std::set<std::string_view> tenants;
  for (const auto& [id, other] : works_) {
    tenants.insert(other->about.tenant);
    if (other->about.tenant == work.about.tenant) lines += other->lines_waiting();
  }
  const auto at_once = std::max<std::int64_t>(1, concurrency_ / std::ssize(tenants));
  const milliseconds share = left * at_once / std::max<std::int64_t>(1, lines);
  return std::clamp(share, std::min(kLineTimeLeast, left), left);
}

void BatchRunner::cancel_lines(Work& work) {
  for (net::cancellation_signal& signal : work.running)
    signal.emit(net::cancellation_type::terminal);
  work.given_up.ring();
  work.changed.ring();
}

}  // namespace spillway
