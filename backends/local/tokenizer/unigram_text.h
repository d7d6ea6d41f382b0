// Text as the models of SentencePiece's Unigram kind read it: the `tokenizers` library's
// normalizers, then its WhitespaceSplit and its Metaspace.
//
// A plain value; any thread.
#pragma once

#include "backends/local/tokenizer/normalizer.h"
#include "backends/local/tokenizer/spelling.h"

#include <string>
#include <string_view>
#include <vector>

namespace spillway::tokenizer {

struct UnigramText {
  std::vector<Normalizer> normalizers;  // In their order.
  bool splits_at_blanks = false;        // Words are what lies between these.
  bool prepends_mark = true;            // A ▁ to each word that does not begin with one.
  bool splits_at_marks = true;          // Each ▁ begins a piece.

  std::string normalized(std::string_view text) const;

  // Calls each(piece), until that says false, for the pieces of a text that is normalized. A space
  // is ▁.
  template <class Each>
  void pieces(std::string_view text, const Each& each) const {
    std::string word;
    while (!text.empty()) {
      if (splits_at_blanks) text = text.substr(blank_bytes(text));
      const std::string_view raw =
          text.substr(0, splits_at_blanks ? word_bytes(text) : text.size());
      if (raw.empty()) return;
      text.remove_prefix(raw.size());
      mark(raw, word);
      for (std::string_view rest = word; !rest.empty();) {
        const std::string_view piece =
            rest.substr(0, splits_at_marks ? mark_at(rest) : rest.size());
        if (!each(piece)) return;
        rest.remove_prefix(piece.size());
      }
    }
  }

 private:
  static std::size_t blank_bytes(std::string_view text);  // At its start.
  static std::size_t word_bytes(std::string_view text);   // Up to what is blank.
  static std::size_t mark_at(std::string_view text) {     // Behind its start.
    const std::size_t at = text.find(kMarkedSpace, 1);
    return at == std::string_view::npos ? text.size() : at;
  }
  void mark(std::string_view raw, std::string& word) const;
};

}  // namespace spillway::tokenizer
