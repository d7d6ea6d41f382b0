#include "backends/isolated/mirror.h"

#include "backends/local/engine/executor.h"

#include <algorithm>
#include <utility>

namespace spillway::isolated {
namespace {

Error cannot_be() { return {Errc::internal, "the engine says what cannot be", "", std::nullopt}; }

std::uint64_t handed_in(const EngineCounters& counters) {
  return counters.accepted + counters.refused;
}

bool is_sound(const local::WaitingPlace& place, std::size_t engines, int context_max) {
  const auto fits = [context_max](int tokens) { return tokens >= 0 && tokens <= context_max; };
  return !place.sequences.empty() && place.cached.size() == engines &&
         std::all_of(place.cached.begin(), place.cached.end(), fits) &&
         std::all_of(place.sequences.begin(), place.sequences.end(),
                     [fits](const SequenceStatus& sequence) {
                       return fits(sequence.prefill_left) && fits(sequence.context_tokens);
                     });
}

}  // namespace

std::vector<int> cached_in_each(const PrefixTrees& trees, std::string_view owner,
                                std::span<const std::int32_t> prompt) {
  std::vector<int> cached;
  cached.reserve(trees.size());
  for (const auto& tree : trees) cached.push_back(tree->cached_tokens(owner, prompt));
  return cached;
}

bool Mirror::ready() const {
  return loaded_ && std::any_of(engines_.begin(), engines_.end(),
                                [](const View& engine) { return engine.status.ready; });
}

EngineStatus Mirror::status() const {
  std::vector<EngineStatus> engines = statuses();
  EngineStatus status =
      is_shared() ? local::sum_of(std::move(engines)) : std::move(engines.front());
  status.ready = ready();
  local::add_waiting(queue_.places(), status);
  local::add_waiting(unseen_, status);
  return status;
}

EngineCounters Mirror::counters() const {
  EngineCounters sum = queue_.counters();
  for (const View& engine : engines_) sum += engine.counters;
  return sum;
}

bool Mirror::has_work() const {
  return !queue_.places().empty() ||
         std::any_of(engines_.begin(), engines_.end(), [](const View& engine) {
           return !engine.status.running.empty() || !engine.status.waiting.empty();
         });
}

int Mirror::worth_of_cache(const std::vector<int>& cached, int prompt_tokens) const {
  const auto nothing = [](int tokens) { return tokens == 0; };
  if (std::all_of(cached.begin(), cached.end(), nothing)) return 0;
  if (cached.size() == 1) return cached.front();
  const std::vector<EngineStatus> engines = statuses();
  Dealing dealing(engines);
  local::deal_out(queue_.places(), dealing);
  local::deal_out(unseen_, dealing);
  return local::worth_of_cache(cached, prompt_tokens, dealing, engines);
}

void Mirror::forget() {
  loaded_ = false;
  for (View& engine : engines_) {
    engine.status.ready = false;
    engine.status.running.clear();
    engine.status.waiting.clear();
    engine.step_began.reset();
    engine.counters = {};
  }
  queue_ = {};
  unseen_.clear();
  prefixes_.reset();
}

Result<void> Mirror::on(Loaded& word) {
  if (word.engines.size() != engines_.size()) return cannot_be();
  auto trees = std::make_shared<PrefixTrees>();
  for (const EngineStatus& status : word.engines) {
    const int tokens = status.kv_tokens_total;
    if (tokens < 0 || tokens > std::max(kv_tokens_max_, local::kBlockTokens)) return cannot_be();
    if (status.context_max < 0 || status.context_max > kAnyContext) return cannot_be();
    trees->push_back(
        std::make_unique<local::PrefixTree>(tokens / local::kBlockTokens, local::kBlockTokens));
  }
  context_max_ = word.engines.front().context_max;
  for (std::size_t i = 0; i < engines_.size(); ++i) engines_[i].status = std::move(word.engines[i]);
  prefixes_ = std::move(trees);
  loaded_ = true;
  return {};
}

Result<void> Mirror::on(Picture& word) {
  if (!loaded_) return {};  // It measures itself.
  if (word.replica >= engines_.size()) return cannot_be();
  View& engine = engines_[word.replica];
  const std::uint64_t before = handed_in(engine.counters);
  const std::uint64_t now = handed_in(word.counters);
  if (word.status.kv_tokens_total != engine.status.kv_tokens_total) return cannot_be();
  if (now < before || !see(now - before)) return cannot_be();
  engine = {std::move(word.status), word.step_began, word.counters};
  return {};
}

Result<void> Mirror::on(PrefixInserted& word) {
  if (!is_block(word.replica, word.block)) return cannot_be();
  local::PrefixTree& tree = *(*prefixes_)[word.replica];
  if (word.tokens.size() != local::kBlockTokens || tree.holds(word.block)) return cannot_be();
  tree.insert(word.owner, word.parent, word.tokens, word.block);
  return {};
}

Result<void> Mirror::on(PrefixErased& word) {
  if (!is_block(word.replica, word.block)) return cannot_be();
  (*prefixes_)[word.replica]->erase(word.block);
  return {};
}

// Its picture says so, too.
Result<void> Mirror::on(ReplicaFailed& word) {
  if (!is_shared() || word.replica >= engines_.size()) return cannot_be();
  return {};
}

Result<void> Mirror::on(Came& word) {
  if (!is_shared() || !is_sound(word.place, engines_.size(), context_max_)) return cannot_be();
  if (!see(word.place.sequences.size())) return cannot_be();
  queue_.add(std::move(word.place));
  return {};
}

Result<void> Mirror::on(Refused& word) {
  if (!is_shared() || !see(word.sequences)) return cannot_be();
  queue_.refuse(static_cast<int>(word.sequences));
  return {};
}

Result<void> Mirror::on(Left& word) {
  if (!queue_.leave(word.place)) return cannot_be();
  return {};
}

Result<void> Mirror::on(Taken& word) {
  const auto place = queue_.take(word.place);
  if (!place || word.replica >= engines_.size()) return cannot_be();
  for (const SequenceStatus& sequence : place->begun_at(word.replica))
    queue_up(engines_[word.replica].status.waiting, sequence);
  return {};
}

std::vector<EngineStatus> Mirror::statuses() const {
  std::vector<EngineStatus> statuses;
  const TimePoint now = SteadyClock::now();
  for (const View& engine : engines_) {
    EngineStatus& status = statuses.emplace_back(engine.status);
    if (engine.step_began) status.step_elapsed = seconds_between(*engine.step_began, now);
  }
  return statuses;
}

// The first so many are there; false if not so many are on their way.
bool Mirror::see(std::uint64_t sequences) {
  while (sequences > 0 && !unseen_.empty()) {
    auto& first = unseen_.front().sequences;
    const auto seen = std::min<std::uint64_t>(sequences, first.size());
    first.erase(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(seen));
    if (first.empty()) unseen_.pop_front();
    sequences -= seen;
  }
  return sequences == 0;
}

bool Mirror::is_block(Replica replica, std::int32_t block) const {
  if (!prefixes_ || replica >= engines_.size()) return false;
  const int blocks = engines_[replica].status.kv_tokens_total / local::kBlockTokens;
  return block >= 0 && block < blocks;
}

}  // namespace spillway::isolated
