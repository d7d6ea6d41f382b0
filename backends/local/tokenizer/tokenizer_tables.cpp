#include "backends/local/tokenizer/tokenizer_tables_internal.h"

#include <algorithm>
#include <deque>
#include <utility>

namespace spillway::tokenizer {
namespace {

// What decoding shows of each: of a token that is looked for in normalized text, what that is.
TokenTexts shown_texts(const Vocabulary& vocabulary) {
  const SectionText text(vocabulary);
  std::vector<std::string_view> tokens = vocabulary.tokens;
  std::deque<std::string> made;
  for (const AddedToken& added : vocabulary.added) {
    if (!added.normalized) continue;
    std::string held;
    tokens[added.id] = made.emplace_back(text.normalized(tokens[added.id], true, held));
  }
  return TokenTexts(tokens, [&](auto token) { return bytes_of_token(vocabulary.writing, token); });
}

}  // namespace

Tokenizer::Tables::Tables(const Vocabulary& vocabulary, Model&& made, std::bitset<256> never_told)
    : bytes(shown_texts(vocabulary)),
      spelt(vocabulary.tokens,
            [&](auto token) {
              return vocabulary.writing == Writing::bytes ? std::string_view() : token;
            }),
      special(vocabulary.tokens.size()),
      text(vocabulary),
      pieces(vocabulary.tokens.size()),
      left_out(never_told),
      model(std::move(made)),
      cuts(vocabulary.merges),
      split(vocabulary.split),
      writing(vocabulary.writing),
      dropped_spaces(vocabulary.dropped_spaces) {
  for (const AddedToken& added : vocabulary.added) add_whole(vocabulary, added);
  bytes_of_one = longest_of(vocabulary);
  if (const auto* bpe = std::get_if<Bpe>(&model)) fill_pieces(vocabulary, *bpe);
}

void Tokenizer::Tables::add_whole(const Vocabulary& vocabulary, const AddedToken& added) {
  const std::string_view token = vocabulary.tokens[added.id];
  const WholeTokens::Rules rules{.control_only = added.special,
                                 .single_word = added.single_word,
                                 .takes_left = added.takes_left,
                                 .takes_right = added.takes_right};
  if (added.special) special[added.id] = true;
  if (!added.normalized) {
    whole.add(token, added.id, rules);
    return;
  }
  std::string held;
  whole_normalized.add(text.normalized(token, true, held), added.id, rules);
  finds_special_in_normalized = finds_special_in_normalized || added.special;
}

std::size_t Tokenizer::Tables::longest_of(const Vocabulary& vocabulary) const {
  const auto* unigram = std::get_if<Unigram>(&model);
  if (unigram != nullptr && !unigram->spells_all()) return kAnyNumber;  // Unknown ones are one.
  std::size_t longest = 1;
  for (TokenId id = 0; id < bytes.size(); ++id) longest = std::max(longest, bytes[id].size());
  for (const AddedToken& added : vocabulary.added) {
    if (added.takes_left || added.takes_right) return kAnyNumber;
    std::string held;
    const std::string_view token = vocabulary.tokens[added.id];
    longest = std::max(longest, text.normalized(token, true, held).size());
  }
  const auto shrunk = most_shrunk(vocabulary.normalizers);
  return shrunk ? longest * *shrunk : kAnyNumber;
}

bool Tokenizer::Tables::surely_exceeds(std::string_view text, std::size_t tokens_max) const {
  if (text.size() / bytes_of_one <= tokens_max) return false;
  const auto told = std::ranges::count_if(
      text, [this](char c) { return !left_out[static_cast<unsigned char>(c)]; });
  return static_cast<std::size_t>(told) / bytes_of_one > tokens_max;
}

// Most pieces of real text are one token: those that merging would yield are found by one lookup.
void Tokenizer::Tables::fill_pieces(const Vocabulary& vocabulary, const Bpe& bpe) {
  std::vector<bool> skipped = special;
  for (const AddedToken& added : vocabulary.added)
    skipped[added.id] = added.special || !added.is_word;
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

}  // namespace spillway::tokenizer
