#include "backends/local/tokenizer/word_piece.h"

#include <algorithm>
#include <utility>

namespace spillway::tokenizer {
namespace {

constexpr std::size_t kSlotsFirst = 1 << 12;
constexpr std::size_t kRoots = 2;

std::size_t characters_in(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

WordPiece::Tree::Tree() : ends_(kRoots, -1), slots_(kSlotsFirst) {}

// One more than the node: the roots' children have keys, too.
std::uint32_t WordPiece::Tree::key_of(std::int32_t node, char byte) {
  return static_cast<std::uint32_t>(node + 1) << 8 | static_cast<unsigned char>(byte);
}

std::size_t WordPiece::Tree::place_of(std::uint32_t key) const {
  std::size_t place = (key * 0x9E3779B1U >> 7) & (slots_.size() - 1);
  while (slots_[place].key != 0 && slots_[place].key != key)
    place = (place + 1) & (slots_.size() - 1);
  return place;
}

std::int32_t WordPiece::Tree::child(std::int32_t node, char byte) const {
  return slots_[place_of(key_of(node, byte))].node;
}

std::int32_t WordPiece::Tree::make_child(std::int32_t node, char byte) {
  if (2 * taken_ > slots_.size()) grow();
  Slot& slot = slots_[place_of(key_of(node, byte))];
  if (slot.key == 0) {
    slot = {key_of(node, byte), static_cast<std::int32_t>(ends_.size())};
    ends_.push_back(-1);
    ++taken_;
  }
  return slot.node;
}

void WordPiece::Tree::grow() {
  const std::vector<Slot> before = std::exchange(slots_, std::vector<Slot>(2 * slots_.size()));
  for (const Slot& slot : before) {
    if (slot.key != 0) slots_[place_of(slot.key)] = slot;
  }
}

void WordPiece::Tree::add(std::int32_t root, std::string_view text, TokenId id) {
  std::int32_t node = root;
  for (const char byte : text) node = make_child(node, byte);
  if (node != root) ends_[node] = id;
}

WordPiece::Tree::Match WordPiece::Tree::longest(std::int32_t root, std::string_view text) const {
  Match match;
  std::int32_t node = root;
  for (std::size_t at = 0; at < text.size();) {
    node = child(node, text[at++]);
    if (node == 0) break;
    if (ends_[node] >= 0) match = {ends_[node], at};
  }
  return match;
}

Result<WordPiece> WordPiece::make(const WordVocabulary& vocabulary) {
  const auto is_token = [&](TokenId id) {
    return id >= 0 && static_cast<std::size_t>(id) < vocabulary.tokens.size();
  };
  if (!is_token(vocabulary.unknown))
    return Error{Errc::internal, "tokenizer: the unknown token is not in the vocabulary"};
  if (!std::ranges::all_of(vocabulary.special, is_token))
    return Error{Errc::internal, "tokenizer: a special token is not in the vocabulary"};
  return WordPiece(vocabulary);
}

WordPiece::WordPiece(const WordVocabulary& vocabulary)
    : size_(static_cast<int>(vocabulary.tokens.size())),
      unknown_(vocabulary.unknown),
      word_characters_max_(vocabulary.word_characters_max),
      text_(vocabulary.text) {
  for (TokenId id = 0; id < size_; ++id) {
    std::string_view token = vocabulary.tokens[id];
    tree_.add(Tree::kWords, token, id);
    if (!token.starts_with(vocabulary.continuation)) continue;
    token.remove_prefix(vocabulary.continuation.size());
    tree_.add(Tree::kContinuations, token, id);
  }
  for (const TokenId id : vocabulary.special) special_.add(vocabulary.tokens[id], id, true);
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
  for (std::int32_t root = Tree::kWords; !word.empty(); root = Tree::kContinuations) {
    const Tree::Match match = tree_.longest(root, word);
    if (match.length == 0) {
      ids.resize(begin);
      return ids.push_back(unknown_);
    }
    ids.push_back(match.id);
    word.remove_prefix(match.length);
  }
}

}  // namespace spillway::tokenizer
