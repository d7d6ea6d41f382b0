// Cuts an answer at the first stop string, and never lets out a part of one before it is sure.
//
// One object a sequence, used by one thread. Text goes in as it is decoded and comes out as soon as
// it cannot be the beginning of a stop string any more; how it was cut into pieces makes no
// difference.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace spillway::local {

class StopMatcher {
 public:
  // Empty stop strings are ignored. `keeps_stop`: the answer ends behind the stop string, not
  // before it.
  explicit StopMatcher(const std::vector<std::string>& stops, bool keeps_stop = false);

  // The text that may be shown now. Once matched() the rest is swallowed.
  std::string push(std::string_view text);

  // What is still held back when the answer ends otherwise.
  std::string finish();

  bool matched() const { return !stopped_by_.empty(); }
  const std::string& stopped_by() const { return stopped_by_; }  // The stop string; empty: none.

 private:
  // Knuth-Morris-Pratt: `fallback[n]` is the longest proper border of the first n bytes.
  struct Pattern {
    std::string text;
    std::vector<std::size_t> fallback;
    std::size_t state = 0;  // So many bytes of `text` end what was pushed so far.
  };

  static Pattern compile(const std::string& text);
  static void advance(Pattern& pattern, char byte);

  std::vector<Pattern> patterns_;
  const bool keeps_stop_;
  std::string held_;
  std::string stopped_by_;
};

}  // namespace spillway::local
