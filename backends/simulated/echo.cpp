#include "backends/simulated/echo.h"

#include <algorithm>

namespace spillway::simulated {

namespace {

constexpr std::size_t kWordsMax = 64;
constexpr std::size_t kWordBytesMax = 24;
constexpr std::string_view kSpace = " \t\r\n";

}  // namespace

int count_tokens(std::string_view text) { return static_cast<int>((text.size() + 3) / 4); }

Echo::Echo(std::string_view prompt) {
  std::size_t at = prompt.find_first_not_of(kSpace);
  while (at != prompt.npos && words_.size() < kWordsMax) {
    const std::size_t end = std::min(prompt.find_first_of(kSpace, at), prompt.size());
    if (end - at <= kWordBytesMax) words_.emplace_back(prompt.substr(at, end - at));
    at = prompt.find_first_not_of(kSpace, end);
  }
  if (words_.empty()) words_.emplace_back("word");
}

std::string Echo::token(std::size_t index) const {
  const std::string& word = words_[index % words_.size()];
  return index == 0 ? word : ' ' + word;
}

std::string Echo::text(std::size_t count, std::size_t first) const {
  std::string text;
  for (std::size_t index = first; index < first + count; ++index) text += token(index);
  return text;
}

std::size_t Echo::tokens_in(std::string_view text) const {
  std::size_t count = 0;
  for (std::string_view rest = text; !rest.empty(); ++count) {
    const std::string next = token(count);
    if (!rest.starts_with(next)) return 1 + std::count(text.begin(), text.end(), ' ');
    rest.remove_prefix(next.size());
  }
  return count;
}

}  // namespace spillway::simulated
