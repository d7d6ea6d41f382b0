// Logprobs in OpenAI's words, of a chat, and of a completion, where they are lists side by side;
// and those of a prompt in vLLM's.
//
// One object a piece of an answer, used by one thread.
#pragma once

#include "backends/contract/need.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace spillway::local::answer {

// A token by the bytes that it is written with.
struct Spelling {
  std::string bytes;
  bool is_text = true;  // They are UTF-8.
};

struct LikelySpelling {
  Spelling token;
  float logprob = 0.0f;
};

struct ScoredSpelling {
  Spelling token;
  std::optional<float> logprob = {};  // Nothing: nothing was expected there.
  std::vector<LikelySpelling> likeliest = {};
  std::size_t offset = 0;  // In characters, of its text.
};

class LogprobWords {
 public:
  // Of a chat, or else of a completion.
  explicit LogprobWords(Endpoint endpoint);
  ~LogprobWords();

  void add(const ScoredSpelling& token);

  // Of Delta::logprobs: empty if nothing was added.
  std::string text() const;

 private:
  struct Words;

  const std::unique_ptr<Words> words_;
};

// What was likely in a place of the prompt, the token that stands there among it.
struct RankedSpelling {
  std::int32_t token = 0;
  std::string bytes;
  float logprob = 0.0f;
  int rank = 0;
};

// `"prompt_logprobs":[…]`, one of `places` each; null where nothing was expected.
std::string prompt_logprobs_member(const std::vector<std::vector<RankedSpelling>>& places);

}  // namespace spillway::local::answer
