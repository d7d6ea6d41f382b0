// What a row of logits says of one token and of those that are likeliest in its place. As kernels.h
// in all that it says of functions and pointers.
#pragma once

#include "backends/local/kernels/kernels.h"

namespace spillway::kernels {

inline constexpr int kLikeliestMax = 20;

struct TokenScore {
  std::int32_t token;
  float logprob;  // Natural log of softmax(logits)[token].
  int rank;       // From 1, in the order below.
};

// scores[r]: the token `given`, or if that is negative the one that was drawn, then the `wanted`
// tokens with the largest logits, the largest first and the lower id first among equals; what is
// behind them stays as it is, and so do rows that want a negative number. `scores` may be pinned
// host memory. Requires: vocabulary % 4 == 0; wanted ≤ kLikeliestMax and ≤ vocabulary; logits
// 16-byte aligned, no NaN.
struct ScoreRows {
  TokenScore* scores;          // [rows, 1 + kLikeliestMax]
  const float* logits;         // [rows, vocabulary]
  const std::int32_t* wanted;  // [rows]
  const std::int32_t* given;   // [rows]
  const std::int32_t* drawn;   // [rows]
  int rows;
  int vocabulary;
};
extern "C" int spillway_score_rows(const ScoreRows* args, Stream stream);

}  // namespace spillway::kernels
