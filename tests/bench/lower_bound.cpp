// What policies can hardly go below: the least cost of a replay with every promise kept, by a
// fractional relaxation.
//   lower_bound --load SHARE --saturation NAME|RATE [--speed X] [--slowdown X] [--seen-prefixes]
//   FILE...
//
// A clairvoyant splits each request j freely: a share of it runs on the node, the rest costs its
// share of c_j, the cheapest provider's price, without failures and limits. A share costs the node
// GPU seconds: its prompt p_j at full reading speed, between arrival and TTFT limit; its decoding
// d_j, what its tokens add to the steps they come with, until it would break its time per token
// (batch: both until the deadline). A promise that nobody can keep, since even alone the prompt is
// not read in time by node and provider, is not held against anybody. With --seen-prefixes all
// prompts seen before are cached.
//
// The 7 ms that a step takes at least are counted in three ways, of which the highest bound is
// printed: steps of the 50 ms promised leave 43 for the above (approximate: steps that only read
// do not have them, but no busy node is without decoding for long); or each token carries its part
// of a step with all slots taken; or its part of one with all of the KV cache taken.
//
// By weak duality any prices y_t >= 0 of a GPU second in slot t bound the providers' bill from
// below:
//   sum_j min(c_j, p_j min{y_t: t in its prompt's window} + d_j min{y_t: t in its decoding's})
//   - sum_t y_t C,  C = what a slot gives, in GPU seconds
// Gradient ascent over a smoothed form looks for good prices; what is printed is the formula
// itself. To it comes the node, until the trace's end. Dollars per million tokens.
#include "gateway/simulate/node_cost.h"
#include "gateway/simulate/prefix_cache.h"
#include "gateway/simulate/reference_engine.h"
#include "gateway/simulate/trace.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

namespace spillway::simulate {
namespace {

constexpr double kSlot = 0.25;  // Seconds.
constexpr double kPerToken = 0.050;
constexpr double kProviderReads = 20'000.0;  // Prompt tokens a second.
constexpr double kUsdPerToken = 1.98e-6;     // The cheapest provider, in and out.
constexpr int kRounds = 600;

struct Window {
  std::size_t first = 0, last = 0;  // Slots, both inside.
};

// How a step's base cost is counted.
enum class Base { in_time, by_slot, by_cache };

struct Job {
  double cost = 0.0;  // c
  double prompt = 0.0, decoding = 0.0;
  Window reads, decodes;
};

// Sums over ranges of leaves, and additions to ranges; nothing is ever subtracted, since the
// leaves span hundreds of orders of magnitude.
class Tree {
 public:
  explicit Tree(std::size_t leaves) : size_(1) {
    while (size_ < leaves) size_ *= 2;
    sum_.assign(2 * size_, 0.0);
    added_.assign(2 * size_, 0.0);
    least_.assign(2 * size_, std::numeric_limits<double>::infinity());
  }

  void set(const std::vector<double>& prices, double softness) {
    for (std::size_t i = 0; i < prices.size(); ++i) {
      sum_[size_ + i] = std::exp(-prices[i] / softness);
      least_[size_ + i] = prices[i];
    }
    for (std::size_t i = size_ - 1; i > 0; --i) {
      sum_[i] = sum_[2 * i] + sum_[2 * i + 1];
      least_[i] = std::min(least_[2 * i], least_[2 * i + 1]);
    }
    std::fill(added_.begin(), added_.end(), 0.0);
  }

  double sum(Window window) const {
    double total = 0.0;
    visit(window, [&](std::size_t node) { total += sum_[node]; });
    return total;
  }

  double least(Window window) const {
    double least = std::numeric_limits<double>::infinity();
    visit(window, [&](std::size_t node) { least = std::min(least, least_[node]); });
    return least;
  }

  void add(Window window, double what) {
    visit(window, [&](std::size_t node) { added_[node] += what; });
  }

  // What each leaf was given, times the leaf itself.
  void loads(std::vector<double>& loads) {
    for (std::size_t i = 1; i < size_; ++i) {
      added_[2 * i] += added_[i];
      added_[2 * i + 1] += added_[i];
    }
    for (std::size_t i = 0; i < loads.size(); ++i) loads[i] = added_[size_ + i] * sum_[size_ + i];
  }

 private:
  template <class Visit>
  void visit(Window window, Visit visit) const {
    std::size_t from = window.first + size_, to = window.last + size_ + 1;
    for (; from < to; from /= 2, to /= 2) {
      if (from % 2 == 1) visit(from++);
      if (to % 2 == 1) visit(--to);
    }
  }

  std::size_t size_;
  std::vector<double> sum_, added_, least_;
};

Window window_of(double from, double to) {
  return {static_cast<std::size_t>(from / kSlot), static_cast<std::size_t>(to / kSlot)};
}

// Seconds that its tokens after the first add to the steps that they come with.
double decoding_seconds(const TraceRequest& one, const ReferenceEngineParams& engine, Base base) {
  const double context = one.prompt_tokens + one.completion_tokens / 2.0;
  double token = engine.step_per_sequence + engine.step_per_context_token * context;
  if (base == Base::by_slot) token += engine.step_base / engine.sequences_max;
  if (base == Base::by_cache)
    token += engine.step_base * (one.prompt_tokens + one.completion_tokens) / engine.kv_tokens;
  return (one.completion_tokens - 1.0) * token;
}

std::vector<Job> jobs_of(const Replay& replay, const ReferenceEngineParams& engine, Base base,
                         bool seen_prefixes) {
  PrefixCache seen(std::numeric_limits<int>::max());
  std::vector<Job> jobs;
  for (const TraceRequest& one : replay.requests) {
    int read = one.prompt_tokens;
    if (seen_prefixes) {
      const auto blocks = replay.prefix_of(one);
      read -= std::min(seen.leading(blocks) * engine.block_tokens, one.prompt_tokens - 1);
      seen.put(blocks);
    }
    Job job{.cost = kUsdPerToken * (one.prompt_tokens + one.completion_tokens),
            .prompt = engine.slowdown * read / engine.prompt_tokens_per_second,
            .decoding = engine.slowdown * decoding_seconds(one, engine, base)};
    double token = one.batch ? one.deadline : one.at + one.ttft_slo;
    const bool never = !one.batch && std::min(job.prompt, read / kProviderReads) > one.ttft_slo;
    if (never) token = std::max(replay.length, token);
    const double end = one.batch ? token : token + kPerToken * (one.completion_tokens - 1);
    job.reads = window_of(one.at, token);
    job.decodes = window_of(one.at, end);
    jobs.push_back(job);
  }
  return jobs;
}

double bound(const std::vector<Job>& jobs, const std::vector<double>& prices, double slot_gives,
             const Tree& tree) {
  double bound = 0.0;
  for (const Job& job : jobs) {
    const double here = job.prompt * tree.least(job.reads) + job.decoding * tree.least(job.decodes);
    bound += std::min(job.cost, here);
  }
  for (const double price : prices) bound -= price * slot_gives;
  return bound;
}

// Spreads what would be kept at these prices over the slots, most of it where they are lowest.
void spread(const std::vector<Job>& jobs, double softness, Tree& tree, std::vector<double>& loads) {
  for (const Job& job : jobs) {
    const double reads = tree.sum(job.reads), decodes = tree.sum(job.decodes);
    const auto price = [&](double sum, const Window& window) {
      return -softness * std::log(sum / static_cast<double>(window.last - window.first + 1));
    };
    const double here = job.prompt * std::max(0.0, price(reads, job.reads)) +
                        job.decoding * std::max(0.0, price(decodes, job.decodes));
    const double scale = 20.0 * softness * (job.prompt + job.decoding);
    const double kept = 1.0 / (1.0 + std::exp(std::clamp((here - job.cost) / scale, -40.0, 40.0)));
    tree.add(job.reads, kept * job.prompt / reads);
    tree.add(job.decodes, kept * job.decoding / decodes);
  }
  tree.loads(loads);
}

double best_bound(const std::vector<Job>& jobs, double slot_gives) {
  std::size_t slots = 0;
  for (const Job& job : jobs) slots = std::max({slots, job.decodes.last + 1, job.reads.last + 1});
  std::vector<double> prices(slots, 0.0), loads(slots), pace(slots, 0.0), size(slots, 0.0);
  Tree tree(slots);
  double best = 0.0;
  for (int round = 0; round < kRounds; ++round) {
    const double left = 1.0 - static_cast<double>(round) / kRounds;
    const double softness = 1e-4 + 2e-3 * left * left;  // Dollars a GPU second.
    const double step = 1e-5 + 2e-3 * left * left;
    tree.set(prices, softness);
    if (round % 10 == 0) best = std::max(best, bound(jobs, prices, slot_gives, tree));
    spread(jobs, softness, tree, loads);
    for (std::size_t t = 0; t < slots; ++t) {
      const double slope = std::clamp(loads[t] / slot_gives - 1.0, -1.0, 3.0);
      pace[t] += 0.1 * (slope - pace[t]);
      size[t] += 0.01 * (slope * slope - size[t]);
      const double trust = 1.0 - std::pow(0.99, round + 1.0);
      prices[t] = std::max(0.0, prices[t] + step * pace[t] / (std::sqrt(size[t] / trust) + 1e-3));
    }
  }
  tree.set(prices, 1e-3);
  return std::max(best, bound(jobs, prices, slot_gives, tree));
}

int run(const ReplayRules& asked, double rate, const ReferenceEngineParams& engine,
        bool seen_prefixes, const std::vector<std::string>& paths) {
  const auto trace = read_trace(paths);
  if (!trace) {
    std::fprintf(stderr, "%s\n", trace.error().message.c_str());
    return 2;
  }
  ReplayRules rules = asked;
  if (rate > 0.0) rules.scale = asked.scale * rate / rate_of(*trace, rules);
  const Replay stream = replay(*trace, rules);
  double tokens = 0.0;
  for (const TraceRequest& one : stream.requests)
    tokens += one.prompt_tokens + one.completion_tokens;
  double providers = 0.0;
  for (const Base base : {Base::in_time, Base::by_slot, Base::by_cache}) {
    const double useful =
        base == Base::in_time ? 1.0 - engine.slowdown * engine.step_base / kPerToken : 1.0;
    const std::vector<Job> jobs = jobs_of(stream, engine, base, seen_prefixes);
    providers = std::max(providers, best_bound(jobs, kSlot * useful));
  }
  const double node = NodeCost{}.usd_per_hour() * stream.length / 3'600.0;
  std::printf("bound        $%.2f to providers, $%.2f for the node: $%.4f per M tokens\n",
              providers, node, 1e6 * (providers + node) / tokens);
  return 0;
}

}  // namespace
}  // namespace spillway::simulate

int main(int argc, char** argv) {
  spillway::simulate::ReplayRules rules;
  double rate = 0.0;
  spillway::simulate::ReferenceEngineParams engine;
  bool seen_prefixes = false;
  std::vector<std::string> paths;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const char* const value = i + 1 < argc ? argv[i + 1] : "";
    if (word == "--seen-prefixes") {
      seen_prefixes = true;
      continue;
    }
    if (!word.starts_with("--")) {
      paths.push_back(word);
      continue;
    }
    if (word == "--load") rules.scale = std::atof(value);
    if (word == "--speed") rules.speed = std::atof(value);
    if (word == "--slowdown") engine.slowdown = std::atof(value);
    if (word == "--saturation")
      rate = spillway::simulate::reference_saturation(value).value_or(std::atof(value));
    ++i;
  }
  if (!paths.empty()) return spillway::simulate::run(rules, rate, engine, seen_prefixes, paths);
  std::fputs("usage: lower_bound --load SHARE --saturation NAME|RATE FILE...\n", stderr);
  return 2;
}
