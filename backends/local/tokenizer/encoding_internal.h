// One call of Tokenizer::encode: where control text lies, and the ids so far.
//
// Used by one thread; refers to the tables and to the text.
#pragma once

#include "backends/local/tokenizer/bpe.h"
#include "backends/local/tokenizer/tokenizer.h"
#include "backends/local/tokenizer/tokenizer_tables_internal.h"
#include "backends/local/tokenizer/whole_cuts.h"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::tokenizer {

class Tokenizer::Encoding {
 public:
  Encoding(const Tables& tables, std::size_t tokens_max)
      : tables_(tables), tokens_max_(tokens_max) {}

  // Nothing if it is more than `tokens_max` ids. Requires: the last stretch ends with the text.
  std::optional<std::vector<TokenId>> run(std::string_view text,
                                          std::span<const Stretch> stretches);

 private:
  // The text between two whole tokens that were looked for in the text as it is.
  struct Section {
    std::size_t begin;
    std::size_t end;
  };

  bool is_over() const { return ids_.size() > tokens_max_; }
  void section(std::string_view text, std::span<const Stretch> stretches, Section place);
  std::string_view normalized(std::string_view text, std::span<const Stretch> stretches,
                              Section place, std::string& held,
                              std::vector<Stretch>& normalized_stretches) const;
  void stretch(std::string_view text);
  void split(std::string_view text, std::size_t rule);
  void words(std::string_view text);
  void encode_piece(std::string_view piece);

  const Tables& tables_;
  const std::size_t tokens_max_;
  Bpe::Scratch scratch_;
  Unigram::Steps steps_;
  std::vector<TokenId> ids_;
};

}  // namespace spillway::tokenizer
