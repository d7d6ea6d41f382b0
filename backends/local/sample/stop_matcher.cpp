#include "backends/local/sample/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace spillway::local {

StopMatcher::StopMatcher(const std::vector<std::string>& stops, bool keeps_stop)
    : keeps_stop_(keeps_stop) {
  for (const std::string& stop : stops) {
    if (!stop.empty()) patterns_.push_back(compile(stop));
  }
}

std::string StopMatcher::push(std::string_view text) {
  if (matched()) return {};
  if (patterns_.empty()) return std::string(text);
  for (const char byte : text) {
    held_.push_back(byte);
    for (Pattern& pattern : patterns_) {
      advance(pattern, byte);
      if (pattern.state < pattern.text.size()) continue;
      stopped_by_ = pattern.text;
      if (!keeps_stop_) held_.resize(held_.size() - pattern.text.size());
      return std::exchange(held_, {});
    }
  }
  std::size_t keep = 0;
  for (const Pattern& pattern : patterns_) keep = std::max(keep, pattern.state);
  std::string shown = held_.substr(0, held_.size() - keep);
  held_.erase(0, shown.size());
  return shown;
}

std::string StopMatcher::finish() { return std::exchange(held_, {}); }

StopMatcher::Pattern StopMatcher::compile(const std::string& text) {
  Pattern pattern{text, std::vector<std::size_t>(text.size() + 1, 0), 0};
  std::size_t border = 0;
  for (std::size_t n = 1; n < text.size(); ++n) {
    while (border > 0 && text[n] != text[border]) border = pattern.fallback[border];
    if (text[n] == text[border]) ++border;
    pattern.fallback[n + 1] = border;
  }
  return pattern;
}

void StopMatcher::advance(Pattern& pattern, char byte) {
  while (pattern.state > 0 && pattern.text[pattern.state] != byte) {
    pattern.state = pattern.fallback[pattern.state];
  }
  if (pattern.text[pattern.state] == byte) ++pattern.state;
}

}  // namespace spillway::local
