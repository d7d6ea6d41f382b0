// How long answers have been of late: what the policy expects of an answer whose length nobody
// knows yet, by who asks which model, by class and by the size of the prompt. Bounded, a plain
// value that is quickly copied. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
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

struct AnswerKind {
  std::size_t request_class = 0;  // Its class's key.
  int prompt_tokens = 0;          // As the gateway counts them.
  std::string_view key{};         // The name of the key,
  std::string_view model{};       // …and of the model, as it is asked for.
};

class AnswerLength {
 public:
  // A whole answer of so many completion tokens; `cut` if its limit ended it, so that all it tells
  // is that it was not shorter.
  void observe(const AnswerKind& kind, int completion_tokens, bool cut = false);

  // Exponentially weighted mean over about 50 answers of any kind; 0 before the first.
  double typical() const { return all_.mean; }

  // The same of answers of this kind; where there were too few, of all of its class and size; of
  // all. 0 before the first.
  double expected(const AnswerKind& kind) const;

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

  // The latest kinds, each with the hash of what it is told apart by; the least recently seen of
  // its row makes room for a new one.
  class Kinds {
   public:
    const Mean* find(std::uint64_t hash) const;
    void add(std::uint64_t hash, int value);

   private:
    static constexpr std::size_t kRows = 128;
    static constexpr std::size_t kPlaces = 4;
    struct Place {
      std::uint32_t tag = 0;  // 0: empty.
      std::uint32_t last = 0;
      Mean mean;
    };
    static std::uint32_t tag_of(std::uint64_t hash);

    std::array<std::array<Place, kPlaces>, kRows> rows_{};
    std::uint32_t count_ = 0;
  };

  std::size_t row_of(std::size_t request_class) const;  // known_: none yet.
  std::size_t cell_of(const AnswerKind& kind) const;
  static std::uint64_t hash_of(const AnswerKind& kind);

  Mean all_;
  // By size, with exponential decay: how many ended there by themselves, and how many passed
  // through it, those that ended in it by the part they reached.
  std::array<float, Remaining::kSizes> ends_{};
  std::array<float, Remaining::kSizes> passed_{};
  std::array<std::size_t, kClasses> classes_{};  // Those seen, in the order of their rows.
  std::size_t known_ = 0;                        // So many of them.
  std::array<Mean, kClasses * kSizes> cells_{};
  std::shared_ptr<const Kinds> kinds_;  // Shared with copies: never changed. Null: none yet.
};

}  // namespace spillway::policy
