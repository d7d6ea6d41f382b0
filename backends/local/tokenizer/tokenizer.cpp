#include "backends/local/tokenizer/tokenizer.h"

#include "backends/local/tokenizer/bpe.h"
#include "backends/local/tokenizer/whole_tokens.h"
#include "backends/local/tokenizer/word_cuts.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <unordered_map>

namespace spillway::tokenizer {
namespace {

using IdByText = std::unordered_map<std::string_view, TokenId>;

// A text for each token, one after the other.
class TokenTexts {
 public:
  template <class TextOf>
  TokenTexts(std::span<const std::string_view> tokens, const TextOf& text_of) {
    ends_.reserve(tokens.size());
    for (const std::string_view token : tokens) {
      texts_ += text_of(token);
      ends_.push_back(texts_.size());
    }
  }

  std::string_view operator[](TokenId id) const {
    const std::size_t begin = id == 0 ? 0 : ends_[id - 1];
    return std::string_view(texts_).substr(begin, ends_[id] - begin);
  }
  int size() const { return static_cast<int>(ends_.size()); }

 private:
  std::string texts_;
  std::vector<std::size_t> ends_;
};

constexpr std::size_t kAnyNumber = std::numeric_limits<std::size_t>::max();

Error broken(std::string what) { return Error{Errc::internal, "tokenizer: " + std::move(what)}; }

Result<MergeTable> merge_table(const Vocabulary& vocabulary, const IdByText& ids) {
  MergeTable table(vocabulary.merges.size());
  for (std::size_t place = 0; place < vocabulary.merges.size(); ++place) {
    const auto& [left, right] = vocabulary.merges[place];
    const auto left_id = ids.find(left);
    const auto right_id = ids.find(right);
    const auto merged_id = ids.find(std::string(left) + std::string(right));
    if (left_id == ids.end() || right_id == ids.end() || merged_id == ids.end()) {
      return broken("merge " + std::to_string(place) + " (\"" + std::string(left) + " " +
                    std::string(right) + "\") names a token that is not in the vocabulary");
    }
    const auto own =
        vocabulary.ranks.empty() ? static_cast<std::uint32_t>(place) : vocabulary.ranks[place];
    table.insert(left_id->second, right_id->second, {own, merged_id->second});
  }
  return table;
}

Spelling spelling_of(const Vocabulary& vocabulary, const IdByText& ids) {
  const auto id_of = [&](std::string_view text) {
    const auto found = ids.find(text);
    return found == ids.end() ? -1 : found->second;
  };
  if (vocabulary.writing == Writing::bytes) return Spelling::of_bytes(id_of);
  return Spelling::of_characters(vocabulary.tokens, id_of, vocabulary.unknown);
}

}  // namespace

struct Tokenizer::Tables {
  Tables(const Vocabulary& vocabulary, Spelling&& spelling, MergeTable&& merges)
      : bytes(vocabulary.tokens,
              [&](auto token) { return bytes_of_token(vocabulary.writing, token); }),
        spelt(vocabulary.tokens,
              [&](auto token) {
                return vocabulary.writing == Writing::bytes ? std::string_view() : token;
              }),
        special(vocabulary.tokens.size()),
        pieces(vocabulary.tokens.size()),
        bytes_of_one(longest_of(vocabulary)),
        left_out(spelling.left_out()),
        bpe(std::move(spelling), std::move(merges)),
        cuts(vocabulary.merges),
        split(vocabulary.split),
        writing(vocabulary.writing),
        leading_space(vocabulary.leading_space),
        normalizers(vocabulary.normalizers),
        drops_first_space(vocabulary.drops_first_space) {
    for (const TokenId id : vocabulary.special) {
      special[id] = true;
      whole.add(vocabulary.tokens[id], id, true);
    }
    for (const TokenId id : vocabulary.added) whole.add(vocabulary.tokens[id], id, false);
    fill_pieces(vocabulary);
  }

  // Of text that one token can stand for.
  std::size_t longest_of(const Vocabulary& vocabulary) const {
    std::size_t longest = 1;
    for (TokenId id = 0; id < bytes.size(); ++id) longest = std::max(longest, bytes[id].size());
    const auto shrunk = most_shrunk(vocabulary.normalizers);
    return shrunk ? longest * *shrunk : kAnyNumber;
  }

  // It has so many bytes that its tokens, however long, are more.
  bool surely_exceeds(std::string_view text, std::size_t tokens_max) const {
    if (text.size() / bytes_of_one <= tokens_max) return false;
    const auto told = std::ranges::count_if(
        text, [this](char c) { return !left_out[static_cast<unsigned char>(c)]; });
    return static_cast<std::size_t>(told) / bytes_of_one > tokens_max;
  }

  // Most pieces of real text are one token: those that merging would yield are found by one lookup.
  void fill_pieces(const Vocabulary& vocabulary) {
    std::vector<bool> skipped = special;
    for (const TokenId id : vocabulary.added) skipped[id] = true;
    Bpe::Scratch scratch;
    std::vector<TokenId> merged;
    for (TokenId id = 0; id < bytes.size(); ++id) {
      if (skipped[id]) continue;
      const std::string_view text = writing == Writing::bytes ? bytes[id] : spelt[id];
      merged.clear();
      if (!vocabulary.ignore_merges) bpe.encode(text, scratch, merged);
      const bool merges_to_itself = merged.size() == 1 && merged[0] == id;
      if (vocabulary.ignore_merges || merges_to_itself) pieces.insert(text, id);
    }
  }

  TokenTexts bytes;
  TokenTexts spelt;  // With ▁ for spaces, of characters.
  std::vector<bool> special;
  WholeTokens whole;
  PieceTable pieces;
  std::size_t bytes_of_one;
  std::bitset<256> left_out;  // Of text: becomes no token.
  Bpe bpe;
  WordCuts cuts;
  std::vector<SplitRule> split;
  Writing writing;
  LeadingSpace leading_space;
  std::vector<Normalizer> normalizers;
  bool drops_first_space;
};

// One call of encode: where control text lies, and the ids so far.
class Tokenizer::Encoding {
 public:
  Encoding(const Tables& tables, std::size_t tokens_max)
      : tables_(tables), tokens_max_(tokens_max) {}

  // A run of segments that are all control text or all plain; `end` counts from the text's start.
  struct Stretch {
    std::size_t end;
    bool control;
  };

  std::optional<std::vector<TokenId>> run(std::string_view text,
                                          std::span<const Stretch> stretches) {
    if (tables_.surely_exceeds(text, tokens_max_)) return std::nullopt;
    ids_.reserve(std::min(text.size() / 3, tokens_max_) + 4);
    std::size_t plain_begin = 0;
    std::size_t at = 0;
    for (std::size_t s = 0; s < stretches.size() && !tables_.whole.empty(); ++s) {
      while (at < stretches[s].end && !is_over()) {
        const std::size_t control_bytes = stretches[s].control ? stretches[s].end - at : 0;
        const WholeTokens::Match match = tables_.whole.may_start_with(text[at])
                                             ? tables_.whole.at(text.substr(at), control_bytes)
                                             : WholeTokens::Match{};
        if (match.id < 0) {
          ++at;
          continue;
        }
        stretch(text.substr(plain_begin, at - plain_begin));
        ids_.push_back(match.id);
        at += match.length;
        plain_begin = at;
      }
    }
    stretch(text.substr(plain_begin));
    if (is_over()) return std::nullopt;
    return std::move(ids_);
  }

 private:
  bool is_over() const { return ids_.size() > tokens_max_; }

  // What lies between two whole tokens.
  void stretch(std::string_view text) {
    if (text.empty() || is_over()) return;
    std::string held;
    text = normalized(tables_.normalizers, text, held);
    if (text.empty()) return;
    if (tables_.writing == Writing::bytes) return split(text, 0);
    const bool spaced = text.front() == ' ' || text.starts_with(kMarkedSpace);
    const LeadingSpace rule = tables_.leading_space;
    const bool adds = rule == LeadingSpace::each ||
                      (rule == LeadingSpace::each_unless && !spaced) ||
                      (rule == LeadingSpace::first_unless && !spaced && ids_.empty());
    const std::string marked =
        (adds ? std::string(kMarkedSpace) : std::string()) + with_marked_spaces(text);
    split(marked, 0);
  }

  void split(std::string_view text, std::size_t rule) {
    if (text.empty()) return;
    if (rule == tables_.split.size()) return words(text);
    for (std::size_t at = 0; at < text.size() && !is_over();) {
      const std::size_t end = piece_end(tables_.split[rule], text, at);
      split(text.substr(at, end - at), rule + 1);
      at = end;
    }
  }

  void words(std::string_view text) {
    if (tables_.writing == Writing::bytes) return encode_piece(text);
    for (std::size_t at = 0; at < text.size() && !is_over();) {
      const std::size_t end = tables_.cuts.end(text, at);
      encode_piece(text.substr(at, end - at));
      at = end;
    }
  }

  void encode_piece(std::string_view piece) {
    const TokenId id = tables_.pieces.find(piece);
    if (id >= 0) {
      ids_.push_back(id);
    } else {
      tables_.bpe.encode(piece, scratch_, ids_);
    }
  }

  const Tables& tables_;
  const std::size_t tokens_max_;
  Bpe::Scratch scratch_;
  std::vector<TokenId> ids_;
};

Result<Tokenizer> Tokenizer::make(const Vocabulary& vocabulary) {
  IdByText ids;
  ids.reserve(vocabulary.tokens.size());
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    ids.emplace(vocabulary.tokens[id], static_cast<TokenId>(id));
  }
  for (const auto& list : {vocabulary.special, vocabulary.added}) {
    for (const TokenId id : list) {
      if (id < 0 || static_cast<std::size_t>(id) >= vocabulary.tokens.size()) {
        return broken("special token " + std::to_string(id) + " is not in the vocabulary");
      }
    }
  }
  auto merges = merge_table(vocabulary, ids);
  if (!merges) return merges.error();
  return Tokenizer(
      std::make_unique<const Tables>(vocabulary, spelling_of(vocabulary, ids), std::move(*merges)));
}

Tokenizer::Tokenizer(std::unique_ptr<const Tables> tables) : tables_(std::move(tables)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text) const {
  const Segment segment{text, false};
  return encode({&segment, 1});
}

std::vector<TokenId> Tokenizer::encode_control(std::string_view text) const {
  const Segment segment{text, true};
  return encode({&segment, 1});
}

std::vector<TokenId> Tokenizer::encode(std::span<const Segment> segments) const {
  return *encode_at_most(kAnyNumber, segments);
}

std::optional<std::vector<TokenId>> Tokenizer::encode_at_most(
    std::size_t tokens_max, std::span<const Segment> segments) const {
  std::vector<Encoding::Stretch> stretches;
  std::string joined;
  for (const Segment& segment : segments) {
    if (segment.text.empty()) continue;
    if (segments.size() > 1) joined += segment.text;
    const std::size_t end = (stretches.empty() ? 0 : stretches.back().end) + segment.text.size();
    const bool extends = !stretches.empty() && stretches.back().control == segment.control;
    if (extends)
      stretches.back().end = end;
    else
      stretches.push_back({end, segment.control});
  }
  const std::string_view text = segments.size() == 1 ? segments[0].text : joined;
  return Encoding(*tables_, tokens_max).run(text, stretches);
}

int Tokenizer::size() const { return tables_->bytes.size(); }

std::string_view Tokenizer::bytes_of(TokenId id) const {
  assert(id >= 0 && id < size());
  return tables_->bytes[id];
}

bool Tokenizer::is_special(TokenId id) const {
  assert(id >= 0 && id < size());
  return tables_->special[id];
}

bool Tokenizer::drops_first_space() const { return tables_->drops_first_space; }

}  // namespace spillway::tokenizer
