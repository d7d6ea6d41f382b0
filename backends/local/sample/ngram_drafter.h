// Guesses how a text goes on: as it went on where its last tokens stood before.
//
// One object a sequence, used by the engine thread. It looks at each token that is added, whether
// anything is made of its guess or not, and so knows how often a guess is right, for each number of
// tokens that were found again: nothing is wasted to learn it. Pure; a look takes one pass over the
// text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace spillway::local {

struct DraftLimits {
  int drafts = 0;   // Tokens that are guessed at once; 0: none.
  int longest = 4;  // Tokens that are looked for at most.
};

class NgramDrafter {
 public:
  explicit NgramDrafter(DraftLimits limits);

  // The text has one more token, or is new. Requires: a token at least.
  void look(std::span<const std::int32_t> text);

  // How many drafts are worth it: each is more likely to be right than `cost`, the part of a
  // token's time that it takes.
  int worth(double cost) const;

  // Where in the text the guess begins; behind the text's end it goes on with itself. Requires:
  // worth() was above 0.
  std::size_t begin() const { return next_; }

 private:
  // Of guesses with the same number of tokens found; what is long past counts less.
  struct Record {
    double right = 0.0;
    double looked = 1.0;  // The first guess of a kind is not made.

    void add(bool is_right);
  };

  void find(std::span<const std::int32_t> text);
  Record& record() { return records_[static_cast<std::size_t>(found_) - 1]; }

  const DraftLimits limits_;
  std::vector<Record> records_;
  int found_ = 0;  // Tokens at the end of the text that stand in it before: the most of them, last.
  std::size_t next_ = 0;  // Behind these.
};

}  // namespace spillway::local
