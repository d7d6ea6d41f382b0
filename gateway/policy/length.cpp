#include "gateway/policy/length.h"

#include <algorithm>

namespace spillway::policy {

void AnswerLength::observe(int completion_tokens) {
  constexpr int kMemory = 50;
  seen_ = std::min(seen_ + 1, kMemory);
  typical_ += (completion_tokens - typical_) / seen_;
}

}  // namespace spillway::policy
