// How long answers have been of late: what the policy expects of an answer whose length nobody
// knows yet. Not thread-safe.
#pragma once

namespace spillway::policy {

class AnswerLength {
 public:
  // A whole answer of so many completion tokens.
  void observe(int completion_tokens);

  // Exponentially weighted mean over about 50 answers; 0 before the first.
  double typical() const { return typical_; }

 private:
  double typical_ = 0.0;
  int seen_ = 0;
};

}  // namespace spillway::policy
