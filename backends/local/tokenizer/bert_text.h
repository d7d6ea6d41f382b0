// Text as BERT's models read it: `tokenizers`' BertNormalizer, then its BertPreTokenizer.
//
// A plain value; any thread.
#pragma once

#include <string>
#include <string_view>

namespace spillway::tokenizer {

struct BertText {
  bool cleans = true;  // Controls are dropped, what is blank becomes a space.
  bool spaces_chinese = true;
  bool strips_accents = true;
  bool lowercases = true;

  // Words and marks of punctuation with one space between them. Bytes that are not UTF-8 stay.
  std::string words_of(std::string_view text) const;
};

}  // namespace spillway::tokenizer
