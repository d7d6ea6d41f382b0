// How long answers have been of late: what the policy expects of an answer whose length nobody
// knows yet, by class and by the size of its prompt. Fixed size, a plain value. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>

namespace spillway::policy {

// How many tokens an answer that has come so far will still get: the mean over those of late that
// were longer. Lengths have long tails, so the longer it has been, the longer it goes on.
class Remaining {
 public:
  static constexpr std::size_t kSizes =
      18;  // Answers of 2^i … 2^(i+1) − 1 tokens; longer: the last.

  // 0 while too little is known.
  double tokens(int generated) const;

  std::array<float, kSizes> mean{};  // Beyond 2^i tokens; 0: unknown.
};

class AnswerLength {
 public:
  // A whole answer of so many completion tokens. `request_class` is its class's place in
  // Policy::classes.
  void observe(std::size_t request_class, int prompt_tokens, int completion_tokens);

  // Exponentially weighted mean over about 50 answers of any kind; 0 before the first.
  double typical() const { return all_.mean; }

  // The same of answers like this one; where there were too few, of all. 0 before the first.
  double expected(std::size_t request_class, int prompt_tokens) const;

  Remaining remaining() const;

 private:
  static constexpr std::size_t kClasses = 8;  // More share the last row.
  static constexpr std::size_t kSizes =
      16;  // Prompts of 2^i … 2^(i+1) − 1 tokens; longer: the last.

  struct Mean {
    float mean = 0.0F;
    int seen = 0;
    void add(int value);
  };

  static std::size_t cell_of(std::size_t request_class, int prompt_tokens);

  Mean all_;
  std::array<float, Remaining::kSizes> sizes_{};  // How many of each, with exponential decay.
  std::array<Mean, kClasses * kSizes> cells_{};
};

}  // namespace spillway::policy
