#include "backends/local/grammar/trial.h"

#include <chrono>
#include <ctime>
#include <random>

namespace spillway::local::grammar {
namespace {

constexpr int kAnswers = 4;
constexpr int kTokens = 48;
constexpr std::chrono::milliseconds kTokenMax(20);

// Of this thread alone, so that a busy machine makes no form slow.
std::chrono::nanoseconds time_taken() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

std::vector<std::int32_t> ids_of(Mask mask) {
  std::vector<std::int32_t> ids;
  for (std::size_t word = 0; word < mask.size(); ++word) {
    for (int bit = 0; bit < 32; ++bit) {
      if ((mask[word] >> bit & 1) != 0) ids.push_back(static_cast<std::int32_t>(word * 32) + bit);
    }
  }
  return ids;
}

// False: a token took too long.
bool draw(Matcher& matcher, const std::vector<std::int32_t>& end_ids, std::mt19937& random) {
  for (int tokens = 0; tokens < kTokens; ++tokens) {
    const auto began = time_taken();
    std::vector<std::int32_t> ids = ids_of(matcher.allowed());
    std::erase_if(ids, [&](std::int32_t id) {
      return std::find(end_ids.begin(), end_ids.end(), id) != end_ids.end();
    });
    if (ids.empty()) return true;
    if (!matcher.accept(ids[random() % ids.size()])) return true;
    if (time_taken() - began > kTokenMax) return false;
  }
  return true;
}

}  // namespace

bool is_quick(const Grammar& grammar, const std::vector<std::int32_t>& end_ids) {
  std::mt19937 random;
  for (int i = 0; i < kAnswers; ++i) {
    if (!draw(*grammar.match(), end_ids, random)) return false;
  }
  return true;
}

}  // namespace spillway::local::grammar
