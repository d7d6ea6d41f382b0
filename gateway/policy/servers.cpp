#include "gateway/policy/servers.h"

#include "backends/contract/name_hash.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace spillway::policy {
namespace {

constexpr std::size_t kMarks = 65'536;  // 1.5 MiB for each target that keeps prefixes.

// A server may have so many times what all have on average, …
constexpr double kLoadMost = 1.25;
// …and this in any case: so few it batches at no cost.
constexpr int kAlwaysFits = 4;

// A beginning that is less than this share of its prompt saves less than even work does.
constexpr double kShareLeast = 0.25;

std::string_view host_of(std::string_view url) {
  url.remove_prefix(std::min(url.find("//") + 2, url.size()));
  return url.substr(0, url.find('/'));
}

// Host and port, where they tell the target's servers apart.
std::string address_of(std::string_view url, const std::vector<std::string>& all) {
  const auto same = [&](const std::string& other) { return host_of(other) == host_of(url); };
  return std::string(std::count_if(all.begin(), all.end(), same) > 1 ? url : host_of(url));
}

// Rendezvous hashing: each prompt has an order of the servers that does not change when one goes.
std::uint64_t rank(std::uint64_t prompt, std::size_t server) {
  return mixed(prompt + 0x9e37'79b9'7f4a'7c15ULL * (server + 1));
}

bool cached_is_cheaper(const config::Price& price) {
  return price.cached_input_per_million < price.input_per_million;
}

bool tells_pace(const Visit& visit) { return visit.asking.streamed && !visit.asking.at_batch_rate; }

void earlier(std::optional<TimePoint>& moment, const std::optional<TimePoint>& other) {
  if (other) moment = moment ? std::min(*moment, *other) : *other;
}

}  // namespace

std::string_view name_of(Chosen chosen) {
  constexpr std::array<std::string_view, kChosen> kNames{"affine", "overflow", "least_busy"};
  return kNames[static_cast<std::size_t>(chosen)];
}

bool keeps_prefixes(const config::ProviderTarget& provider) {
  return provider.base_urls.size() > 1 || cached_is_cheaper(provider.price);
}

Servers::Servers(const config::ProviderTarget& provider, TimePoint now)
    : cached_is_cheaper_(cached_is_cheaper(provider.price)) {
  for (const std::string& url : provider.base_urls)
    servers_.push_back({address_of(url, provider.base_urls), Health(provider, now)});
  if (servers_.empty()) servers_.push_back({"", Health(provider, now)});
  if (keeps_prefixes(provider)) prefixes_.emplace(kMarks);
  if (servers_.size() > 1) pace_.emplace(provider.measured, now);
}

ProviderFacts Servers::facts(TimePoint now, const PromptMarks* prompt) const {
  ProviderFacts facts = health(now);
  if (cached_is_cheaper_ && prompt != nullptr)
    facts.cached_share = known_share(*prompt, kAllServers, now) * belief_.share(now);
  return facts;
}

ProviderFacts Servers::health(TimePoint now) const {
  ProviderFacts all = servers_.front().health.facts(now);
  if (servers_.size() < 2) return all;
  all.open_until = TimePoint::max();
  all.permission = Permission::open;
  all.refuses_account = true;
  all.limited_until.reset();
  all.batch_tier_full_until.reset();
  all.in_flight = all.servers = 0;
  bool tier_has_room = false;
  for (const Server& server : servers_) {
    const ProviderFacts one = server.health.facts(now);
    all.in_flight += one.in_flight;
    all.refuses_account = all.refuses_account && one.refuses_account;
    if (one.permission == Permission::open) {
      all.open_until = std::min(all.open_until, one.open_until);
      continue;
    }
    earlier(all.limited_until, one.limited_until);
    earlier(all.batch_tier_full_until, one.batch_tier_full_until);
    if (!one.batch_tier_full_until) tier_has_room = true;
    if (one.limited_until) continue;
    ++all.servers;
    if (all.permission != Permission::closed) all.permission = one.permission;
  }
  // Those who are limited are well: the target is, too, if nobody else can be asked.
  if (all.servers > 0) all.limited_until.reset();
  if (all.servers == 0 && all.limited_until) all.permission = Permission::closed;
  if (tier_has_room) all.batch_tier_full_until.reset();
  all.servers = std::max(1, all.servers);
  all.ttft_p50 = pace_->ttft_p50(now);
  all.ttft_p90 = pace_->ttft_p90(now);
  all.ttft_p95 = pace_->ttft_p95(now);
  all.ttft_p99 = pace_->ttft_p99(now);
  all.tokens_per_second = pace_->tokens_per_second();
  all.in_time = punctuality_.in_time(now);
  return all;
}

std::optional<Visit> Servers::enter(TimePoint now, const Call& call) {
  const auto choice = choose(now, call);
  if (!choice) return std::nullopt;
  Server& server = servers_[choice->server];
  auto visit = server.health.enter(now, call.asking);
  if (!visit) return std::nullopt;
  visit->server = choice->server;
  if (call.prompt) visit->known_share = known_share(*call.prompt, only(choice->server), now);
  ++server.chosen[static_cast<std::size_t>(choice->how)];
  if (!prefixes_ || !call.prompt) return visit;
  // Of several it is already worth something that they go to the same one.
  if (servers_.size() > 1)
    note(*call.prompt, choice->server, now);
  else
    visit->prompt = call.prompt;
  return visit;
}

void Servers::note(const PromptMarks& prompt, std::size_t server, TimePoint now) {
  for (const PromptMark& mark : prompt.all()) prefixes_->note(mark.hash, server, now);
}

void Servers::answered(Visit& visit, TimePoint now) {
  const bool is_first = !visit.first_token;
  servers_[visit.server].health.answered(visit, now);
  if (visit.prompt) note(*visit.prompt, visit.server, now);
  if (!pace_ || !is_first || !tells_pace(visit)) return;
  const double took = seconds_between(visit.sent, now);
  pace_->first_token(took, now);
  punctuality_.observe(visit.asking.promise, took, now);
}

void Servers::finished(Visit& visit, int completion_tokens, TimePoint now) {
  servers_[visit.server].health.finished(visit, completion_tokens, now);
  if (pace_ && visit.first_token && tells_pace(visit))
    pace_->streamed(completion_tokens - 1, seconds_between(*visit.first_token, now));
}

void Servers::failed(Visit& visit, const Error& error, TimePoint now) {
  servers_[visit.server].health.failed(visit, error, now);
  const bool was_silent = !visit.first_token && tells_pace(visit);
  if (pace_ && error.code == Errc::cancelled && was_silent)
    pace_->silent(seconds_between(visit.sent, now), now);
}

void Servers::billed(const Visit& visit, int prompt_tokens, int cached_tokens, TimePoint now) {
  if (visit.known_share > 0.0)
    belief_.billed(visit.known_share * prompt_tokens, cached_tokens, now);
}

int Servers::times_opened() const {
  int times = 0;
  for (const Server& server : servers_) times += server.health.times_opened();
  return times;
}

std::vector<Servers::Gauge> Servers::gauges(TimePoint now) const {
  std::vector<Gauge> gauges;
  for (const Server& server : servers_)
    gauges.push_back({server.address, server.health.facts(now), server.chosen});
  return gauges;
}

// Of the longest beginning that one of them has been sent. Who has been sent one has been sent all
// that are shorter, so that a strange prompt is told from its first mark.
double Servers::known_share(const PromptMarks& prompt, ServerSet among, TimePoint now) const {
  const auto marks = prompt.all();
  if (!prefixes_ || marks.empty()) return 0.0;
  if ((prefixes_->servers(marks.front().hash, now) & among) == 0) return 0.0;
  std::size_t longest = marks.size() - 1;
  while (longest > 0 && (prefixes_->servers(marks[longest].hash, now) & among) == 0) --longest;
  return static_cast<double>(marks[longest].bytes) / static_cast<double>(prompt.bytes());
}

std::optional<Servers::Choice> Servers::choose(TimePoint now, const Call& call) const {
  const ServerSet open = open_to(now, call);
  if (open == 0) return std::nullopt;
  if (!prefixes_ || !call.prompt || call.prompt->empty())
    return Choice{*least_busy(open, static_cast<std::uint64_t>(now.time_since_epoch().count()))};
  const auto marks = call.prompt->all();
  const ServerSet fit = with_little_work(open);
  Chosen otherwise = Chosen::least_busy;
  for (std::size_t i = marks.size(); i-- > 0;) {
    const auto least = kShareLeast * static_cast<double>(call.prompt->bytes());
    if (static_cast<double>(marks[i].bytes) < least) break;
    const ServerSet known = prefixes_->servers(marks[i].hash, now);
    if (const auto server = least_busy(known & fit, marks[i].hash))
      return Choice{*server, Chosen::affine};
    if (known != 0) otherwise = Chosen::overflow;
  }
  return Choice{*least_busy(open, marks.back().hash), otherwise};
}

ServerSet Servers::open_to(TimePoint now, const Call& call) const {
  ServerSet open = 0;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (servers_[i].health.admits(now, call.asking)) open |= only(i);
  }
  return open & call.among;
}

// With one more request they are within the bound.
ServerSet Servers::with_little_work(ServerSet open) const {
  int all = 1;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if ((open & only(i)) != 0) all += servers_[i].health.in_flight();
  }
  const double most = std::ceil(kLoadMost * all / std::popcount(open));
  ServerSet fit = 0;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    const int work = servers_[i].health.in_flight() + 1;
    if ((open & only(i)) != 0 && (work <= kAlwaysFits || work <= most)) fit |= only(i);
  }
  return fit;
}

std::optional<std::size_t> Servers::least_busy(ServerSet among, std::uint64_t hash) const {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if ((among & only(i)) == 0) continue;
    const int work = servers_[i].health.in_flight();
    const int least = best ? servers_[*best].health.in_flight() : work;
    const bool wins = !best || work < least || (work == least && rank(hash, i) > rank(hash, *best));
    if (wins) best = i;
  }
  return best;
}

}  // namespace spillway::policy
