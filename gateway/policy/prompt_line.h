// The prompts of one lane in the order in which the engine reads them: those that run, then those
// that wait, then perhaps the request that is asked about. For predict.cpp; a view, it owns
// nothing.
#pragma once

#include "backends/contract/status.h"

#include <cstddef>
#include <span>

namespace spillway::policy {

class PromptLine {
 public:
  // `own_tokens`: the prompt of the request that is asked about; 0 if it stands in another lane.
  PromptLine(const EngineStatus& engine, Lane lane, int own_tokens);

  // All are read.
  bool done() const { return head_ == size(); }

  // The first that is not read to its end; Requires: !done().
  SequenceStatus head() const { return at(head_); }
  int head_left() const { return at(head_).prefill_left - head_done_; }
  bool head_is_admitted() const { return head_ < admitted_; }
  bool head_is_own() const { return has_own_ && head_ + 1 == size(); }

  void read(int tokens) { head_done_ += tokens; }
  void pass_head();

  // Those who have no place in the batch yet.
  bool all_admitted() const { return admitted_ == size(); }
  SequenceStatus next_to_admit() const { return at(admitted_); }  // Requires: !all_admitted().
  bool next_is_own() const { return has_own_ && admitted_ + 1 == size(); }
  bool none_admitted_yet() const { return admitted_ == running_.size(); }
  void admit() { ++admitted_; }

  // What is in the way of the line's last: prompt tokens not read, and tokens that those without a
  // place will generate, at most `typical` each (0: as many as they may).
  struct Backlog {
    double prompt_tokens = 0.0;
    double answer_tokens = 0.0;
  };
  Backlog backlog(double typical) const;

 private:
  std::size_t size() const { return running_.size() + waiting_.size() + (has_own_ ? 1 : 0); }
  SequenceStatus at(std::size_t index) const;
  void skip_decoding();

  std::span<const SequenceStatus> running_;
  std::span<const SequenceStatus> waiting_;
  SequenceStatus own_;
  bool has_own_ = false;
  std::size_t head_ = 0;
  int head_done_ = 0;  // Tokens of the head that are read since.
  std::size_t admitted_ = 0;
};

}  // namespace spillway::policy
