// The special tokens that a model was trained to see around each text: [CLS] … [SEP].
#pragma once

#include "backends/local/tokenizer/tokenizer.h"

#include <vector>

namespace spillway::tokenizer {

struct Frame {
  std::vector<TokenId> before;
  std::vector<TokenId> after;
};

}  // namespace spillway::tokenizer
