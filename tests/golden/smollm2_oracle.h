// The quickstart's model, what transformers says of it in fp32 (smollm2_greedy.txt), and how often
// an executor agrees.
//
// The file is $SPILLWAY_TEST_MODEL, else models/SmolLM2-135M-Instruct.Q4_1.gguf in the project:
// quickstart and tests/run.sh put it there.
#pragma once

#include "backends/local/engine/executor.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

namespace spillway::local {

struct Case {
  std::string user;
  std::vector<std::int32_t> prompt;
  std::vector<std::int32_t> answer;
};

inline std::string model_path() {
  const char* given = std::getenv("SPILLWAY_TEST_MODEL");
  return given != nullptr ? given : SPILLWAY_SOURCE_DIR "/models/SmolLM2-135M-Instruct.Q4_1.gguf";
}

inline std::vector<std::int32_t> ids_in(std::istream& line) {
  return {std::istream_iterator<std::int32_t>(line), {}};
}

inline std::vector<Case> oracle() {
  std::ifstream file(SPILLWAY_SOURCE_DIR "/tests/golden/smollm2_greedy.txt");
  std::vector<Case> cases;
  for (std::string text; std::getline(file, text);) {
    std::istringstream line(text);
    std::string kind;
    line >> kind;
    if (kind == "user") cases.push_back({text.substr(kind.size() + 1), {}, {}});
    if (kind == "prompt") cases.back().prompt = ids_in(line);
    if (kind == "answer") cases.back().answer = ids_in(line);
  }
  return cases;
}

inline std::int32_t argmax(std::span<const float> row) {
  return static_cast<std::int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

struct Agreement {
  double share = 0.0;      // Of the oracle's tokens that come first here, after its own words.
  float shortfall = 0.0f;  // By how much another token's logit is ahead of the oracle's, at most.
};

// One sequence at a time: the prompt in one piece, the answer token by token, as it is served.
// Requires: memory for the longest of them.
inline Result<Agreement> agreement(Executor& executor, const std::vector<Case>& cases) {
  const auto vocabulary = static_cast<std::size_t>(executor.shape().vocabulary);
  std::vector<std::int32_t> blocks(static_cast<std::size_t>(executor.shape().kv_blocks));
  std::iota(blocks.begin(), blocks.end(), 0);
  Agreement found;
  int same = 0;
  int all = 0;
  for (const Case& one : cases) {
    std::vector<std::int32_t> tokens = one.prompt;
    tokens.insert(tokens.end(), one.answer.begin(), one.answer.end() - 1);
    const auto used = std::span(blocks).first((tokens.size() + kBlockTokens - 1) / kBlockTokens);
    const Slice prompt{0, std::span(tokens).first(one.prompt.size()), 0, used, 1, nullptr};
    for (std::size_t i = 0; i < one.answer.size(); ++i) {
      const std::size_t at = one.prompt.size() + i - 1;
      const Slice word{0, std::span(tokens).subspan(at, 1), static_cast<int>(at), used, 1, nullptr};
      const auto result = executor.run({i == 0 ? &prompt : &word, 1});
      if (!result) return result.error();
      const auto row = result->logits.first(vocabulary);
      const auto expected = static_cast<std::size_t>(one.answer[i]);
      const auto best = static_cast<std::size_t>(argmax(row));
      same += best == expected ? 1 : 0;
      found.shortfall = std::max(found.shortfall, row[best] - row[expected]);
      ++all;
    }
  }
  found.share = static_cast<double>(same) / all;
  return found;
}

}  // namespace spillway::local
