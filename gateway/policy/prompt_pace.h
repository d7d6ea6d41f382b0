// How long a server's first tokens of late took, by the length of the prompt, and so from when on
// one is overdue: long prompts take longer to read. A plain value. Not thread-safe.
#pragma once

#include "backends/contract/deadline.h"
#include "gateway/policy/punctuality.h"
#include "gateway/policy/quantiles.h"

#include <array>

namespace spillway::policy {

class PromptPace {
 public:
  // A first token came `seconds` after the request was sent.
  void first_token(int prompt_tokens, double seconds, TimePoint now);

  // 99 of 100 first tokens behind such a prompt came within so many seconds. Of a size of which too
  // little is known: twice what the next smaller one takes, the smallest `p99` as all take it.
  double overdue_after(int prompt_tokens, double p99) const;

 private:
  struct Size {
    Quantiles took;
    int seen = 0;
  };

  std::array<Size, InTime::kSizes> sizes_;
};

}  // namespace spillway::policy
