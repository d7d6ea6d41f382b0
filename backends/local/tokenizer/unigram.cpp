#include "backends/local/tokenizer/unigram.h"

#include "backends/local/utf8.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

namespace spillway::tokenizer {
namespace {

constexpr double kUnknownPenalty = 10.0;             // SentencePiece's.
constexpr std::size_t kTokenBytesMax = 1024;         // Each place of a text looks so far ahead.
constexpr std::size_t kScores = 2 * kTokenBytesMax;  // What lies behind is looked at no more.
constexpr std::uint16_t kIsUnknown = 1 << 15;

Error broken(const std::string& what) { return Error{Errc::internal, "tokenizer: " + what}; }

std::size_t character_bytes(std::string_view text) {
  const auto character = local::utf8::decode(text);
  return character.quality == local::utf8::Quality::whole ? character.length : 1;
}

// The tokens that are found in texts.
std::vector<bool> found_in_texts(const UnigramVocabulary& vocabulary) {
  std::vector<bool> found(vocabulary.scores.size(), true);
  for (const TokenId id : vocabulary.special) {
    if (static_cast<std::size_t>(id) < found.size()) found[id] = false;
  }
  found[vocabulary.unknown] = false;
  return found;
}

}  // namespace

Result<Unigram> Unigram::make(const UnigramVocabulary& vocabulary) {
  const auto is_below = [](TokenId id, std::size_t size) {
    return id >= 0 && static_cast<std::size_t>(id) < size;
  };
  if (vocabulary.scores.size() > vocabulary.tokens.size())
    return broken("there are more scores than tokens");
  if (!is_below(vocabulary.unknown, vocabulary.scores.size()))
    return broken("the unknown token is not in the vocabulary");
  if (!std::ranges::all_of(vocabulary.special,
                           [&](TokenId id) { return is_below(id, vocabulary.tokens.size()); }))
    return broken("a special token is not in the vocabulary");
  if (!std::ranges::all_of(vocabulary.scores, [](double score) { return std::isfinite(score); }))
    return broken("a score is no number");
  std::size_t bytes = 0;
  for (const std::string_view token : vocabulary.tokens) {
    if (token.size() > kTokenBytesMax) return broken("a token has more than 1 KiB");
    bytes += token.size();
  }
  if (bytes > PrefixTree::kBytesMax) return broken("its tokens are too long together");
  return Unigram(vocabulary);
}

Unigram::Unigram(const UnigramVocabulary& vocabulary)
    : scores_(vocabulary.scores),
      unknown_(vocabulary.unknown),
      size_(static_cast<int>(vocabulary.tokens.size())),
      text_(vocabulary.text) {
  unknown_score_ = *std::ranges::min_element(scores_) - kUnknownPenalty;
  const auto found = found_in_texts(vocabulary);
  for (std::size_t id = 0; id < found.size(); ++id) {
    if (found[id]) tree_.add(0, vocabulary.tokens[id], static_cast<TokenId>(id));
  }
  byte_ids_.fill(-1);
  for (std::size_t byte = 0; byte < byte_ids_.size() && vocabulary.spells_bytes; ++byte) {
    std::array<char, 8> name{};
    std::snprintf(name.data(), name.size(), "<0x%02X>", static_cast<unsigned>(byte));
    const auto match = tree_.longest(0, name.data());
    if (match.length == std::string_view(name.data()).size()) byte_ids_[byte] = match.id;
  }
}

std::vector<TokenId> Unigram::encode(std::string_view text, std::size_t tokens_max) const {
  std::vector<TokenId> ids;
  Steps steps;
  const std::string normalized = text_.normalized(text);
  text_.pieces(normalized, [&](std::string_view piece) {
    encode_piece(piece, steps, ids);
    return ids.size() <= tokens_max;
  });
  return ids;
}

bool Unigram::spells_all() const {
  return std::ranges::all_of(byte_ids_, [](TokenId id) { return id >= 0; });
}

void Unigram::walk(std::string_view piece, Steps& steps) const {
  steps.assign(piece.size() + 1, 0);
  std::array<double, kScores> scores;  // By place, of the best ways.
  scores[0] = 0.0;
  const auto offer = [&](std::size_t from, std::size_t length, double score, bool is_unknown) {
    std::uint16_t& step = steps[from + length];
    double& best = scores[(from + length) % kScores];
    const double candidate = score + scores[from % kScores];
    if (step != 0 && candidate <= best) return;
    best = candidate;
    step = static_cast<std::uint16_t>(length | (is_unknown ? kIsUnknown : 0));
  };
  for (std::size_t at = 0; at < piece.size();) {
    const std::string_view rest = piece.substr(at);
    const std::size_t length = character_bytes(rest);
    bool is_known = false;  // The character is a token.
    tree_.each(0, rest, [&](TokenId id, std::size_t token_bytes) {
      offer(at, token_bytes, scores_[id], false);
      is_known = is_known || token_bytes == length;
    });
    if (!is_known) offer(at, length, unknown_score_, true);
    at += length;
  }
}

void Unigram::encode_piece(std::string_view piece, Steps& steps, std::vector<TokenId>& ids) const {
  walk(piece, steps);
  const std::size_t before = ids.size();
  for (std::size_t end = piece.size(); end > 0;) {
    const bool is_unknown = steps[end] & kIsUnknown;
    std::size_t from = end;
    do {  // Unknown characters in a row are one.
      from -= steps[from] & ~kIsUnknown;
    } while (from > 0 && is_unknown && steps[from] & kIsUnknown);
    const std::string_view token = piece.substr(from, end - from);
    if (is_unknown) {
      put_unknown(token, ids);
    } else {
      ids.push_back(tree_.longest(0, token).id);
    }
    end = from;
  }
  std::reverse(ids.begin() + static_cast<std::ptrdiff_t>(before), ids.end());
}

// Backwards, as all of a piece's.
void Unigram::put_unknown(std::string_view text, std::vector<TokenId>& ids) const {
  const auto id_of = [this](char c) { return byte_ids_[static_cast<unsigned char>(c)]; };
  if (std::ranges::any_of(text, [&](char c) { return id_of(c) < 0; }))
    return ids.push_back(unknown_);
  for (std::size_t at = text.size(); at-- > 0;) ids.push_back(id_of(text[at]));
}

}  // namespace spillway::tokenizer
