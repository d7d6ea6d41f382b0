// Token ids back to text, one at a time, never cutting a character in two.
//
// One object a stream, used by one thread at a time; cheap to make and copy. Refers to its
// Tokenizer, which must outlive it. The pieces that push() returned, joined and followed by
// finish(), are the decoding of all tokens so far, and every piece is valid UTF-8.
#pragma once

#include "backends/local/tokenizer/tokenizer.h"

#include <span>
#include <string>
#include <string_view>

namespace spillway::tokenizer {

enum class SpecialTokens { skip, show };

class Detokenizer {
 public:
  // `shown`, sorted, are shown however special they are; they must outlive it, too.
  explicit Detokenizer(const Tokenizer& tokenizer, SpecialTokens special = SpecialTokens::skip,
                       std::span<const TokenId> shown = {})
      : tokenizer_(&tokenizer),
        special_(special),
        shown_(shown),
        at_start_(tokenizer.dropped_spaces() != DroppedSpaces::none) {}

  // The text that this token completes; empty while a character is unfinished. Bytes that can no
  // longer become a character turn into U+FFFD, as Rust's and Python's lossy decoding do it. An id
  // outside the vocabulary adds nothing.
  std::string push(TokenId id);

  // What is still held back, as U+FFFD; empty if nothing is. The object is then as new.
  std::string finish();

  // True while bytes of an unfinished character are held back.
  bool holds_back() const { return !pending_.empty(); }

 private:
  bool is_hidden(TokenId id) const;
  std::string without_dropped_spaces(std::string_view first) const;

  const Tokenizer* tokenizer_;
  SpecialTokens special_;
  std::span<const TokenId> shown_;
  bool at_start_;        // Of an answer whose first space is not shown.
  std::string pending_;  // At most three bytes: the start of a character.
};

}  // namespace spillway::tokenizer
