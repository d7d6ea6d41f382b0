#include "backends/local/grammar/trial.h"

#include "backends/local/grammar/work_limit.h"

#include <chrono>
#include <random>

namespace spillway::local::grammar {
namespace {

constexpr int kAnswers = 4;
constexpr int kTokens = 48;
constexpr std::chrono::milliseconds kTokenMax(20);

std::vector<std::int32_t> ids_of(Mask mask) {
  std::vector<std::int32_t> ids;
  for (std::size_t word = 0; word < mask.size(); ++word) {
    for (int bit = 0; bit < 32; ++bit) {
      if ((mask[word] >> bit & 1) != 0) ids.push_back(static_cast<std::int32_t>(word * 32) + bit);
    }
  }
  return ids;
}

void draw(Matcher& matcher, const std::vector<std::int32_t>& end_ids, std::mt19937& random) {
  for (int tokens = 0; tokens < kTokens; ++tokens) {
    const WorkLimit limit(kTokenMax);
    std::vector<std::int32_t> ids = ids_of(matcher.allowed());
    std::erase_if(ids, [&](std::int32_t id) {
      return std::find(end_ids.begin(), end_ids.end(), id) != end_ids.end();
    });
    if (ids.empty() || !matcher.accept(ids[random() % ids.size()])) return;
  }
}

}  // namespace

bool is_quick(const Grammar& grammar, const std::vector<std::int32_t>& end_ids) try {
  std::mt19937 random;
  for (int i = 0; i < kAnswers; ++i) draw(*grammar.match(), end_ids, random);
  return true;
} catch (const TooMuchWork&) {
  return false;
}

}  // namespace spillway::local::grammar
