// What the targets gave of one answer, each its part, and what that comes to. There are several
// parts where a stream broke and another target went on with it.
//
// Targets are believed in what they bill, within reason; what the client got is counted here. Pure
// values of the request's coroutine.
#pragma once

#include "backends/contract/chat.h"
#include "gateway/policy/density.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace spillway {

inline constexpr std::size_t kBytesPerTokenMost = 32;  // No text has more, on average.

// The prompt, which a choice says before its answer: what is yet to come of it.
struct Echo {
  std::size_t bytes = 0;
  bool is_of_tokens = false;  // How many bytes these have is not known: so many, at most.
};

struct Part {
  std::string target;
  std::string model;        // The target's own name for it.
  bool local = false;       // Of the local engine,
  bool here = false;        // …or of an encoder: served on this machine. Known with its cost.
  Usage usage;              // As the target bills it.
  bool usage_told = false;  // By the target; else it is counted as it passes.
  bool finished = false;    // It said how its answer ended,
  int unended = 0;          // …and of so many of its choices it has not.
  std::size_t bytes = 0;    // Of text, reasoning, calls; sound as if it were text.
  int pieces = 0;           // Deltas with text,
  int letters = 0;          // …those of one ASCII letter each,
  int words = 0;            // …and the runs of these, of which each may be a word.
  std::optional<int> spelling = {};                 // The choice that the last letter was of.
  std::optional<int> tokens_max = {};               // That it was told, of all choices together.
  std::vector<Echo> echoes = {};                    // Each choice's, where it has one.
  double bytes_per_token = policy::kBytesPerToken;  // Of the target's answers of late.
  int completion_told = 0;                          // Tokens of the answer as it told them last,
  std::size_t bytes_told = 0;                       // …and what of bytes and pieces was there then.
  int pieces_told = 0, letters_told = 0, words_told = 0;
  int tokens = 0;                          // Of pieces that say how many they are.
  std::chrono::nanoseconds engine_time{};  // Of the local engine.
  int searches = 0;                        // That were seen to begin, and not to fail;
  int searches_told = 0;                   // …and as the target told them.
  std::size_t begun_bytes = 0;             // Of an answer that it read, to go on with it.
  int repeated_tokens = 0;                 // What it said again that the client had already.
  int supposed_tokens = 0;  // Of `usage`, what nobody counted: a hard budget reckons with the most.
  bool broken = false;      // It ended before its time.
  bool lost = false;        // The client got nothing of it.
  bool unanswered = false;  // Not even a first word came.
  bool beside = false;      // …because another, asked beside it, was quicker.
  bool cut = false;         // Here: it went on past what a hard budget allows.
  bool charged_otherwise = false;  // It says that it asks something else than its price.
  // Settled by what passed, not by what it told; or by a price that is not its own.
  bool estimated = false;
  std::int64_t cost_nano_usd = 0;
};

// Its target is asked that: what it is told to keep to, and what of it is no answer.
void begin(const ChatRequest& asked, Part& part);

// What the target says it bills. A count of tokens that no model could give is not believed, nor
// that there were none.
void bill(const Usage& usage, Part& part);

// A piece passes.
void count(const Delta& delta, Part& part);

// Exact where the target counts them. Else a piece is a token; letters that come one by one may be
// words, whose bytes tell.
int tokens_passed(const Part& part);

// What surely passed: as many as it told, a token a piece, or, of pieces that are longer than any
// token and of words that come letter by letter, the fewest that their bytes can be. Who is past
// its limit by this has not kept to it.
int tokens_at_least(const Part& part);

// Its target counted all that has passed, once the answer had begun.
bool is_told_so_far(const Part& part);

// What is booked of it if it is cut now.
int tokens_if_cut(const Part& part);

// The part has ended, or broken: what the target did not tell, or what came after it told for the
// last time, is booked by what passed, a token a piece (but of words letter by letter) or by its
// bytes, whichever is more, and by no more than its limit, if it may have kept to it; what was cut
// here by that by which it was cut.
void settle(Part& part);

// Its answer came whole, and the target told its tokens, of which the client saw each: so many
// bytes are one.
bool tells_density(const Part& part);

// What the client got of it, once it is settled.
int delivered_tokens(const Part& part);

// What all of them are known to have read and written, once all are settled.
int tokens_of(const std::vector<Part>& parts);

// What the client got, once all are settled.
Usage answer_of(const std::vector<Part>& parts);

}  // namespace spillway
