// The scheduler's promises over random schedules: nobody is lost, starved or given another's words.
#include "backends/local/kv/block_pool.h"
#include "backends/local/sched/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace spillway::local {
namespace {

constexpr int kBlock = 16;

// The text of a sequence, which grows as its tokens become known.
struct Text final : SequenceText {
  std::vector<std::int32_t> words;
  std::string whose;

  std::span<const std::int32_t> tokens() const override { return words; }
  std::string_view owner() const override { return whose; }
};

struct Schedule {
  unsigned seed = 0;
  bool overlap = false;  // A step is planned before the one under way is finished.
  bool texts = false;    // Prompts begin alike, and what was computed is found again.
  bool drafts = false;   // Tokens are guessed. Requires: no overlap.
};

// A world that checks every promise of the scheduler at every step of a random schedule. It keeps
// what the blocks hold, word by word and whose: what a step finds before its own words is its text.
class RandomWorld {
 public:
  explicit RandomWorld(Schedule schedule)
      : overlap_(schedule.overlap),
        texts_(schedule.texts),
        drafts_(schedule.drafts),
        random_(schedule.seed),
        pool_(pick(4, 24), kBlock),
        limits_{pick(1, 6), {}},
        memory_(static_cast<std::size_t>(pool_.blocks_total() * kBlock)) {
    limits_.step.tokens_max = limits_.sequences_max + pick(0, 40);
    limits_.step.tile_tokens = pick(0, 12);
    scheduler_ = std::make_unique<Scheduler>(limits_, pool_);
  }

  void run() {
    for (int turn = 0; turn < 200; ++turn) {
      if (turn < 120 && pick(0, 2) == 0) arrive();
      if (pick(0, 9) == 0) cancel_one();
      if (pick(0, 9) == 0) pause_one();
      step();
      if (::testing::Test::HasFatalFailure()) return;
    }
    for (auto& [id, life] : lives_) {
      life.paused = false;
      scheduler_->pause(id, false);
    }
    for (int turn = 0; turn < 20'000 && !lives_.empty(); ++turn) step();
    ASSERT_TRUE(lives_.empty()) << "somebody was lost or starved";
    while (!under_way_.empty()) finish();
    ASSERT_EQ(pool_.blocks_free(), pool_.blocks_total()) << "blocks leaked";
    ASSERT_LE(reused_, asked_);
  }

  int reused() const { return reused_; }
  int confirmed() const { return confirmed_; }

 private:
  struct Life {
    int length = 0;    // Tokens it has, steps under way included.
    int computed = 0;  // In its blocks.
    int ends_at = 0;
    bool paused = false;
    int known = 0;  // Tokens of steps that are finished.
    std::shared_ptr<Text> text;
    int length_max = 0;
    int drafts = 0;  // Guessed behind the known ones,
    int right = 0;   // …and of those in a step, so many are what is said.
  };

  struct Word {
    std::string owner;
    std::int32_t token = 0;
    bool operator==(const Word&) const = default;
  };

  struct Step {
    std::vector<ScheduledSlice> plan;
    std::map<std::int32_t, SequenceId> writer;  // Of each block.
  };

  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }

  void arrive() {
    const int capacity = pool_.blocks_total() * kBlock;
    const int prompt = pick(1, capacity - 1);
    const int length_max = pick(prompt + 1, capacity);
    auto text = texts_ ? text_of(prompt) : nullptr;
    asked_ += prompt;
    lives_[++last_id_] = {prompt, 0, pick(prompt + 1, length_max), false, prompt, text, length_max};
    scheduler_->add(last_id_, prompt, pick(0, 1) == 0 ? Lane::foreground : Lane::background,
                    length_max - prompt, text.get());
  }

  // One of three openings, for one of two owners, and from somewhere on words of its own.
  std::shared_ptr<Text> text_of(int tokens) {
    auto text = std::make_shared<Text>();
    text->whose = pick(0, 1) == 0 ? "one" : "other";
    const int opening = 1'000 * pick(1, 3);
    const int alike = pick(0, tokens);
    for (int at = 0; at < tokens; ++at)
      text->words.push_back(at < alike ? opening + at : 10'000 + pick(0, 1'000));
    return text;
  }

  SequenceId any() {
    auto chosen = lives_.begin();
    std::advance(chosen, pick(0, static_cast<int>(lives_.size()) - 1));
    return chosen->first;
  }

  void cancel_one() {
    if (lives_.empty()) return;
    const SequenceId id = any();
    const int before = pool_.blocks_free();
    const int held = static_cast<int>(scheduler_->blocks(id).size());
    scheduler_->remove(id);
    if (under_way_.empty() && !texts_) {
      ASSERT_EQ(pool_.blocks_free(), before + held);
    }
    lives_.erase(id);
  }

  void pause_one() {
    if (lives_.empty()) return;
    const SequenceId id = any();
    lives_[id].paused = !lives_[id].paused;
    scheduler_->pause(id, lives_[id].paused);
  }

  void step() {
    const auto plan = scheduler_->plan();
    check(plan);
    if (::testing::Test::HasFatalFailure()) return;
    if (!plan.empty()) begin(plan);
    const std::size_t stay = overlap_ && !plan.empty() ? 1 : 0;
    while (under_way_.size() > stay) finish();
  }

  void begin(const std::vector<ScheduledSlice>& plan) {
    Step step{plan, {}};
    for (const ScheduledSlice& slice : plan) {
      Life& life = lives_.at(slice.sequence);
      life.right = pick(0, slice.drafts);
      if (texts_) read_and_write(slice, life);
      life.computed += slice.tokens - slice.drafts;
      life.drafts = 0;
      if (slice.yields_token) ++life.length;
      const auto& blocks = scheduler_->blocks(slice.sequence);
      const int end = slice.first_position + slice.tokens;
      for (int at = slice.first_position / kBlock; at * kBlock < end; ++at)
        step.writer[blocks[static_cast<std::size_t>(at)]] = slice.sequence;
    }
    scheduler_->begin(plan);
    under_way_.push_back(std::move(step));
  }

  Word& at(const ScheduledSlice& slice, int position) {
    const auto& blocks = scheduler_->blocks(slice.sequence);
    const std::int32_t block = blocks[static_cast<std::size_t>(position / kBlock)];
    return memory_[static_cast<std::size_t>(block * kBlock + position % kBlock)];
  }

  // A word that is not known yet is told by whose it is and where.
  static Word word_of(const Life& life, int position) {
    const auto& words = life.text->words;
    const auto known = static_cast<std::size_t>(position) < words.size();
    return {life.text->whose, known ? words[static_cast<std::size_t>(position)]
                                    : next_word(life.text->words, position)};
  }

  // What the model says: the same behind the same.
  static std::int32_t next_word(const std::vector<std::int32_t>& words, int position) {
    return 20'000 + words.front() % 7 + position % 5;
  }

  void read_and_write(const ScheduledSlice& slice, const Life& life) {
    for (int position = 0; position < slice.first_position; ++position)
      ASSERT_EQ(at(slice, position), word_of(life, position)) << "position " << position;
    const int wrong_from = slice.first_position + slice.tokens - slice.drafts + life.right;
    for (int position = slice.first_position; position < slice.first_position + slice.tokens;
         ++position)
      at(slice, position) = position < wrong_from ? word_of(life, position) : Word{"nobody", -1};
  }

  // A sequence whose last token this was is over, whatever has begun since.
  void finish() {
    const Step step = std::move(under_way_.front());
    under_way_.pop_front();
    scheduler_->finish();
    for (const ScheduledSlice& slice : step.plan) {
      const auto life = lives_.find(slice.sequence);
      if (life == lives_.end() || !slice.yields_token) continue;
      if (!say(slice.sequence, life->second)) {
        if (drafts_) guess(slice.sequence, life->second);
        continue;
      }
      reused_ += scheduler_->reused(slice.sequence);
      scheduler_->remove(slice.sequence);
      lives_.erase(life);
    }
  }

  // One token, and those behind the drafts that were right. True if the last is there.
  bool say(SequenceId id, Life& life) {
    for (int right = life.right;; --right) {
      if (texts_) {
        auto& words = life.text->words;
        words.push_back(next_word(words, static_cast<int>(words.size())));
      }
      if (++life.known == life.ends_at) return true;
      if (right == 0) return false;
      scheduler_->confirm_draft(id);
      ++life.computed;
      ++life.length;
      ++confirmed_;
    }
  }

  void guess(SequenceId id, Life& life) {
    if (pick(0, 3) == 0) return;
    life.drafts = pick(0, 40);
    scheduler_->draft(id, life.drafts);
  }

  void check(const std::vector<ScheduledSlice>& plan) {
    int tokens = 0;
    std::set<SequenceId> seen;
    const bool reads = std::any_of(plan.begin(), plan.end(), [](const ScheduledSlice& slice) {
      return slice.tokens - slice.drafts > 1 || !slice.yields_token;
    });
    for (const ScheduledSlice& slice : plan) {
      Life& life = lives_.at(slice.sequence);
      tokens += slice.tokens;
      ASSERT_TRUE(slice.drafts >= 0 && slice.drafts <= life.drafts);
      ASSERT_FALSE(reads && slice.drafts > 0) << "a prompt waits for guesses";
      ASSERT_TRUE(seen.insert(slice.sequence).second);
      ASSERT_FALSE(life.paused);
      if (slice.first_position != life.computed) {
        ASSERT_EQ(slice.first_position % kBlock, 0) << "only a preempted sequence starts again";
        ASSERT_TRUE(texts_ || slice.first_position == 0);
        life.computed = slice.first_position;
      }
      const int end = slice.first_position + slice.tokens - slice.drafts;
      ASSERT_LE(end, life.length);
      ASSERT_TRUE(slice.tokens == 1 || !texts_ || end <= std::ssize(life.text->words))
          << "only the token of the step before may be unknown";
      ASSERT_EQ(slice.yields_token, end == life.length);
      const int room = static_cast<int>(scheduler_->blocks(slice.sequence).size()) * kBlock;
      ASSERT_GE(room, end + slice.drafts);
      ASSERT_LT(end + slice.drafts, life.length_max) << "one more token follows";
      check_writers(slice);
    }
    ASSERT_LE(tokens, limits_.step.tokens_max);
    ASSERT_LE(scheduler_->running(), limits_.sequences_max);
    check_blocks();
  }

  // What it is to write nobody else writes; what it only reads was written by then.
  void check_writers(const ScheduledSlice& slice) {
    const auto& blocks = scheduler_->blocks(slice.sequence);
    for (const Step& step : under_way_) {
      for (std::size_t at = 0; at < blocks.size(); ++at) {
        if (static_cast<int>(at + 1) * kBlock <= slice.first_position) continue;
        const auto writer = step.writer.find(blocks[at]);
        ASSERT_TRUE(writer == step.writer.end() || writer->second == slice.sequence);
      }
    }
  }

  void check_blocks() {
    std::set<std::int32_t> held;
    int count = 0;
    for (const auto& [id, life] : lives_) {
      for (const std::int32_t block : scheduler_->blocks(id)) {
        const bool shared = !held.insert(block).second;
        count += shared ? 0 : 1;
        ASSERT_TRUE(texts_ || !shared) << "two sequences share block " << block;
      }
    }
    ASSERT_LE(count + pool_.blocks_free(), pool_.blocks_total());
    if (under_way_.empty()) {
      ASSERT_EQ(count + pool_.blocks_free(), pool_.blocks_total());
    }
    ASSERT_EQ(scheduler_->progress().size(), lives_.size());
  }

  const bool overlap_;
  const bool texts_;
  const bool drafts_;
  std::mt19937 random_;
  BlockPool pool_;
  SchedulerLimits limits_;
  std::unique_ptr<Scheduler> scheduler_;
  std::map<SequenceId, Life> lives_;
  std::deque<Step> under_way_;
  std::vector<Word> memory_;
  SequenceId last_id_ = 0;
  int asked_ = 0;   // Prompt tokens.
  int reused_ = 0;  // Of these, found in the pool.
  int confirmed_ = 0;
};

TEST(Scheduler, KeepsItsPromisesOverRandomSchedules) {
  int reused = 0;
  for (unsigned seed = 1; seed <= 400; ++seed) {
    for (const bool overlap : {false, true}) {
      for (const bool texts : {false, true}) {
        SCOPED_TRACE("seed " + std::to_string(seed) + (overlap ? ", overlapping" : "") +
                     (texts ? ", texts" : ""));
        RandomWorld world({seed, overlap, texts});
        world.run();
        if (HasFatalFailure()) return;
        reused += world.reused();
      }
    }
  }
  EXPECT_GT(reused, 10'000) << "prompts that begin alike are to be found again";
}

TEST(Scheduler, KeepsItsPromisesWhereTokensAreGuessed) {
  int reused = 0;
  int confirmed = 0;
  for (unsigned seed = 1; seed <= 400; ++seed) {
    for (const bool texts : {false, true}) {
      SCOPED_TRACE("seed " + std::to_string(seed) + (texts ? ", texts" : ""));
      RandomWorld world({.seed = seed, .texts = texts, .drafts = true});
      world.run();
      if (HasFatalFailure()) return;
      reused += world.reused();
      confirmed += world.confirmed();
    }
  }
  EXPECT_GT(reused, 5'000);
  EXPECT_GT(confirmed, 10'000);
}

}  // namespace
}  // namespace spillway::local
