// The calendar of those who decode, against a plain list of them.
#include "gateway/policy/endings.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <map>
#include <memory_resource>
#include <random>

namespace spillway::policy {
namespace {

// As Endings, the slow way.
class PlainEndings {
 public:
  void add(std::int64_t after_step, std::int32_t context) { all_.emplace(after_step, context); }
  std::int64_t next() const { return all_.empty() ? Endings::kNever : all_.begin()->first; }

  Endings::Day end(std::int64_t step) {
    Endings::Day gone;
    while (!all_.empty() && all_.begin()->first <= step) {
      const std::int32_t context = all_.begin()->second;
      gone = {gone.sequences + 1, gone.context_tokens + context, gone.blocks + (context + 15) / 16};
      all_.erase(all_.begin());
    }
    return gone;
  }

 private:
  std::multimap<std::int64_t, std::int32_t> all_;
};

void expect_same(const Endings::Day& a, const Endings::Day& b) {
  EXPECT_EQ(a.sequences, b.sequences);
  EXPECT_EQ(a.context_tokens, b.context_tokens);
  EXPECT_EQ(a.blocks, b.blocks);
}

TEST(Endings, NobodyNeverEnds) {
  Endings endings(8, std::pmr::get_default_resource());
  EXPECT_TRUE(endings.empty());
  EXPECT_EQ(endings.next(), Endings::kNever);
  EXPECT_EQ(endings.end(1'000'000).sequences, 0);
}

TEST(Endings, ThoseOfOneStepEndTogether) {
  Endings endings(8, std::pmr::get_default_resource());
  endings.add(5, 16);
  endings.add(5, 17);
  endings.add(6, 100);
  EXPECT_EQ(endings.next(), 5);
  EXPECT_EQ(endings.end(4).sequences, 0);
  const Endings::Day gone = endings.end(5);
  EXPECT_EQ(gone.sequences, 2);
  EXPECT_EQ(gone.context_tokens, 33);
  EXPECT_EQ(gone.blocks, 3);
  EXPECT_EQ(endings.next(), 6);
}

TEST(Endings, WhoEndsLongAfterTheDaysMayStillBeOvertaken) {
  Endings endings(8, std::pmr::get_default_resource());
  endings.add(10, 1);
  endings.add(100'000, 2);
  endings.add(100'300, 3);
  EXPECT_EQ(endings.end(10).context_tokens, 1);
  EXPECT_EQ(endings.next(), 100'000);
  endings.add(5'000, 4);
  EXPECT_EQ(endings.next(), 5'000);
  EXPECT_EQ(endings.end(5'000).context_tokens, 4);
  EXPECT_EQ(endings.end(100'000).context_tokens, 2);
  EXPECT_EQ(endings.end(100'300).context_tokens, 3);
  EXPECT_TRUE(endings.empty());
}

TEST(Endings, AreThoseOfAPlainList) {
  for (unsigned seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::lognormal_distribution<double> length(5.0, 1.5);
    Endings endings(4, std::pmr::get_default_resource());
    PlainEndings plain;
    std::int64_t step = 0;
    for (int i = 0; i < 2'000; ++i) {
      if (random() % 2 == 0) {
        const auto after = step + static_cast<std::int64_t>(length(random));
        const auto context = static_cast<std::int32_t>(random() % 5'000);
        endings.add(after, context);
        plain.add(after, context);
      } else {
        step = endings.empty() || random() % 4 == 0 ? step + random() % 100 : endings.next();
        expect_same(endings.end(step), plain.end(step));
      }
      ASSERT_EQ(endings.next(), plain.next());
    }
  }
}

TEST(Endings, AsManyAsExpectedAllocateOnce) {
  alignas(std::max_align_t) std::array<std::byte, 64 * 16> memory;
  std::pmr::monotonic_buffer_resource pool(memory.data(), memory.size(),
                                           std::pmr::null_memory_resource());
  Endings endings(64, &pool);
  for (int i = 0; i < 64; ++i) endings.add(1'000 * i, i);
  EXPECT_EQ(endings.end(64'000).sequences, 64);
}

}  // namespace
}  // namespace spillway::policy
