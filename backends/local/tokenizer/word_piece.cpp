#include "backends/local/tokenizer/word_piece.h"

#include <algorithm>
#include <utility>

namespace spillway::tokenizer {
namespace {

std::size_t characters_in(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

Result<WordPiece> WordPiece::make(const WordVocabulary& vocabulary) {
  const auto is_token = [&](TokenId id) {
    return id >= 0 && static_cast<std::size_t>(id) < vocabulary.tokens.size();
  };
  if (!is_token(vocabulary.unknown))
    return Error{Errc::internal, "tokenizer: the unknown token is not in the vocabulary"};
  if (!std::ranges::all_of(vocabulary.special, is_token))
    return Error{Errc::internal, "tokenizer: a special token is not in the vocabulary"};
  std::size_t bytes = 0;  // A continuation is in the tree twice.
  for (const std::string_view token : vocabulary.tokens) bytes += 2 * token.size();
  if (bytes > PrefixTree::kBytesMax)
    return Error{Errc::internal, "tokenizer: its tokens are too long together"};
  return WordPiece(vocabulary);
}

WordPiece::WordPiece(const WordVocabulary& vocabulary)
    : size_(static_cast<int>(vocabulary.tokens.size())),
      unknown_(vocabulary.unknown),
      word_characters_max_(vocabulary.word_characters_max),
      text_(vocabulary.text) {
  for (TokenId id = 0; id < size_; ++id) {
    std::string_view token = vocabulary.tokens[id];
    tree_.add(kWords, token, id);
    if (!token.starts_with(vocabulary.continuation)) continue;
    token.remove_prefix(vocabulary.continuation.size());
    tree_.add(kContinuations, token, id);
  }
  for (const TokenId id : vocabulary.special)
    special_.add(vocabulary.tokens[id], id, {.control_only = true});
}

std::vector<TokenId> WordPiece::encode(std::string_view text, std::size_t tokens_max) const {
  std::vector<TokenId> ids;
  encode_plain(text, tokens_max, ids);
  return ids;
}

std::vector<TokenId> WordPiece::encode_control(std::string_view text) const {
  std::vector<TokenId> ids;
  std::size_t plain = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto match = special_.may_start_with(text[at])
                           ? special_.at(text.substr(at), text.size() - at)
                           : WholeTokens::Match{};
    if (match.id < 0) {
      ++at;
      continue;
    }
    encode_plain(text.substr(plain, at - plain), kAll, ids);
    ids.push_back(match.id);
    plain = at += match.length;
  }
  encode_plain(text.substr(plain), kAll, ids);
  return ids;
}

void WordPiece::encode_plain(std::string_view text, std::size_t tokens_max,
                             std::vector<TokenId>& ids) const {
  const std::string words = text_.words_of(text);
  for (std::string_view rest = words; !rest.empty() && ids.size() <= tokens_max;) {
    const std::string_view word = rest.substr(0, rest.find(' '));
    encode_word(word, ids);
    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
  }
}

void WordPiece::encode_word(std::string_view word, std::vector<TokenId>& ids) const {
  const std::size_t begin = ids.size();
  if (characters_in(word) > word_characters_max_) return ids.push_back(unknown_);
  for (std::int32_t root = kWords; !word.empty(); root = kContinuations) {
    const PrefixTree::Match match = tree_.longest(root, word);
    if (match.length == 0) {
      ids.resize(begin);
      return ids.push_back(unknown_);
    }
    ids.push_back(match.id);
    word.remove_prefix(match.length);
  }
}

}  // namespace spillway::tokenizer
