// How long answers have been of late: what the policy expects of an answer whose length nobody
// knows yet, by class and by the size of its prompt. Fixed size, a plain value. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <limits>
#include <string_view>

namespace spillway::policy {

// How many tokens an answer that has come so far will still get, by how often answers of late ended
// at each length. Lengths have long tails, so the longer it has been, the longer it goes on.
class Remaining {
 public:
  static constexpr std::size_t kSizes =
      18;  // Answers of 2^i … 2^(i+1) − 1 tokens; longer: the last.

  // Nothing is known.
  Remaining() = default;

  // `hazard`: how often an answer that has come so far ends with its next token, by its size; > 0.
  explicit Remaining(const std::array<float, kSizes>& hazard);

  // The quantile at share 1 − e^−exposure: 0.69 is the median. Infinite if nothing is known.
  // Requires: exposure > 0.
  double tokens(int generated, double exposure) const;

 private:
  struct Size {
    double passed = 0.0;  // Exposure of an answer that has come to its first token.
    double hazard = 0.0;
    double begins = 0.0;  // Tokens.
    double tokens_per_exposure = std::numeric_limits<double>::infinity();
  };

  std::array<Size, kSizes> sizes_{};
};

// What a class is told apart by, whatever place it has in a policy.
std::size_t key_of_class(std::string_view name);

class AnswerLength {
 public:
  // A whole answer of so many completion tokens; `cut` if its limit ended it, so that all it tells
  // is that it was not shorter. `request_class` is its class's key.
  void observe(std::size_t request_class, int prompt_tokens, int completion_tokens,
               bool cut = false);

  // Exponentially weighted mean over about 50 answers of any kind; 0 before the first.
  double typical() const { return all_.mean; }

  // The same of answers like this one; where there were too few, of all. 0 before the first.
  double expected(std::size_t request_class, int prompt_tokens) const;

  // Piecewise exponential: ends ÷ tokens seen, size by size (occurrence over exposure), with a few
  // imaginary answers of a chat's usual lengths that count until there are real ones.
  Remaining remaining() const;

 private:
  static constexpr std::size_t kClasses = 16;  // More share the last row.
  static constexpr std::size_t kSizes =
      16;  // Prompts of 2^i … 2^(i+1) − 1 tokens; longer: the last.

  struct Mean {
    float mean = 0.0F;
    int seen = 0;
    void add(int value);
  };

  std::size_t row_of(std::size_t request_class) const;  // known_: none yet.

  Mean all_;
  // By size, with exponential decay: how many ended there by themselves, and how many passed
  // through it, those that ended in it by the part they reached.
  std::array<float, Remaining::kSizes> ends_{};
  std::array<float, Remaining::kSizes> passed_{};
  std::array<std::size_t, kClasses> classes_{};  // Those seen, in the order of their rows.
  std::size_t known_ = 0;                        // So many of them.
  std::array<Mean, kClasses * kSizes> cells_{};
};

}  // namespace spillway::policy
