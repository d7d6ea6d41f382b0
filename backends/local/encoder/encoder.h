// What computes the vectors of texts; model/load_encoder.h makes one on LibTorch.
//
// One thread at a time. An encoder is no decoder: it keeps nothing between two calls, and a batch
// is done in one pass.
#pragma once

#include "backends/contract/error.h"

#include <cstdint>
#include <span>
#include <vector>

namespace spillway::local {

using TokenIds = std::vector<std::int32_t>;
using Embedding = std::vector<float>;

class Encoder {
 public:
  virtual ~Encoder() = default;

  // One for each input, whatever it stands beside. Requires: each has from one to as many tokens as
  // the model takes, all of its vocabulary.
  virtual Result<std::vector<Embedding>> embed(std::span<const TokenIds> inputs) = 0;
};

}  // namespace spillway::local
