// Handovers that have left: until their provider has ended them, and their answers are taken.
#include "config/named.h"
#include "gateway/background/away.h"
#include "gateway/background/batch_line.h"
#include "gateway/background/batch_runner.h"
#include "gateway/background/batch_work.h"
#include "gateway/batch/line.h"
#include "gateway/policy/handover.h"
#include "gateway/request/order.h"
#include "gateway/wall_clock.h"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <map>
#include <utility>

namespace spillway {
namespace net = boost::asio;

namespace {

using batch::Handover;
using std::chrono::milliseconds;
using Disk = std::function<Result<void>()>;

constexpr std::size_t kLinesRecorded = 64;    // At a time.
constexpr milliseconds kAskAgain{5'000};      // Of who did not answer, or is to end it;
constexpr std::int64_t kEndWithin = 15 * 60;  // …who has so many seconds for that.

// Nobody can make this batch: asking again helps nothing.
bool is_for_good(Errc code) {
  return code == Errc::invalid_request || code == Errc::unsupported ||
         code == Errc::model_not_found || code == Errc::context_too_long;
}

double window_of(const config::Settings& settings, const std::string& target) {
  const auto* const provider = config::named(settings.providers, target);
  return provider ? std::chrono::duration<double>(provider->batches.window).count() : 0.0;
}

milliseconds poll_of(const config::Settings& settings, const std::string& target) {
  const auto* const provider = config::named(settings.providers, target);
  return provider ? provider->batches.poll : kAskAgain;
}

}  // namespace

std::shared_ptr<BatchDesk> Handovers::desk_of(const std::string& target) const {
  const auto edition = runner_.doors_.editions.get();
  const auto found = edition->providers.find(target);
  if (found == edition->providers.end()) return nullptr;
  const std::shared_ptr<Backend>& backend = found->second.front();
  return {backend, backend->batch_desk()};
}

// Until its lines have to be asked for here, if they are to be in time.
std::int64_t Handovers::seconds_left(const BatchWork& work, const Away& away) const {
  const auto settings = runner_.doors_.editions.get()->settings;
  const double reserve = policy::handover_reserve(away.about.lines, runner_.concurrency_,
                                                  window_of(*settings, away.about.target));
  return work.about.expires - unix_seconds() - static_cast<std::int64_t>(reserve);
}

// …and until nobody waits for its provider any more (Unix time).
std::int64_t Handovers::waits_until(const BatchWork& work, const Away& away) const {
  if (work.cancelled) return work.cancelled_at + kEndWithin;
  const std::int64_t reserve = work.about.expires - unix_seconds() - seconds_left(work, away);
  return work.about.expires - reserve / 2;
}

net::awaitable<void> Handovers::conduct(std::shared_ptr<BatchWork> work,
                                        std::shared_ptr<Away> away) {
  co_await net::this_coro::throw_if_cancelled(false);
  while (!runner_.stopping_ && !away->lost && away->about.state != Handover::State::ended) {
    const auto wait = co_await step(*work, *away);
    if (!runner_.stopping_ && wait > milliseconds(0))
      co_await work->given_up.wait(SteadyClock::now() + wait);
  }
  if (!runner_.stopping_ && !away->lost) co_await take_back(*work, *away);
  if (!runner_.stopping_) co_await close(*work, *away);
}

// One look at it; how long until the next.
net::awaitable<milliseconds> Handovers::step(BatchWork& work, Away& away) {
  const auto desk = desk_of(away.about.target);
  if (desk == nullptr) {
    runner_.doors_.warn(away.about.target + " was taken away while lines of batches were there");
    lose(away);
    co_return milliseconds(0);
  }
  const auto before = away.about.state;
  if (before == Handover::State::uploaded) {
    co_await find_or_create(work, away, *desk);
  } else {
    co_await look(work, away, *desk);
  }
  const bool goes_on = !away.lost && away.about.state != Handover::State::ended;
  if (!goes_on) co_return milliseconds(0);
  const auto poll = poll_of(*runner_.doors_.editions.get()->settings, away.about.target);
  co_return away.end_asked != 0 || away.about.state == Handover::State::uploaded
      ? std::min(poll, kAskAgain)
      : poll;
}

// Nothing tells whether a process before this one, or a request whose answer never came, has made
// it.
net::awaitable<void> Handovers::find_or_create(BatchWork& work, Away& away, BatchDesk& desk) {
  std::string label = away.about.id;
  auto found = co_await desk.find(std::move(label), away.about.created);
  const bool is_late = seconds_left(work, away) <= 0 ||
                       (work.cancelled && unix_seconds() >= waits_until(work, away));
  if (found && *found) {
    ProviderBatch told = std::move(**found);
    co_await note(work, away, std::move(told));
    co_return;
  }
  if (!found && is_late) co_return lose(away);
  away.lost = is_late || (found && work.cancelled);
  if (!found || away.lost) co_return;
  std::string file = away.about.input_file, path = away.about.path;
  label = away.about.id;
  auto made = co_await desk.create(std::move(file), std::move(path), std::move(label));
  if (made) {
    ProviderBatch told = std::move(*made);
    co_await note(work, away, std::move(told));
  } else if (is_for_good(made.error().code)) {
    runner_.doors_.warn(made.error().message);
    away.lost = true;
  }
}

// Its client, or the time that is left for its lines, may want it to end before it has.
net::awaitable<void> Handovers::look(BatchWork& work, Away& away, BatchDesk& desk) {
  const auto now = unix_seconds();
  if (away.end_asked == 0 && (work.cancelled || seconds_left(work, away) <= 0)) {
    std::string id = away.about.remote;
    const auto asked = co_await desk.cancel(std::move(id));
    if (asked) away.end_asked = now;
  }
  std::string id = away.about.remote;
  auto told = co_await desk.look(std::move(id));
  if (told) {
    ProviderBatch news = std::move(*told);
    co_await note(work, away, std::move(news));
  }
  if (away.about.state != Handover::State::ended && now >= waits_until(work, away)) lose(away);
}

void Handovers::lose(Away& away) {
  runner_.doors_.warn(away.about.target + " does not say what became of " +
                      std::to_string(away.about.lines) +
                      " lines that it may have: it may bill them, beside who is asked now");
  away.lost = true;
}

net::awaitable<void> Handovers::note(BatchWork& work, Away& away, ProviderBatch told) {
  Handover& about = away.about;
  if (!about.remote.empty() && told.id != about.remote) co_return;  // Of another batch.
  about.remote = told.id;
  about.completed = told.completed;
  about.output_file = told.output_file;
  about.error_file = told.error_file;
  about.state = told.ended ? Handover::State::ended : Handover::State::running;
  if (!told.complaint.empty())
    runner_.doors_.warn(about.target + " refused lines of a batch: " + told.complaint);
  const Disk write = [&]() -> Result<void> {
    auto& store = runner_.doors_.handovers;
    auto written = store.running(about.id, about.remote);
    if (written) written = store.progress(about.id, about.completed);
    return written && told.ended ? store.ended(about) : written;
  };
  co_await runner_.insist(write, work.about.tenant);
}

net::awaitable<void> Handovers::take_back(BatchWork& work, Away& away) {
  std::vector<std::string> files = {away.about.output_file, away.about.error_file};
  for (std::string& file : files) {
    if (!file.empty() && !runner_.stopping_) co_await take_file(work, away, std::move(file));
  }
}

net::awaitable<void> Handovers::take_file(BatchWork& work, Away& away, std::string file) {
  const auto desk = desk_of(away.about.target);
  if (desk == nullptr) co_return lose(away);
  auto text = co_await fetch(work, away, *desk, std::move(file));
  if (!text) {
    if (!runner_.stopping_) lose(away);
    co_return;
  }
  std::map<std::string, batch::LineRef> open;
  const Disk read = [&]() -> Result<void> {
    const auto lines = runner_.doors_.handovers.open_lines(away.about.id);
    if (!lines) return lines.error();
    open.clear();
    for (const batch::LineRef& line : *lines) open.emplace(label_of(away.about, line), line);
    return {};
  };
  const bool known = co_await runner_.insist(read, work.about.tenant);
  if (!known) co_return;
  std::vector<BatchAnswer> answers;
  const Disk judge = [&]() -> Result<void> {
    answers = desk->answers(*text);
    return {};
  };
  const auto judged = co_await runner_.judging_.run(judge, work.about.tenant);
  if (!judged) co_return;
  std::vector<batch::LineResult> results;
  for (BatchAnswer& answer : answers) {
    if (runner_.stopping_) co_return;
    auto asked = open.extract(answer.id);
    if (asked.empty() || answer.again) continue;
    auto result = co_await give_back(work, away, std::move(asked.mapped()), std::move(answer));
    if (result) results.push_back(std::move(*result));
    if (results.size() < kLinesRecorded) continue;
    auto some = std::exchange(results, {});
    co_await keep(work, away, std::move(some));
  }
  co_await keep(work, away, std::move(results));
}

net::awaitable<std::optional<std::string>> Handovers::fetch(BatchWork& work, const Away& away,
                                                            BatchDesk& desk, std::string file) {
  while (!runner_.stopping_) {
    std::string name = file;
    auto text = co_await desk.fetch(std::move(name));
    if (text) co_return std::move(*text);
    if (unix_seconds() >= waits_until(work, away)) break;
    co_await work.given_up.wait(SteadyClock::now() + kAskAgain);
  }
  co_return std::nullopt;
}

net::awaitable<void> Handovers::keep(BatchWork& work, Away& away,
                                     std::vector<batch::LineResult> results) {
  if (results.empty()) co_return;
  const auto count = static_cast<std::int64_t>(results.size());
  work.lines_away -= static_cast<int>(count);
  co_await runner_.record(work, std::move(results));
  away.hold.lower(away.about.most / std::max(1, away.about.lines) * count);
}

// What became of the line; nothing: it is to be asked for here.
net::awaitable<std::optional<batch::LineResult>> Handovers::give_back(BatchWork& work,
                                                                      const Away& away,
                                                                      batch::LineRef line,
                                                                      BatchAnswer answer) {
  std::string text;
  const Disk read = [&]() -> Result<void> {
    auto found = runner_.doors_.batches.read(work.about.id, line);
    if (!found) return found.error();
    text = std::move(*found);
    return {};
  };
  const bool known = co_await runner_.insist(read, work.about.tenant);
  const auto desk = desk_of(away.about.target);
  if (!known || !desk) co_return std::nullopt;
  HandedBack back{away.tenant, away.key, away.about.target, away.about.model,
                  desk->answering(std::move(answer))};
  const Errand& ask = runner_.doors_.errands.find(work.about.endpoint)->second;
  LineTerms terms;
  terms.request_class = runner_.doors_.editions.get()->settings->batch.request_class;
  terms.deadline = std::chrono::hours(1);  // It is answered already.
  const std::string id = id_of_handed_over(away.about.id, line.number);
  while (!runner_.stopping_) {
    http::Request raw = request_of(work.about, line, text, terms);
    raw.id = id;
    LineWriter writer;
    OnBehalf whose{work.about.tenant, work.about.key_name, true, nullptr, nullptr, &back};
    auto asking = ask(std::move(whose), std::move(raw), writer);
    co_await std::move(asking);
    const auto again = writer.again_in(1);
    if (!again) co_return batch::result_of(line, writer.take(id));
    const bool cannot_be_booked = writer.status() == 429 || writer.status() == 503;
    if (!cannot_be_booked || unix_seconds() >= waits_until(work, away)) co_return std::nullopt;
    co_await work.given_up.wait(SteadyClock::now() + *again);
  }
  co_return std::nullopt;
}

net::awaitable<void> Handovers::close(BatchWork& work, Away& away) {
  int open = 0;
  const Disk end = [&]() -> Result<void> {
    const auto lines = runner_.doors_.handovers.open_lines(away.about.id);
    if (!lines) return lines.error();
    open = static_cast<int>(lines->size());
    return runner_.doors_.handovers.close(away.about.id);
  };
  const bool ended = co_await runner_.insist(end, work.about.tenant);
  if (ended) work.lines_away -= open;
  if (open > 0) ++work.returns;
  work.changed.ring();
  const int taken = away.about.lines - open;
  if (ended && !away.lost && away.about.completed > taken)
    runner_.doors_.warn(away.about.target + " tells of " + std::to_string(away.about.completed) +
                        " answers, and gave " + std::to_string(taken) +
                        ": the others are asked for here, and it may bill them, too");
  const auto desk = desk_of(away.about.target);
  std::vector<std::string> files = {away.about.input_file, away.about.output_file,
                                    away.about.error_file};
  for (std::string& file : files) {
    const bool is_used = away.lost && !away.about.remote.empty();
    if (desk == nullptr || file.empty() || is_used || runner_.stopping_) continue;
    (void)co_await desk->remove(std::move(file));
  }
}

}  // namespace spillway
