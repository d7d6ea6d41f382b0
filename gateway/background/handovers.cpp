#include "gateway/background/handovers.h"

#include "config/named.h"
#include "gateway/background/away.h"
#include "gateway/background/batch_line.h"
#include "gateway/background/batch_runner.h"
#include "gateway/background/batch_work.h"
#include "gateway/policy/handover.h"
#include "gateway/request/tab.h"
#include "gateway/store/fresh_id.h"
#include "gateway/wall_clock.h"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <utility>

namespace spillway {
namespace net = boost::asio;

namespace {

using Disk = std::function<Result<void>()>;

constexpr int kLinesFetched = 256;
constexpr int kLinesMax = 5'000;             // Of one handover…
constexpr std::size_t kBytesMax = 32 << 20;  // …and so much text: it is in memory at once.
constexpr int kSendTries = 3;
constexpr std::chrono::seconds kSendAgain{2};
constexpr std::chrono::minutes kLookAgain{5};  // Where nobody takes it: settings may change.
constexpr double kPaceKnownAfter = 60.0;       // Seconds of lines on the engine.

bool some_take_batches(const config::Settings& settings) {
  return std::any_of(settings.providers.begin(), settings.providers.end(),
                     [](const config::ProviderTarget& one) { return one.batches.enabled; });
}

// The payer's purse is too small for one line more.
bool is_about_money(Errc code) { return code == Errc::over_budget || code == Errc::rate_limited; }

}  // namespace

// What is about to be sent.
struct Handovers::Parcel {
  std::shared_ptr<Away> away;
  std::string text;
  std::vector<int> lines;
  std::vector<int> unfit;  // That cannot be handed over.
  bool full = false;
};

net::awaitable<void> Handovers::begin(std::shared_ptr<BatchWork> work) {
  work->began = SteadyClock::now();
  co_await resume(work);
  co_await consider(work);
  start_aside(work, oversee(work));
}

void Handovers::start_aside(std::shared_ptr<BatchWork> work, net::awaitable<void> task) {
  ++work->aside;
  runner_.background_.start(std::move(task), [work] {
    --work->aside;
    work->changed.ring();
  });
}

net::awaitable<void> Handovers::resume(std::shared_ptr<BatchWork> work) {
  std::vector<batch::Handover> found;
  std::vector<int> open;
  const Disk read = [&]() -> Result<void> {
    open.clear();
    auto all = runner_.doors_.handovers.of_batch(work->about.id);
    if (!all) return all.error();
    for (const batch::Handover& one : *all) {
      const auto lines = runner_.doors_.handovers.open_lines(one.id);
      if (!lines) return lines.error();
      open.push_back(static_cast<int>(lines->size()));
    }
    found = std::move(*all);
    return {};
  };
  const bool known = co_await runner_.insist(read, work->about.tenant);
  if (!known) co_return;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::string id = found[i].id;
    const auto most = found[i].most * open[i] / std::max(1, found[i].lines);
    auto away = away_of(*work, std::move(found[i]));
    if (runner_.doors_.account) {
      auto hold = runner_.doors_.account->owed(id, away->payer(), most);
      if (hold) away->hold = std::move(*hold);
    }
    work->lines_away += open[i];
    start_aside(work, conduct(work, std::move(away)));
  }
}

net::awaitable<void> Handovers::oversee(std::shared_ptr<BatchWork> work) {
  co_await net::this_coro::throw_if_cancelled(false);
  while (work->look_at && !work->lines_over && !runner_.over(*work)) {
    co_await work->given_up.wait(std::min(*work->look_at, work->expiry()));
    if (SteadyClock::now() >= *work->look_at) co_await consider(work);
  }
}

// Whether lines leave now. The last of those that wait says how it is with all: they ask one model.
net::awaitable<void> Handovers::consider(std::shared_ptr<BatchWork> work) {
  work->look_at.reset();
  work->may_hand_over = false;
  const auto settings = runner_.doors_.editions.get()->settings;
  if (work->lines_over || runner_.over(*work)) co_return;
  work->look_at = SteadyClock::now() + kLookAgain;
  if (!some_take_batches(*settings)) co_return;
  int waiting = 0;
  std::vector<batch::LineRef> last;
  const Disk read = [&]() -> Result<void> {
    auto& store = runner_.doors_.handovers;
    const auto count = store.waiting(work->about.id, work->begun_up_to);
    if (!count) return count.error();
    waiting = *count;
    const auto number = store.first_of_last(work->about.id, work->begun_up_to, 1);
    if (!number) return number.error();
    auto found = store.from(work->about.id, std::max(1, *number), 1);
    if (!found) return found.error();
    last = std::move(*found);
    return {};
  };
  const bool known = co_await runner_.insist(read, work->about.tenant);
  if (!known || waiting == 0 || last.empty()) co_return;
  const std::string nobody;
  const auto written = co_await write_down(*work, last.front(), nobody, nobody);
  if (!written) co_return;
  const auto* const provider = config::named(settings->providers, written->target);
  if (provider == nullptr) co_return;
  policy::BatchProspect batch;
  batch.time_left = static_cast<double>(work->about.expires - unix_seconds());
  batch.lifetime = static_cast<double>(work->about.expires - work->about.created);
  batch.window = std::chrono::duration<double>(provider->batches.window).count();
  batch.lines = waiting;
  batch.lines_min = provider->batches.lines_min;
  batch.at_once = runner_.concurrency_;
  batch.engine_lines_per_second = engine_pace(*work, *written);
  const auto choice = policy::choose_handover(batch);
  work->may_hand_over = choice.look_in.has_value();
  if (choice.lines > 0) co_await hand_over(work, written->target, static_cast<int>(choice.lines));
  if (choice.look_in) work->look_at = SteadyClock::now() + from_seconds(*choice.look_in);
}

// As it was with this batch so far; before that is known, by what the engine is free for.
double Handovers::engine_pace(const BatchWork& work, const WrittenLine& line) const {
  if (!line.engine_serves) return 0.0;
  const double seconds = seconds_between(work.began, SteadyClock::now());
  if (seconds >= kPaceKnownAfter) return work.lines_here / seconds;
  const double pace = runner_.doors_.engine_pace(line.prompt_tokens, line.completion_tokens);
  return pace / static_cast<double>(std::max<std::size_t>(1, runner_.works_.size()));
}

net::awaitable<void> Handovers::hand_over(std::shared_ptr<BatchWork> work, std::string target,
                                          int lines) {
  while (lines > 0 && !runner_.over(*work)) {
    const int sent = co_await hand_over_some(work, target, std::min(lines, kLinesMax));
    if (sent == 0) co_return;
    lines -= sent;
  }
}

// How many lines have left. While they are written down none of them is begun here.
net::awaitable<int> Handovers::hand_over_some(std::shared_ptr<BatchWork> work, std::string target,
                                              int lines) {
  batch::Handover about;
  about.id = store::fresh_id("handover_");
  about.batch = work->about.id;
  about.target = std::move(target);
  about.created = unix_seconds();
  Parcel parcel;
  parcel.away = away_of(*work, std::move(about));
  bool sent = co_await fill(*work, parcel, lines);
  sent = sent && !parcel.lines.empty();
  if (sent) sent = co_await send(*work, parcel);
  work->begin_below = kNoLine;
  ++work->handings;
  work->changed.ring();
  const int count = sent ? static_cast<int>(parcel.lines.size()) : 0;
  work->lines_away += count;
  if (sent) start_aside(work, conduct(work, std::move(parcel.away)));
  co_return count;
}

// False: the gateway stops.
net::awaitable<bool> Handovers::fill(BatchWork& work, Parcel& parcel, int lines) {
  int first = 0;
  const Disk find = [&]() -> Result<void> {
    const auto number =
        runner_.doors_.handovers.first_of_last(work.about.id, work.begun_up_to, lines);
    if (!number) return number.error();
    first = *number;
    return {};
  };
  bool going = co_await runner_.insist(find, work.about.tenant);
  if (!going || first <= work.begun_up_to) co_return going;
  work.begin_below = first;
  std::vector<batch::LineRef> some;
  const Disk fetch = [&]() -> Result<void> {
    auto found = runner_.doors_.handovers.from(work.about.id, first, kLinesFetched);
    if (!found) return found.error();
    some = std::move(*found);
    return {};
  };
  while (going && !parcel.full) {
    going = co_await runner_.insist(fetch, work.about.tenant);
    if (some.empty()) break;
    for (const batch::LineRef& line : some) {
      if (going && !parcel.full) going = co_await add(work, parcel, line);
    }
    first = some.back().number + 1;
  }
  const Disk keep = [&] { return runner_.doors_.handovers.keep(work.about.id, parcel.unfit); };
  if (going && !parcel.unfit.empty()) going = co_await runner_.insist(keep, work.about.tenant);
  co_return going;
}

net::awaitable<bool> Handovers::add(BatchWork& work, Parcel& parcel, const batch::LineRef& line) {
  Away& away = *parcel.away;
  std::string label = label_of(away.about, line);
  const auto written = co_await write_down(work, line, away.about.target, std::move(label));
  if (runner_.over(work)) co_return false;
  const bool fits =
      written && (parcel.lines.empty() ||
                  (written->model == away.about.model && written->line.path == away.about.path &&
                   written->request_class == away.request_class));
  if (!fits) {
    parcel.unfit.push_back(line.number);
    co_return true;
  }
  if (parcel.lines.empty()) {
    away.request_class = written->request_class;
    away.budget_share = written->budget_share;
  }
  account::Account* const account = runner_.doors_.account;
  Result<void> paid;
  if (account && !away.hold.open()) {
    auto hold = account->hold(away.about.id, away.payer(), written->most, written->most);
    if (hold) away.hold = std::move(*hold);
    if (!hold) paid = hold.error();
  } else if (account) {
    const auto all = away.about.most + written->most;
    paid = away.hold.raise(all, all);
  }
  if (!paid) {
    parcel.full = is_about_money(paid.error().code);
    if (!parcel.full) parcel.unfit.push_back(line.number);
    co_return true;
  }
  away.about.model = written->model;
  away.about.path = written->line.path;
  away.about.most += written->most;
  parcel.lines.push_back(line.number);
  parcel.text.append(written->line.text).push_back('\n');
  parcel.full =
      parcel.text.size() >= kBytesMax || parcel.lines.size() >= static_cast<std::size_t>(kLinesMax);
  co_return true;
}

// The file costs nothing: what is on the disk once it is there says whose it is.
net::awaitable<bool> Handovers::send(BatchWork& work, Parcel& parcel) {
  batch::Handover& about = parcel.away->about;
  const auto desk = desk_of(about.target);
  if (desk == nullptr) co_return false;
  for (int tries = 0; about.input_file.empty() && tries < kSendTries; ++tries) {
    if (tries > 0) co_await work.given_up.wait(SteadyClock::now() + kSendAgain);
    if (runner_.over(work)) co_return false;
    std::string text = parcel.text, name = about.id + ".jsonl";
    auto file = co_await desk->upload(std::move(text), std::move(name));
    if (file) about.input_file = std::move(*file);
  }
  if (about.input_file.empty()) co_return false;
  about.lines = static_cast<int>(parcel.lines.size());
  const Disk begin = [&] { return runner_.doors_.handovers.begin(about, parcel.lines); };
  co_return co_await runner_.insist(begin, work.about.tenant);
}

Async<WrittenLine> Handovers::write_down(BatchWork& work, const batch::LineRef& line,
                                         std::string target, std::string label) {
  std::string text;
  const Disk read = [&]() -> Result<void> {
    auto found = runner_.doors_.batches.read(work.about.id, line);
    if (!found) return found.error();
    text = std::move(*found);
    return {};
  };
  const bool known = co_await runner_.insist(read, work.about.tenant);
  if (!known) co_return Error{Errc::cancelled, "the gateway stops", "", std::nullopt};
  LineTerms terms;
  terms.request_class = runner_.doors_.editions.get()->settings->batch.request_class;
  terms.deadline =
      std::chrono::seconds(std::max<std::int64_t>(1, work.about.expires - unix_seconds()));
  http::Request raw = request_of(work.about, line, text, terms);
  Handing handing;
  handing.id = std::move(label);
  handing.target = std::move(target);
  OnBehalf whose{work.about.tenant, work.about.key_name, true, nullptr, &handing};
  LineWriter nowhere;
  const Errand& ask = runner_.doors_.errands.find(work.about.endpoint)->second;
  auto asking = ask(std::move(whose), std::move(raw), nowhere);
  co_await std::move(asking);
  co_return std::move(handing.outcome);
}

std::shared_ptr<Handovers::Away> Handovers::away_of(const BatchWork& work,
                                                    batch::Handover about) const {
  const auto entry =
      runner_.doors_.editions.enter_as(work.about.key_name, work.about.tenant, about.id);
  auto away = std::make_shared<Away>();
  away->about = std::move(about);
  away->tenant = work.about.tenant;
  away->key = work.about.key_name;
  if (!entry.caller) return away;
  const account::Payer payer = payer_of(*entry.edition->settings, entry.caller->key);
  away->project = payer.project;
  if (payer.tenant_budget) away->tenant_budget = *payer.tenant_budget;
  if (payer.key_budget) away->key_budget = *payer.key_budget;
  return away;
}

}  // namespace spillway
