// The servers of one provider target: alike, each with a health of its own, and which of them is
// asked for a prompt. To the policy they are one.
//
// A prompt goes to a server that has been sent its beginning before, so that the server's own
// prefix cache serves it, as long as that server's work is within a bound of what all have on
// average (consistent hashing with bounded loads: Mirrokni, Thorup and Zadimoghaddam, 2018); else
// to the one with the least work, of several the one that the prompt's hash names. Pure state: time
// is passed in. Not thread-safe: whoever shares it between workers guards it.
#pragma once

#include "gateway/policy/cache_belief.h"
#include "gateway/policy/density.h"
#include "gateway/policy/health.h"
#include "gateway/policy/prefix_table.h"
#include "gateway/policy/prompt_marks.h"
#include "gateway/policy/punctuality.h"
#include "gateway/policy/retry_budget.h"
#include "gateway/policy/tracker.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::policy {

// How a server was chosen.
enum class Chosen : std::uint8_t {
  affine,      // It has been sent the prompt's beginning,
  overflow,    // …another has, that is not to be asked or has too much work,
  least_busy,  // …or nobody has.
};
inline constexpr std::size_t kChosen = 3;

std::string_view name_of(Chosen chosen);  // "affine", "overflow", "least_busy"; static storage.

// What is to be asked of a server, and of whom.
struct Call {
  Asking asking;
  const PromptMarks* prompt = nullptr;  // Outlives the visit. Null: any server will do.
  ServerSet among = kAllServers;
  Occasion occasion = Occasion::first;
};

class Servers {
 public:
  Servers(const config::ProviderTarget& provider, TimePoint now);

  // "10.0.0.1:8000"
  const std::string& address(std::size_t server) const { return servers_[server].address; }

  // As if they were one: it is asked while any of them may be, and its pace is that of all. What
  // is cached of a prompt is told where one is given and that makes it cheaper there.
  ProviderFacts facts(TimePoint now, const PromptMarks* prompt = nullptr) const;

  // Begins an attempt at one of `call.among`; empty if breakers, rate limits or concurrency leave
  // no room for it: take the next candidate. The visit is told to as Health says.
  std::optional<Visit> enter(TimePoint now, const Call& call = {});
  void answered(Visit& visit, TimePoint now);
  void told(const Visit& visit, const RateLeft& left) {
    servers_[visit.server].health.told(visit, left);
  }
  void finished(Visit& visit, int completion_tokens, TimePoint now);
  void failed(Visit& visit, const Error& error, TimePoint now);
  void leave(Visit& visit) { servers_[visit.server].health.leave(visit); }

  // The whole answer's bill: so many of the prompt's tokens, some of them as cached.
  void billed(const Visit& visit, int prompt_tokens, int cached_tokens, TimePoint now);

  int times_opened() const;

  // Of all: see Density.
  void wrote(std::size_t bytes, int tokens) { density_.observe(bytes, tokens); }
  double bytes_per_token() const { return density_.bytes_per_token(); }

  // One server at a moment, for gauges.
  struct Gauge {
    std::string address;  // "10.0.0.1:8000"
    ProviderFacts facts;
    std::array<std::uint64_t, kChosen> chosen{};  // Since the start, by Chosen.
  };
  std::vector<Gauge> gauges(TimePoint now) const;

 private:
  struct Server {
    std::string address;
    Health health;
    std::array<std::uint64_t, kChosen> chosen{};
  };
  struct Choice {
    std::size_t server = 0;
    Chosen how = Chosen::least_busy;
  };

  ProviderFacts health(TimePoint now) const;
  void note(const PromptMarks& prompt, std::size_t server, TimePoint now);
  double known_share(const PromptMarks& prompt, ServerSet among, TimePoint now) const;
  ServerSet open_to(TimePoint now, const Call& call) const;
  std::optional<Choice> choose(TimePoint now, const Call& call) const;
  std::optional<std::size_t> least_busy(ServerSet among, std::uint64_t hash) const;
  ServerSet with_little_work(ServerSet open) const;

  std::vector<Server> servers_;
  std::optional<Tracker> pace_;  // Of all; empty: there is one, who knows its own.
  Punctuality punctuality_;      // Of all, where they are several.
  Density density_;
  std::optional<PrefixTable> prefixes_;  // Empty: who is asked for what makes no difference.
  bool cached_is_cheaper_;
  CacheBelief belief_;
};

// Whether it makes a difference who is asked for a prompt's next turn: each of its servers has a
// cache of its own, or what is cached costs less.
bool keeps_prefixes(const config::ProviderTarget& provider);

}  // namespace spillway::policy
